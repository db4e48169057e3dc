// A stand-in for the 'electron' module over playwright-core: runs main and preload unmodified in real Chromium where
// Electron's own binary cannot be had. It proves our main/preload logic, not Electron's behaviour: IPC is JSON, the
// preload shares the page's world, app:// is mapped to an intercepted https origin. Nothing of it reaches the network.
import { EventEmitter } from 'node:events'
import { mkdtempSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { chromium, type BrowserContext, type Page, type Route } from 'playwright-core'

/** Origin that stands for app://workbench; every request to it is answered by the app's protocol handler. */
const MAPPED_ORIGIN = 'https://workbench.app.test'
const toMapped = (url: string): string => url.replace(/^app:\/\/workbench/, MAPPED_ORIGIN)
const fromMapped = (url: string): string => url.replace(MAPPED_ORIGIN, 'app://workbench')

type Handler = (request: { url: string; method: string }) => Promise<Response>
type Listener = (event: unknown, ...args: unknown[]) => unknown

const handlers = new Map<string, Handler>()
/** The test attaches to the same page over the DevTools protocol. */
const cdp = process.env['STAND_IN_CDP_PORT']
  ? [`--remote-debugging-port=${process.env['STAND_IN_CDP_PORT']}`]
  : []
const userData =
  process.env['STAND_IN_USER_DATA'] ?? mkdtempSync(path.join(os.tmpdir(), 'electron stand-in '))
/** Path that the next file dialog answers with; null closes it without a choice. */
let picked: string | null = process.env['STAND_IN_PICK'] ?? null
let profile: Promise<BrowserContext> | null = null

function record(name: string, ...args: unknown[]): void {
  process.send?.({ shellCall: { name, args } })
}

class App extends EventEmitter {
  name = 'Ascend Quant Workbench'
  isPackaged = false
  whenReady = (): Promise<void> => Promise.resolve()
  isReady = (): boolean => true
  requestSingleInstanceLock = (): boolean => process.env['STAND_IN_SECOND_INSTANCE'] !== '1'
  getAppPath = (): string => process.cwd()
  getPath = (name: string): string => path.join(userData, name)
  getVersion = (): string => '0.0.0-stand-in'
  getLocale = (): string => 'en-US'
  setName = (name: string): void => void (this.name = name)
  setAppUserModelId = (): void => {}
  setDesktopName = (): void => {}
  addRecentDocument = (file: string): void => record('app.addRecentDocument', file)
  setAsDefaultProtocolClient = (): boolean => true
  enableSandbox = (): void => record('app.enableSandbox')
  quit = (): void => {
    let prevented = false
    const event = { preventDefault: () => void (prevented = true) }
    this.emit('before-quit', event)
    if (prevented) return
    this.emit('will-quit', { preventDefault: () => {} })
    void profile?.then((open) => open.close()).finally(() => process.exit(0))
    if (!profile) process.exit(0)
  }
  exit = (code = 0): void => process.exit(code)
}
export const app = new App()

class IpcMain extends EventEmitter {
  readonly invokes = new Map<string, Listener>()
  handle(channel: string, listener: Listener): void {
    this.invokes.set(channel, listener)
  }
}
export const ipcMain = new IpcMain()

class WebContents extends EventEmitter {
  page: Page | null = null
  /** A page outside of app:// that the app loads. */
  loading: string | null = null
  openHandler: ((details: { url: string }) => { action: 'allow' | 'deny' }) | null = null
  setWindowOpenHandler(handler: (details: { url: string }) => { action: 'allow' | 'deny' }): void {
    this.openHandler = handler
  }
  send(channel: string, ...args: unknown[]): void {
    void this.page
      ?.evaluate(
        ([name, values]) => {
          const receive = (globalThis as unknown as Record<string, (c: string, a: unknown[]) => void>)[
            '__standInReceive'
          ]
          receive?.(name as string, values as unknown[])
        },
        [channel, args] as const,
      )
      .catch(() => undefined)
  }
  /** Asks the app's `will-navigate` listeners; false when one prevents it. */
  mayLeave(url: string): boolean {
    let allowed = true
    this.emit('will-navigate', { url, preventDefault: () => void (allowed = false) }, url)
    return allowed
  }
  getURL(): string {
    return fromMapped(this.page?.url() ?? '')
  }
  isDestroyed(): boolean {
    return this.page === null || this.page.isClosed()
  }
  async printToPDF(options: { printBackground?: boolean } = {}): Promise<Buffer> {
    return (
      (await this.page?.pdf({ printBackground: options.printBackground ?? true, format: 'A4' })) ??
      Buffer.alloc(0)
    )
  }
  reload(): void {
    void this.page?.reload()
  }
}

/** The one browser profile; its requests are answered here, so that the rules of the app decide what is loaded. */
function openProfile(width: number, height: number): Promise<BrowserContext> {
  profile ??= chromium
    .launchPersistentContext(path.join(userData, 'profile'), {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: ['--no-sandbox', ...cdp],
      viewport: { width, height },
      locale: process.env['STAND_IN_LOCALE'] ?? 'en-US',
      permissions: ['clipboard-read', 'clipboard-write'],
    })
    .then(async (context) => {
      await context.route('**/*', answer)
      return context
    })
  return profile
}

async function answer(route: Route): Promise<void> {
  const request = route.request()
  const window = BrowserWindow.windows.find((open) => open.webContents.page === request.frame().page())
  if (!window) return route.abort()
  // What the app itself loads is no navigation of the page.
  if (request.url() === window.webContents.loading) return route.continue()
  const handler = handlers.get('app')
  if (!request.url().startsWith(`${MAPPED_ORIGIN}/`) || !handler) {
    if (request.isNavigationRequest()) {
      record('will-navigate', request.url(), window.webContents.mayLeave(request.url()))
    }
    return route.abort('aborted')
  }
  const response = await handler({ url: fromMapped(request.url()), method: request.method() })
  await route.fulfill({
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: Buffer.from(await response.arrayBuffer()),
  })
}

interface WindowOptions {
  width?: number
  height?: number
  webPreferences?: {
    preload?: string
    sandbox?: boolean
    contextIsolation?: boolean
    nodeIntegration?: boolean
    javascript?: boolean
  }
}

/** The preload's side of IPC, evaluated in the page before anything else. */
function pageRuntime(preloadSource: string): string {
  return `(() => {
    const listeners = new Map()
    globalThis.__standInReceive = (channel, args) => {
      for (const listener of listeners.get(channel) ?? []) listener({}, ...args)
    }
    // Whether a new window may open is asked in the browser process; this one never opens any.
    const open = (target) => (globalThis.__standInOpen(new URL(target, location.href).href), null)
    globalThis.open = open
    addEventListener('click', (event) => {
      const link = event.target instanceof Element ? event.target.closest('a[target=_blank]') : null
      if (!link) return
      event.preventDefault()
      open(link.href)
    })
    const ipcRenderer = {
      send: (channel, ...args) => void globalThis.__standInSend(channel, JSON.stringify(args)),
      invoke: async (channel, ...args) => {
        const answer = JSON.parse(await globalThis.__standInInvoke(channel, JSON.stringify(args)))
        if (answer.error) throw new Error("Error invoking remote method '" + channel + "': " + answer.error)
        return answer.value
      },
      on: (channel, listener) => listeners.set(channel, [...(listeners.get(channel) ?? []), listener]),
    }
    const electron = {
      contextBridge: { exposeInMainWorld: (name, value) => (globalThis[name] = value) },
      ipcRenderer,
      webUtils: { getPathForFile: (file) => file.name },
    }
    const module = { exports: {} }
    const require = (name) => {
      if (name === 'electron') return electron
      throw new Error('a sandboxed preload cannot require ' + name)
    }
    ;((module, exports, require) => { ${preloadSource} })(module, module.exports, require)
  })()`
}

export class BrowserWindow extends EventEmitter {
  static windows: BrowserWindow[] = []
  static getAllWindows = (): BrowserWindow[] => BrowserWindow.windows
  static getFocusedWindow = (): BrowserWindow | null => BrowserWindow.windows[0] ?? null
  static fromWebContents = (contents: WebContents): BrowserWindow | null =>
    BrowserWindow.windows.find((window) => window.webContents === contents) ?? null

  readonly webContents = new WebContents()
  readonly options: WindowOptions

  constructor(options: WindowOptions = {}) {
    super()
    this.options = options
    BrowserWindow.windows.push(this)
    record('BrowserWindow', options)
    app.emit('web-contents-created', {}, this.webContents)
    app.emit('browser-window-created', {}, this)
  }

  async loadURL(url: string): Promise<void> {
    const { width = 1280, height = 800 } = this.options
    const context = await openProfile(width, height)
    const taken = BrowserWindow.windows.map((window) => window.webContents.page)
    const page = context.pages().find((open) => !taken.includes(open)) ?? (await context.newPage())
    this.webContents.page = page
    page.on('close', () => this.#closed())
    const { preload, javascript = true } = this.options.webPreferences ?? {}
    if (!javascript) {
      const devTools = await context.newCDPSession(page)
      await devTools.send('Emulation.setScriptExecutionDisabled', { value: true })
    }
    if (preload) await this.#bridge(page, preload)
    const target = toMapped(url)
    if (target === url) this.webContents.loading = url
    await page.goto(target)
    this.emit('ready-to-show')
    this.webContents.emit('did-finish-load')
    process.send?.({ ready: { url } })
  }

  async #bridge(page: Page, preload: string): Promise<void> {
    const sender = (): unknown => ({
      sender: this.webContents,
      senderFrame: { url: fromMapped(page.url()), parent: null },
    })
    await page.exposeFunction('__standInSend', (channel: string, args: string) => {
      ipcMain.emit(channel, sender(), ...(JSON.parse(args) as unknown[]))
    })
    await page.exposeFunction('__standInInvoke', async (channel: string, args: string) => {
      const listener = ipcMain.invokes.get(channel)
      if (!listener) return JSON.stringify({ error: `No handler registered for '${channel}'` })
      try {
        return JSON.stringify({ value: await listener(sender(), ...(JSON.parse(args) as unknown[])) })
      } catch (thrown) {
        return JSON.stringify({ error: String(thrown) })
      }
    })
    await page.exposeFunction('__standInOpen', (target: string) => {
      const action = this.webContents.openHandler?.({ url: fromMapped(target) }).action ?? 'allow'
      record('window.open', target, action)
    })
    await page.addInitScript(pageRuntime(readFileSync(preload, 'utf8')))
  }

  #closed(): void {
    const index = BrowserWindow.windows.indexOf(this)
    if (index < 0) return
    BrowserWindow.windows.splice(index, 1)
    this.emit('closed')
    if (BrowserWindow.windows.length === 0) app.emit('window-all-closed')
  }

  destroy(): void {
    void this.webContents.page?.close()
  }

  show(): void {}
  focus(): void {}
  restore(): void {}
  isMinimized = (): boolean => false
  isFocused = (): boolean => true
  isDestroyed = (): boolean => this.webContents.isDestroyed()
  close(): void {
    let prevented = false
    this.emit('close', { preventDefault: () => void (prevented = true) })
    if (!prevented) void this.webContents.page?.close()
  }
  setTitle = (title: string): void => record('window.setTitle', title)
  setProgressBar = (progress: number): void => record('window.setProgressBar', progress)
  setBackgroundColor = (): void => {}
}

export const protocol = {
  registerSchemesAsPrivileged: (schemes: unknown): void =>
    record('protocol.registerSchemesAsPrivileged', schemes),
  handle: (scheme: string, handler: Handler): void => void handlers.set(scheme, handler),
}

interface MenuItem {
  id?: string
  label?: string
  role?: string
  enabled?: boolean
  click?: () => void
  submenu?: MenuItem[]
}
export const Menu = {
  current: null as MenuItem[] | null,
  buildFromTemplate: (template: MenuItem[]): MenuItem[] => template,
  setApplicationMenu: (menu: MenuItem[] | null): void => {
    Menu.current = menu
    const labels = (menu ?? []).map((entry) => ({
      label: entry.label ?? entry.role,
      items: (entry.submenu ?? []).map((item) => item.id ?? item.role ?? item.label),
    }))
    record('Menu.setApplicationMenu', labels)
  },
}

const permissionHandlers = {
  setPermissionRequestHandler: (): void => record('session.setPermissionRequestHandler'),
  setPermissionCheckHandler: (): void => record('session.setPermissionCheckHandler'),
}
export const session = { defaultSession: permissionHandlers }
export const shell = {
  openExternal: async (url: string): Promise<void> => record('shell.openExternal', url),
  showItemInFolder: (file: string): void => record('shell.showItemInFolder', file),
}
export const dialog = {
  showOpenDialog: async (...args: unknown[]): Promise<{ canceled: boolean; filePaths: string[] }> => {
    record('dialog.showOpenDialog', args.at(-1))
    return { canceled: picked === null, filePaths: picked === null ? [] : [picked] }
  },
  showSaveDialog: async (...args: unknown[]): Promise<{ canceled: boolean; filePath: string }> => {
    record('dialog.showSaveDialog', args.at(-1))
    return { canceled: picked === null, filePath: picked ?? '' }
  },
  showMessageBox: async (...args: unknown[]): Promise<{ response: number }> => {
    record('dialog.showMessageBox', args.at(-1))
    return { response: 0 }
  },
  showErrorBox: (title: string, content: string): void => record('dialog.showErrorBox', title, content),
}
export const nativeTheme = new (class extends EventEmitter {
  shouldUseDarkColors = false
  themeSource = 'system'
})()
export class Notification extends EventEmitter {
  static isSupported = (): boolean => true
  constructor(options: unknown) {
    super()
    record('Notification', options)
  }
  show(): void {}
}
export const powerSaveBlocker = {
  start: (kind: string): number => (record('powerSaveBlocker.start', kind), 1),
  stop: (): void => record('powerSaveBlocker.stop'),
  isStarted: (): boolean => false,
}
export const crashReporter = { start: (options: unknown): void => record('crashReporter.start', options) }

/** What the test asks for over the channel of the fork. */
export interface DriverMessage {
  /** Clicks the menu item of this id. */
  menu?: string
  /** Closes the window. */
  close?: true
  quit?: true
  /** Answer of the next file dialogs. */
  pick?: string | null
  /** Emits an event of `app`. */
  event?: { name: string; args: unknown[] }
}

process.on('message', (message: DriverMessage) => {
  const all = (Menu.current ?? []).flatMap((entry) => entry.submenu ?? [])
  if (message.menu) all.find((item) => item.id === message.menu)?.click?.()
  if (message.close) BrowserWindow.windows[0]?.close()
  if (message.quit) app.quit()
  if (message.pick !== undefined) picked = message.pick
  if (message.event) app.emit(message.event.name, { preventDefault: () => {} }, ...message.event.args)
})
export default {
  app,
  BrowserWindow,
  ipcMain,
  protocol,
  Menu,
  session,
  shell,
  dialog,
  nativeTheme,
  Notification,
}
