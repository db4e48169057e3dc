// The engine process of the desktop. It runs on the Node that is shipped beside the application, not inside Electron:
// the same program as `aqw serve`, native modules of one ABI, no V8 memory cage between koffi and the driver, and the
// runAsNode fuse can stay off.
import { app } from 'electron'
import { existsSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { EngineSupervisor, forkEngineFrom } from '../engine/host/supervisor.ts'
import { workspaceFolder } from '../engine/workspace/location.ts'

/** Folder that holds engine/, contract/, native/ and node_modules/. */
export function programFolder(): string {
  return app.isPackaged ? path.join(process.resourcesPath, 'program') : app.getAppPath()
}

/** The Node binary of this platform's package, or the running one when it is Node itself. */
export function engineNode(folder: string): string {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const binary = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node'
  const shipped = path.join(folder, 'node_modules', `node-${platform}-${process.arch}`, binary)
  return existsSync(shipped) ? shipped : process.execPath
}

export function startEngine(): EngineSupervisor {
  const folder = programFolder()
  const supervisor = new EngineSupervisor({
    workspace: workspaceFolder(),
    launch: forkEngineFrom({
      entry: path.join(folder, 'engine', 'host', 'engine-process.ts'),
      execPath: engineNode(folder),
    }),
  })
  supervisor.start()
  return supervisor
}
