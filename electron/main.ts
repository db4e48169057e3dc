// Electron's main process: one window, one engine process, one set of rules. Thin on purpose: all work is elsewhere.
import { app, BrowserWindow, crashReporter, dialog, nativeTheme, protocol } from 'electron'
import path from 'node:path'
import process from 'node:process'
import { startEngine } from './engine.ts'
import { attachShell, openPathsFrom } from './shell.ts'
import { APP_ORIGIN, APP_SCHEME, serveApp } from './protocol.ts'
import { hardenContents, hardenSession } from './security.ts'

// Colours of the window's own background (renderer/theme), so that it does not flash white while loading.
const BACKGROUND = { light: '#f6f7f8', dark: '#0f1215' }

app.setName('Ascend Quant Workbench')
app.enableSandbox()
protocol.registerSchemesAsPrivileged([
  { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
])
hardenContents()

let window: BrowserWindow | null = null
/** Files the system asked to open before the window could take them. */
const waiting: string[] = []
let openPath = (file: string): void => void waiting.push(file)

function showWindow(): void {
  if (!window) return
  if (window.isMinimized()) window.restore()
  window.show()
  window.focus()
}

function createWindow(): BrowserWindow {
  const created = new BrowserWindow({
    name: 'main',
    windowStatePersistence: true,
    width: 1440,
    height: 900,
    minWidth: 1024,
    minHeight: 700,
    show: false,
    backgroundColor: nativeTheme.shouldUseDarkColors ? BACKGROUND.dark : BACKGROUND.light,
    webPreferences: {
      preload: path.join(import.meta.dirname, '..', 'preload', 'preload.cjs'),
      contextIsolation: true,
      nodeIntegration: false,
      sandbox: true,
      webSecurity: true,
      spellcheck: false,
    },
  })
  created.once('ready-to-show', () => created.show())
  created.on('closed', () => {
    window = null
  })
  created.webContents.on(
    'render-process-gone',
    (_event, details) => void offerReload(created, details.reason),
  )
  return created
}

/** Jobs live in the engine, so a crashed page loses nothing: offer to load it again. */
async function offerReload(target: BrowserWindow, reason: string): Promise<void> {
  if (target.isDestroyed() || reason === 'clean-exit') return
  const { response } = await dialog.showMessageBox(target, {
    type: 'error',
    message: `The window stopped (${reason}). 窗口意外停止。`,
    detail: 'Running jobs go on. 正在运行的任务不受影响。',
    buttons: ['Reload 重新加载', 'Quit 退出'],
  })
  if (response === 0) target.webContents.reload()
  else app.quit()
}

async function start(): Promise<void> {
  await app.whenReady()
  crashReporter.start({ uploadToServer: false })
  hardenSession()
  protocol.handle(APP_SCHEME, serveApp(path.join(import.meta.dirname, '..', 'renderer')))
  const engine = startEngine()
  window = createWindow()
  openPath = attachShell({ window: () => window, engine })
  for (const file of [...waiting.splice(0), ...openPathsFrom(process.argv.slice(1))]) openPath(file)
  app.on('activate', () => {
    if (window) return showWindow()
    window = createWindow()
    void window.loadURL(`${APP_ORIGIN}/index.html`)
  })
  let stopped = false
  app.on('before-quit', (event) => {
    if (stopped) return
    // Quit again once the engine has marked its jobs as interrupted and closed the database.
    event.preventDefault()
    void engine.stop().finally(() => {
      stopped = true
      app.quit()
    })
  })
  await window.loadURL(`${APP_ORIGIN}/index.html`)
}

if (app.requestSingleInstanceLock()) {
  app.on('second-instance', (_event, argv) => {
    showWindow()
    for (const file of openPathsFrom(argv.slice(1))) openPath(file)
  })
  app.on('open-file', (event, file) => {
    event.preventDefault()
    openPath(file)
  })
  app.on('window-all-closed', () => {
    if (process.platform !== 'darwin') app.quit()
  })
  void start()
} else {
  app.quit()
}
