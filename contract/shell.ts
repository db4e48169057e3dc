// The desktop shell's side of the contract: what the preload exposes as `window.aqw`, and the IPC behind it.
import { z } from 'zod'
import type { ClientMessage, ServerMessage } from './rpc/message.ts'

/** A command of the window's registry as the native menu shows it. */
export const menuCommandSchema = z.strictObject({
  id: z.string().min(1).max(100),
  group: z.enum(['go', 'project', 'run', 'view', 'help']),
  title: z.string().max(200),
  /** e.g. `Mod+Shift+P`; `Mod` is Ctrl, on macOS Command. */
  shortcut: z.string().max(40).optional(),
  enabled: z.boolean(),
})
export type MenuCommand = z.infer<typeof menuCommandSchema>

/** What the window tells the shell about itself. */
export const shellReportSchema = z.strictObject({
  title: z.string().max(300),
  /** 0..1 for the taskbar, null when nothing runs. */
  progress: z.number().min(0).max(1).nullable(),
  theme: z.enum(['light', 'dark', 'system']),
  locale: z.enum(['en', 'zh']),
  commands: z.array(menuCommandSchema).max(300),
})
export type ShellReport = z.infer<typeof shellReportSchema>

export const pickPathSchema = z.strictObject({
  kind: z.enum(['file', 'folder', 'save']),
  extensions: z
    .array(z.string().regex(/^[a-z0-9]{1,12}$/))
    .max(12)
    .optional(),
  suggestedName: z.string().max(255).optional(),
})
export type PickPathOptions = z.infer<typeof pickPathSchema>

export const revealPathSchema = z.string().min(1).max(4096)

/** A report page to print; bounded because it travels through IPC. */
export const printPdfSchema = z.strictObject({
  htmlBase64: z.base64().max(64 * 1024 * 1024),
  suggestedName: z.string().min(1).max(255),
})
export type PrintPdfRequest = z.infer<typeof printPdfSchema>

export const notificationSchema = z.strictObject({ title: z.string().max(200), body: z.string().max(1000) })
export type ShellNotification = z.infer<typeof notificationSchema>

/** `window.aqw`: the same envelopes as the WebSocket of `aqw serve`, and a few shell services. */
export interface ShellBridge {
  /** Asks main for the engine's state; answers arrive through `onConnection` and `onMessage`. */
  connect(): void
  send(message: ClientMessage): void
  onMessage(callback: (message: ServerMessage) => void): void
  /** The port to the engine opened (also again after a restart) or closed. */
  onConnection(callback: (open: boolean) => void): void
  /** Path of a dropped or picked file (`webUtils.getPathForFile`). */
  pathForFile(file: File): string
  /** The native menu asks for a command of the window's registry. */
  onCommand(callback: (commandId: string) => void): void
  /** A file or project the system asked to open. */
  onOpenPath(callback: (path: string) => void): void
  /** Native picker; null when it was closed. */
  pickPath(options: PickPathOptions): Promise<string | null>
  /** Prints a report as PDF where the user says; the path, or null when the picker was closed. */
  printPdf(request: PrintPdfRequest): Promise<string | null>
  /** Shows a file in the system's file manager. */
  revealPath(path: string): void
  /** The window's state for the title bar, taskbar progress and native menu. */
  report(state: ShellReport): void
  /** System notification, shown only while the window has no focus. */
  notify(notification: ShellNotification): void
}
