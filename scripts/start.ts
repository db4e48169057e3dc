// `npm start`: opens the desktop window in Electron; where its binary cannot be had, says so and opens the same window
// in the browser through `aqw serve --open`.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'

const root = path.join(import.meta.dirname, '..')
const args = process.argv.slice(2)

/** Path of Electron's program, or null when the package has not downloaded it. */
function electronBinary(): string | null {
  const folder = path.dirname(createRequire(import.meta.url).resolve('electron/package.json'))
  const override = process.env['ELECTRON_OVERRIDE_DIST_PATH']
  const name = { darwin: 'Electron.app/Contents/MacOS/Electron', win32: 'electron.exe' }[
    process.platform as string
  ]
  const binary = path.join(override ?? path.join(folder, 'dist'), name ?? 'electron')
  return existsSync(binary) ? binary : null
}

function run(program: string, programArgs: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, programArgs, { cwd: root, stdio: 'inherit' })
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

if (
  !existsSync(path.join(root, 'out', 'renderer', 'index.html')) ||
  !existsSync(path.join(root, 'out', 'main'))
) {
  const built = await run(process.execPath, [
    path.join(root, 'node_modules/electron-vite/bin/electron-vite.js'),
    'build',
  ])
  if (built !== 0) process.exit(built)
}
const electron = electronBinary()
if (electron) process.exitCode = await run(electron, [root, ...args])
else {
  console.error(
    'Electron is not installed here (npx install-electron fetches it): opening the window in the browser.',
  )
  process.exitCode = await run(process.execPath, [
    path.join(root, 'cli', 'aqw.ts'),
    'serve',
    '--open',
    ...args,
  ])
}
