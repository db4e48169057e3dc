// Electron itself, where its binary is installed: the window opens, reaches the engine, and quits. Where the binary
// cannot be had, `npm start` has to say so in one line and serve the same window.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { _electron } from 'playwright-core'
import { expect, test } from 'vitest'
import { ROOT } from '../support/build.ts'
import { Folder } from '../support/folder.ts'
import { collectOutput, waitForOutput } from '../support/serve.ts'
import { engineReady, launchBrowser, openWindow } from '../support/window.ts'

const NAMES: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'Electron.app/Contents/MacOS/Electron',
  win32: 'electron.exe',
}
const dist = process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? path.join(ROOT, 'node_modules/electron/dist')
const binary = path.join(dist, NAMES[process.platform] ?? 'electron')

if (existsSync(binary)) {
  test('Electron opens the window, which reaches the engine', async () => {
    using folder = new Folder()
    const application = await _electron.launch({
      executablePath: binary,
      args: ['--no-sandbox', `--user-data-dir=${folder.file('user data')}`, ROOT],
      env: { ...(process.env as Record<string, string>), AQW_WORKSPACE: folder.file('workspace') },
    })
    try {
      const page = await application.firstWindow()
      await engineReady(page)
      expect(page.url()).toMatch(/^app:\/\/workbench\//)
      expect(await page.evaluate(() => typeof (globalThis as { require?: unknown }).require)).toBe(
        'undefined',
      )
    } finally {
      await application.close()
    }
  })
} else {
  test(`Electron itself was not run, its binary is absent (${path.relative(ROOT, binary)}): npm start says so and serves the window`, async () => {
    using folder = new Folder()
    // An empty PATH: the browser of the person who runs the tests stays closed.
    mkdirSync(folder.file('no programs'))
    const child = spawn(process.execPath, [path.join(ROOT, 'scripts/start.ts'), '--port', '0'], {
      cwd: ROOT,
      env: { ...process.env, PATH: folder.file('no programs'), AQW_WORKSPACE: folder.file('workspace') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = collectOutput(child)
    const browser = await launchBrowser()
    try {
      const url = await waitForOutput(child, output, /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+/)
      const said = output()
        .split('\n')
        .filter((line) => line.includes('Electron'))
      expect(said).toHaveLength(1)
      const { page, complaints } = await openWindow(browser, url)
      await page.getByRole('region', { name: 'Sample project' }).waitFor()
      expect(complaints.list).toEqual([])
    } finally {
      await browser.close()
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  })
}
