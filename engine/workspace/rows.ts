// Small helpers shared by the tables: ids that sort by time, timestamps, JSON columns, missing rows.
import { randomBytes } from 'node:crypto'
import { AppError } from '../../contract/errors/index.ts'

/** UUID version 7 (RFC 9562): 48 bits of milliseconds, the rest random, so that ids sort by creation. */
export function newId(now = Date.now()): string {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(now, 0, 6)
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

export function now(): string {
  return new Date().toISOString()
}

/** A JSON column written by this program. */
export function fromJson<T>(text: string): T {
  return JSON.parse(text) as T
}

export function notFound(entity: string, id: string): AppError {
  return new AppError('E_WORKSPACE_NOT_FOUND', { entity, id })
}

/** What one change was, for windows that show the list it belongs to. */
export interface LibraryChange {
  entity: 'project' | 'model' | 'dataset' | 'recipe' | 'run' | 'calibration'
  action: 'added' | 'changed' | 'removed'
  id: string
  projectId: string
}
