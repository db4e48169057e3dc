// Hardening that holds for every web contents: no navigation, no new windows, no webviews, no permissions but three.
// Follows the items of Electron's security checklist; the numbers are the checklist's.
import { app, session, shell, type IpcMainEvent, type IpcMainInvokeEvent } from 'electron'
import { APP_ORIGIN } from './protocol.ts'

const ALLOWED_PERMISSIONS = new Set(['clipboard-sanitized-write', 'notifications', 'fullscreen'])

/** Opens a web page in the user's browser; anything but http(s) is refused (15). */
export async function openExternal(url: string): Promise<boolean> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return false
  await shell.openExternal(url)
  return true
}

function isOwnPage(url: string): boolean {
  return url === APP_ORIGIN || url.startsWith(`${APP_ORIGIN}/`)
}

/** Only the main frame of our own page may talk to main (17). */
export function isTrustedSender(event: IpcMainEvent | IpcMainInvokeEvent): boolean {
  const frame = event.senderFrame
  return frame !== null && frame.parent === null && isOwnPage(frame.url)
}

/** Installs the hooks. Call before the first window exists. */
export function hardenContents(): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.on('will-navigate', (event) => event.preventDefault())
    contents.on('will-redirect', (event) => event.preventDefault())
    contents.on('will-attach-webview', (event) => event.preventDefault())
    contents.setWindowOpenHandler(({ url }) => {
      void openExternal(url)
      return { action: 'deny' }
    })
  })
}

/** Permission requests and checks, both denied unless listed (5). Call when the app is ready. */
export function hardenSession(): void {
  const ours = session.defaultSession
  ours.setPermissionRequestHandler((_contents, permission, callback) => {
    callback(ALLOWED_PERMISSIONS.has(permission))
  })
  ours.setPermissionCheckHandler((_contents, permission, origin) => {
    return ALLOWED_PERMISSIONS.has(permission) && isOwnPage(origin.replace(/\/$/, ''))
  })
}
