// app://workbench/…: the window's own files, from one fixed folder, with the content security policy as a header.
import { createReadStream } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { contentSecurityPolicy, mimeTypes } from '../engine/host/static-files.ts'

export const APP_SCHEME = 'app'
export const APP_ORIGIN = 'app://workbench'

/** Path of a request inside `root`, or null when it is not a file there. Never leaves the folder, links included. */
export async function resolveInside(root: string, url: string): Promise<string | null> {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (!parsed || parsed.protocol !== `${APP_SCHEME}:` || parsed.host !== 'workbench') return null
  let relative: string
  try {
    relative = decodeURIComponent(parsed.pathname)
  } catch {
    return null
  }
  if (relative.includes('\0')) return null
  const wanted = path.join(root, relative === '/' ? 'index.html' : relative)
  try {
    const [base, real] = await Promise.all([realpath(root), realpath(wanted)])
    const inside = real.startsWith(base + path.sep)
    return inside && (await stat(real)).isFile() ? real : null
  } catch {
    return null
  }
}

/** Handler for `protocol.handle('app', …)`. */
export function serveApp(root: string): (request: { url: string; method: string }) => Promise<Response> {
  return async (request) => {
    const file = request.method === 'GET' ? await resolveInside(root, request.url) : null
    if (!file) return new Response('Not found', { status: 404 })
    const type = mimeTypes[path.extname(file)] ?? 'application/octet-stream'
    return new Response(Readable.toWeb(createReadStream(file)) as ReadableStream, {
      headers: {
        'content-type': type,
        'content-security-policy': contentSecurityPolicy,
        'x-content-type-options': 'nosniff',
        'cross-origin-opener-policy': 'same-origin',
      },
    })
  }
}
