// app://workbench/…: the window's own files, from one fixed folder, with the security headers of `aqw serve`.
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { mediaType, resolveStaticFile, securityHeaders } from '../engine/host/static-files.ts'

export const APP_SCHEME = 'app'
const APP_HOST = 'workbench'
export const APP_ORIGIN = `${APP_SCHEME}://${APP_HOST}`

/** Handler for `protocol.handle('app', …)`. */
export function serveApp(root: string): (request: { url: string; method: string }) => Promise<Response> {
  return async ({ url, method }) => {
    const parsed = URL.canParse(url) ? new URL(url) : null
    const ours = method === 'GET' && parsed?.protocol === `${APP_SCHEME}:` && parsed.host === APP_HOST
    const file = ours ? await resolveStaticFile(root, parsed.pathname) : null
    if (!file) return new Response('Not found', { status: 404 })
    return new Response(Readable.toWeb(createReadStream(file)) as ReadableStream, {
      headers: { ...securityHeaders(), 'content-type': mediaType(file) },
    })
  }
}
