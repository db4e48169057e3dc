// The shell services of contract/shell.ts: forwards envelopes between window and engine, and answers the window's few
// requests to the system (picker, menu, taskbar progress, notifications). Every payload is checked.
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  Menu,
  nativeTheme,
  Notification,
  powerSaveBlocker,
  shell,
  type IpcMainEvent,
} from 'electron'
import { existsSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import type { z } from 'zod'
import { clientMessageSchema } from '../contract/rpc/message.ts'
import { shellChannels } from '../contract/shell-channels.ts'
import {
  notificationSchema,
  pickPathSchema,
  printPdfSchema,
  revealPathSchema,
  shellReportSchema,
} from '../contract/shell.ts'
import type { PickPathOptions, ShellReport } from '../contract/shell.ts'
import type { EngineSupervisor, SupervisedConnection } from '../engine/host/supervisor.ts'
import { menuTemplate } from './menu.ts'
import { printPdf } from './print.ts'
import { isTrustedSender } from './security.ts'

const OPENABLE = new Set(['.onnx', '.om', '.aqwproj'])

/** Files of a command line that the window can open. */
export function openPathsFrom(argv: readonly string[]): string[] {
  return argv
    .filter((argument) => OPENABLE.has(path.extname(argument)) && existsSync(argument))
    .map((file) => path.resolve(file))
}

interface ShellContext {
  window: () => BrowserWindow | null
  engine: EngineSupervisor
}

/** Installs all IPC handlers; returns the function that hands a file to the window. */
export function attachShell({ window, engine }: ShellContext): (file: string) => void {
  let connection: SupervisedConnection | null = null
  let pageReady = false
  const pending: string[] = []
  const send = (channel: string, payload: unknown): void => {
    const target = window()
    if (target && !target.isDestroyed()) target.webContents.send(channel, payload)
  }

  /** Registers a listener that only our own page reaches, with a payload that fits its schema. */
  function on<S extends z.ZodType>(channel: string, schema: S, handle: (payload: z.output<S>) => void): void {
    ipcMain.on(channel, (event: IpcMainEvent, payload: unknown) => {
      const parsed = schema.safeParse(payload)
      if (isTrustedSender(event) && parsed.success) handle(parsed.data)
    })
  }

  ipcMain.on(shellChannels.connect, (event) => {
    if (!isTrustedSender(event)) return
    // A reload connects anew: the page's old subscriptions end with its old connection.
    connection?.close()
    send(shellChannels.connection, true)
    connection = engine.connect((message) => send(shellChannels.fromEngine, message))
    pageReady = true
    for (const file of pending.splice(0)) send(shellChannels.openPath, file)
  })
  on(shellChannels.toEngine, clientMessageSchema, (message) => connection?.send(message))
  on(shellChannels.revealPath, revealPathSchema, (file) => shell.showItemInFolder(file))
  on(shellChannels.report, shellReportSchema, (report) => applyReport(report, window(), send))
  on(shellChannels.notify, notificationSchema, (notification) => {
    if (BrowserWindow.getFocusedWindow() || !Notification.isSupported()) return
    const shown = new Notification(notification)
    shown.on('click', () => window()?.show())
    shown.show()
  })
  ipcMain.handle(shellChannels.pickPath, async (event, payload: unknown) => {
    const options = pickPathSchema.safeParse(payload)
    return isTrustedSender(event) && options.success ? pickPath(options.data, window()) : null
  })

  ipcMain.handle(shellChannels.printPdf, async (event, payload: unknown) => {
    const request = printPdfSchema.safeParse(payload)
    if (!isTrustedSender(event) || !request.success) return null
    const { htmlBase64, suggestedName } = request.data
    const target = await pickPath({ kind: 'save', extensions: ['pdf'], suggestedName }, window())
    if (target) await printPdf(Buffer.from(htmlBase64, 'base64'), target)
    return target
  })

  return (file) => {
    app.addRecentDocument(file)
    if (pageReady) send(shellChannels.openPath, file)
    else pending.push(file)
  }
}

async function pickPath(options: PickPathOptions, window: BrowserWindow | null): Promise<string | null> {
  const filters = options.extensions
    ? [{ name: options.extensions.join(', '), extensions: options.extensions }]
    : []
  if (options.kind === 'save') {
    const wanted = { filters, ...(options.suggestedName && { defaultPath: options.suggestedName }) }
    const answer = await (window ? dialog.showSaveDialog(window, wanted) : dialog.showSaveDialog(wanted))
    return answer.canceled || !answer.filePath ? null : answer.filePath
  }
  const wanted = {
    filters,
    properties: [options.kind === 'folder' ? 'openDirectory' : 'openFile'] as (
      'openDirectory' | 'openFile'
    )[],
  }
  const answer = await (window ? dialog.showOpenDialog(window, wanted) : dialog.showOpenDialog(wanted))
  return answer.canceled ? null : (answer.filePaths[0] ?? null)
}

let blocker: number | null = null
let shownMenu = ''

function applyReport(
  report: ShellReport,
  window: BrowserWindow | null,
  send: (channel: string, payload: unknown) => void,
): void {
  window?.setTitle(report.title)
  window?.setProgressBar(report.progress ?? -1)
  nativeTheme.themeSource = report.theme
  keepAwake(report.progress !== null)
  const menu = JSON.stringify([report.commands, report.locale])
  if (menu === shownMenu) return
  shownMenu = menu
  const run = (id: string): void => send(shellChannels.command, id)
  Menu.setApplicationMenu(
    Menu.buildFromTemplate(menuTemplate(report.commands, report.locale, process.platform, run)),
  )
}

/** The system must not fall asleep under a running job. */
function keepAwake(running: boolean): void {
  if (running && blocker === null) blocker = powerSaveBlocker.start('prevent-app-suspension')
  if (running || blocker === null) return
  powerSaveBlocker.stop(blocker)
  blocker = null
}
