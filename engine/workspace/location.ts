// Where the workspace lives: --workspace, then AQW_WORKSPACE, then the platform's folder for application data.
import os from 'node:os'
import path from 'node:path'

const FOLDER = 'ascend-quant-workbench'

/**
 * Default folder: `$XDG_DATA_HOME/ascend-quant-workbench` (Linux, XDG Base Directory Specification),
 * `~/Library/Application Support/...` (macOS), `%APPDATA%\...` (Windows).
 */
export function workspaceFolder(explicit?: string, environment: NodeJS.ProcessEnv = process.env): string {
  const chosen = explicit ?? environment['AQW_WORKSPACE']
  if (chosen) return path.resolve(chosen)
  return path.join(dataFolder(environment), FOLDER)
}

function dataFolder(environment: NodeJS.ProcessEnv): string {
  const home = os.homedir()
  if (process.platform === 'win32') return environment['APPDATA'] ?? path.join(home, 'AppData', 'Roaming')
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Application Support')
  const xdg = environment['XDG_DATA_HOME']
  // The specification says that a relative path must be ignored.
  return xdg && path.isAbsolute(xdg) ? xdg : path.join(home, '.local', 'share')
}

/** Paths inside a workspace folder. */
export interface WorkspaceLayout {
  root: string
  database: string
  lock: string
  lockInfo: string
  backups: string
  objects: string
  models: string
  datasets: string
  runs: string
  uploads: string
  temporary: string
  /** Work of stages that go on where a killed one stopped. */
  partial: string
  logs: string
}

export function workspaceLayout(root: string): WorkspaceLayout {
  const at = (name: string): string => path.join(root, name)
  return {
    root,
    database: at('workspace.sqlite'),
    lock: at('workspace.lock'),
    lockInfo: at('workspace.lock.json'),
    backups: at('backups'),
    objects: at('objects'),
    models: at('models'),
    datasets: at('datasets'),
    runs: at('runs'),
    uploads: at('uploads'),
    temporary: at('tmp'),
    partial: at('partial'),
    logs: at('logs'),
  }
}
