// The envelope every process boundary speaks: a value, or an error that can be shown to a person.
import type { ErrorCode } from './errors/index.ts'

/** Plain-data form of an error, safe to send through IPC, a socket or a JSON file. */
export interface ErrorShape {
  code: ErrorCode
  message: string
  hint: string
  details: Record<string, unknown>
}

/** Result of a call across a boundary. */
export type Result<T> = { ok: true; value: T } | { ok: false; error: ErrorShape }
