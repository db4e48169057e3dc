// The preload: the whole surface the window gets. Bundled to one CommonJS file because the sandbox allows no imports.
import { contextBridge, ipcRenderer, webUtils } from 'electron'
import type { ShellBridge } from '../contract/shell.ts'
import { shellChannels } from '../contract/shell-channels.ts'

/** Passes only the payload on: the window must never hold an IPC event object (Electron security checklist, 20). */
function on<T>(channel: string, callback: (payload: T) => void): void {
  ipcRenderer.on(channel, (_event, payload: T) => callback(payload))
}

const bridge: ShellBridge = {
  connect: () => ipcRenderer.send(shellChannels.connect),
  send: (message) => ipcRenderer.send(shellChannels.toEngine, message),
  onMessage: (callback) => on(shellChannels.fromEngine, callback),
  onConnection: (callback) => on(shellChannels.connection, callback),
  pathForFile: (file) => webUtils.getPathForFile(file),
  onCommand: (callback) => on(shellChannels.command, callback),
  onOpenPath: (callback) => on(shellChannels.openPath, callback),
  pickPath: (options) => ipcRenderer.invoke(shellChannels.pickPath, options) as Promise<string | null>,
  printPdf: (request) => ipcRenderer.invoke(shellChannels.printPdf, request) as Promise<string | null>,
  revealPath: (path) => ipcRenderer.send(shellChannels.revealPath, path),
  report: (state) => ipcRenderer.send(shellChannels.report, state),
  notify: (notification) => ipcRenderer.send(shellChannels.notify, notification),
}

contextBridge.exposeInMainWorld('aqw', bridge)
