// Serving the window's own files: types, security headers, and which file a request means. Shared by Electron and serve.
import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'

const DIRECTIVES: readonly (readonly [string, string])[] = [
  ['default-src', "'self'"],
  ['script-src', "'self'"],
  // The component kit and the charts set style attributes.
  ['style-src', "'self' 'unsafe-inline'"],
  ['img-src', "'self' data: blob:"],
  ['font-src', "'self' data:"],
  ['connect-src', "'self'"],
  ['worker-src', "'self' blob:"],
  ['object-src', "'none'"],
  ['base-uri', "'none'"],
  ['frame-src', "'none'"],
  ['frame-ancestors', "'none'"],
  ['form-action', "'none'"],
]

/** Content security policy of the window, with further origins to connect to, such as `ws://127.0.0.1:8420`. */
export function policyWith(connect: readonly string[]): string {
  return DIRECTIVES.map(([name, value]) =>
    name === 'connect-src' ? [name, value, ...connect].join(' ') : `${name} ${value}`,
  ).join('; ')
}

/** Media types by extension; anything else is `application/octet-stream`. */
const mimeTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.ico': 'image/x-icon',
  '.webp': 'image/webp',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
}

export function mediaType(file: string): string {
  return mimeTypes[path.extname(file).toLowerCase()] ?? 'application/octet-stream'
}

/** Headers of every answer, whatever it holds. */
export function securityHeaders(connect: readonly string[] = []): Record<string, string> {
  return {
    'content-security-policy': policyWith(connect),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  }
}

/**
 * The file inside `root` that a URL path means, or null: nothing outside the folder, not through `..`, encodings
 * or links, no hidden files, no folders except the root itself (index.html).
 */
export async function resolveStaticFile(root: string, urlPath: string): Promise<string | null> {
  let decoded: string
  try {
    decoded = decodeURIComponent(urlPath)
  } catch {
    return null
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return null
  const parts = decoded.split('/').filter((part) => part !== '')
  if (parts.some((part) => part.startsWith('.'))) return null
  const wanted = path.join(root, ...(parts.length === 0 ? ['index.html'] : parts))
  try {
    const [base, real] = await Promise.all([realpath(root), realpath(wanted)])
    const inside = real.startsWith(base + path.sep)
    return inside && (await stat(real)).isFile() ? real : null
  } catch {
    return null
  }
}
