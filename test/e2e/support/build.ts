// The built window and main process that the end-to-end tests run: made anew only when a source is newer.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'

export const ROOT = path.resolve(import.meta.dirname, '../../..')
export const RENDERER_FILES = path.join(ROOT, 'out/renderer')
export const MAIN_FILE = path.join(ROOT, 'out/main/main.js')

const OUTPUTS = [
  path.join(RENDERER_FILES, 'index.html'),
  MAIN_FILE,
  path.join(ROOT, 'out/preload/preload.cjs'),
]
/** What goes into the three bundles; electron/ bundles a few modules of the engine. */
const SOURCES = [
  'renderer',
  'electron',
  'contract',
  'engine/common',
  'engine/host',
  'engine/workspace',
  'electron.vite.config.ts',
  'package-lock.json',
]

/** Newest modification time below a file or folder, in ms. */
function newest(file: string): number {
  const stats = statSync(file)
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(0, ...readdirSync(file).map((name) => newest(path.join(file, name))))
}

export function isStale(): boolean {
  if (OUTPUTS.some((file) => !existsSync(file))) return true
  const built = Math.min(...OUTPUTS.map((file) => statSync(file).mtimeMs))
  return SOURCES.some((source) => newest(path.join(ROOT, source)) > built)
}

/** `npm run build`, when it is due. */
export function ensureBuilt(): void {
  if (!isStale()) return
  const builder = path.join(ROOT, 'node_modules/electron-vite/bin/electron-vite.js')
  execFileSync(process.execPath, [builder, 'build'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
}
