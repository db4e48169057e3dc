// The desktop application end to end: real main.js and preload.cjs, real Chromium and engine, on the Electron stand-in.
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from '../support/build.ts'
import { Folder } from '../support/folder.ts'
import { comparisonShown, readComparison, startSampleComparison } from '../support/journey.ts'
import { descendants, enginePid, isAlive, until } from '../support/serve.ts'
import { engineReady, goTo } from '../support/window.ts'
import { openDesktop, type Desktop } from './desktop.ts'

const MODEL = path.join(ROOT, 'resources/samples/sprite-diffusion/unet.onnx')

let folder: Folder
let desktop: Desktop

beforeAll(async () => {
  folder = new Folder()
  desktop = await openDesktop({ folder: folder.path })
})
afterAll(async () => {
  await desktop[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

test('the window opens hardened, on the application’s own origin, with the bridge and nothing more', async () => {
  const { args } = await desktop.called('BrowserWindow')
  expect(args[0]).toMatchObject({
    webPreferences: { sandbox: true, contextIsolation: true, nodeIntegration: false, webSecurity: true },
  })
  for (const name of [
    'app.enableSandbox',
    'session.setPermissionRequestHandler',
    'session.setPermissionCheckHandler',
    'protocol.registerSchemesAsPrivileged',
  ]) {
    await desktop.called(name)
  }
  const surface = await desktop.page.evaluate(() => ({
    bridge: Object.keys((globalThis as unknown as { aqw: object }).aqw).sort(),
    require: typeof (globalThis as { require?: unknown }).require,
    process: typeof (globalThis as { process?: unknown }).process,
  }))
  expect(surface).toEqual({
    bridge: [
      'connect',
      'notify',
      'onCommand',
      'onConnection',
      'onMessage',
      'onOpenPath',
      'pathForFile',
      'pickPath',
      'printPdf',
      'report',
      'revealPath',
      'send',
    ],
    require: 'undefined',
    process: 'undefined',
  })
})

test('new windows and navigation away are denied', async () => {
  const before = desktop.page.url()
  await desktop.page.evaluate("void open('https://example.com/docs')")
  const opened = await desktop.called('window.open')
  expect(opened.args).toEqual(['https://example.com/docs', 'deny'])
  // A web page is for the person's own browser; anything else goes nowhere.
  expect((await desktop.called('shell.openExternal')).args).toEqual(['https://example.com/docs'])
  await desktop.page.evaluate("void open('file:///etc/passwd')")
  await desktop.page.evaluate("void (location.href = 'https://example.com/away')")
  const left = await desktop.called('will-navigate')
  expect(left.args).toEqual(['https://example.com/away', false])
  expect(desktop.page.url()).toBe(before)
  expect(desktop.calls.filter((call) => call.name === 'shell.openExternal')).toHaveLength(1)
})

test('the menu shows the window’s commands, and an item runs its command', async () => {
  const { args } = await desktop.called('Menu.setApplicationMenu')
  const menus = args[0] as { label: string; items: string[] }[]
  expect(menus.map((menu) => menu.label)).toEqual([
    'Project',
    'editMenu',
    'Go',
    'Run',
    'View',
    'Help',
    'windowMenu',
  ])
  expect(menus.find((menu) => menu.label === 'Go')?.items).toContain('go.settings')
  desktop.tell({ menu: 'go.settings' })
  await desktop.page.getByRole('heading', { name: 'Settings', exact: true }).waitFor()
  desktop.tell({ menu: 'view.locale.zh' })
  await desktop.page.getByRole('heading', { name: '设置', exact: true }).waitFor()
  await desktop.called('Menu.setApplicationMenu', ([menu]) =>
    (menu as { label: string }[]).some((entry) => entry.label === '视图'),
  )
  desktop.tell({ menu: 'view.locale.en' })
  await desktop.page.getByRole('heading', { name: 'Settings', exact: true }).waitFor()
  desktop.tell({ menu: 'go.home' })
  await desktop.page.getByRole('region', { name: 'Sample project' }).waitFor()
})

test('from Home to a finished comparison and a report on disk', async () => {
  const { page } = desktop
  await startSampleComparison(page)
  await desktop.called('window.setProgressBar', ([fraction]) => (fraction as number) > 0)
  await desktop.called('powerSaveBlocker.start')
  await comparisonShown(page)
  const shown = await readComparison(page)
  expect(shown.columns.slice(1, 3)).toEqual(['FP16', 'INT8'])
  expect(shown.source).toContain('simulated')
  expect(shown.verdict).toContain('VALID')
  await desktop.called('powerSaveBlocker.stop')
  await desktop.called('window.setTitle', ([title]) => String(title).startsWith('Sprite diffusion'))

  const report = folder.file('comparison.html')
  desktop.tell({ pick: report })
  await page.getByRole('button', { name: 'Export report' }).click()
  await page.getByRole('menuitem', { name: 'HTML, one file' }).click()
  await page.getByText(`Report written to ${report}`).waitFor({ timeout: 60_000 })
  expect(readFileSync(report, 'utf8')).toMatch(/^<!doctype html>/i)
  expect((await desktop.called('dialog.showSaveDialog')).args[0]).toMatchObject({
    defaultPath: 'comparison.html',
  })

  // PDF is printed by a hidden window of the application that may run no script.
  const pdf = folder.file('comparison.pdf')
  desktop.tell({ pick: pdf })
  await page.getByRole('button', { name: 'Export report' }).click()
  await page.getByRole('menuitem', { name: 'PDF' }).click()
  await page.getByText(`Report written to ${pdf}`).waitFor({ timeout: 60_000 })
  expect(readFileSync(pdf).subarray(0, 5).toString('latin1')).toBe('%PDF-')
  await desktop.called('BrowserWindow', ([options]) => {
    const { show, webPreferences } = options as { show: boolean; webPreferences: { javascript?: boolean } }
    return !show && webPreferences.javascript === false
  })
})

test('a file the system asks to open reaches the window', async () => {
  const model = folder.file('dropped on the dock.onnx')
  copyFileSync(MODEL, model)
  await goTo(desktop.page, '#/')
  desktop.tell({ event: { name: 'open-file', args: [model] } })
  await desktop.page.getByRole('grid', { name: 'Layers' }).waitFor()
  await desktop.page.getByRole('heading', { name: 'dropped on the dock' }).first().waitFor()
  await desktop.called('app.addRecentDocument', ([file]) => file === model)
  // A second start hands its files to the first.
  await goTo(desktop.page, '#/')
  const second = folder.file('second start.onnx')
  copyFileSync(MODEL, second)
  desktop.tell({ event: { name: 'second-instance', args: [['electron', '.', second]] } })
  await desktop.page.getByRole('heading', { name: 'second start' }).first().waitFor()
})

test('the window reloads and finds its engine again', async () => {
  await desktop.page.reload()
  await engineReady(desktop.page)
  await goTo(desktop.page, '#/')
  await desktop.page.getByRole('main').getByRole('link', { name: 'Sprite diffusion' }).first().waitFor()
})

test('quitting ends the engine in good order and leaves no process behind', async () => {
  const workspace = folder.file('workspace')
  const engine = enginePid(workspace)
  const children = descendants(desktop.pid)
  expect(children).toContain(engine)
  expect(desktop.complaints.list).toEqual([])
  desktop.tell({ quit: true })
  expect(await desktop.ended()).toBe(0)
  await until(() => !children.some(isAlive), `no process of ${children.join(', ')} is left`)
  // The lock's note is taken away only by an orderly end.
  expect(existsSync(path.join(workspace, 'workspace.lock.json'))).toBe(false)
})
