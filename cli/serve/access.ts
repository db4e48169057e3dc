// Who may talk to the served window: Host and Origin headers (against DNS rebinding and other sites), and the token.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import os from 'node:os'

export const MIN_TOKEN_LENGTH = 16

/** 256 random bits, safe in a URL. */
export function createToken(): string {
  return randomBytes(32).toString('base64url')
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

/** Compares in constant time. */
export function sameToken(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/** Host names under which a server bound to `host` may be addressed, without ports. */
export function allowedHosts(host: string): Set<string> {
  const names = new Set(['localhost', '127.0.0.1', '[::1]'])
  if (isLoopback(host)) return names
  names.add(host.includes(':') ? `[${host}]` : host.toLowerCase())
  names.add(os.hostname().toLowerCase())
  for (const addresses of Object.values(os.networkInterfaces())) {
    for (const { address, family } of addresses ?? []) names.add(family === 'IPv6' ? `[${address}]` : address)
  }
  return names
}

export interface AccessRules {
  hosts: ReadonlySet<string>
  port: number
  token: string
}

/** The Host header names us: a page of another site that resolves its name to this machine does not get through. */
export function isOwnHost(header: string | undefined, rules: AccessRules): boolean {
  const match = /^(\[[0-9a-f:.]+\]|[^:@/\s]+)(?::(\d+))?$/i.exec(header ?? '')
  if (!match) return false
  const port = match[2] === undefined ? 80 : Number(match[2])
  return port === rules.port && rules.hosts.has((match[1] ?? '').toLowerCase())
}

/** The Origin is our own page. Programs that are not browsers send none; they need the token all the same. */
export function isOwnOrigin(origin: string | undefined, host: string | undefined): boolean {
  return origin === undefined || origin === `http://${host ?? ''}`
}
