// What travels between the host (Electron main, `aqw serve`) and the engine process: messages of many connections.
import type { ErrorShape } from '../../contract/result.ts'
import type { ClientMessage, ServerMessage } from '../../contract/rpc/message.ts'

export type ToEngine =
  | { connection: number; message: ClientMessage }
  | { connection: number; closed: true }
  /** End in good order: jobs become `interrupted`, the database is closed. */
  | { shutdown: true }

export type FromEngine =
  | { connection: number; message: ServerMessage }
  /** The workspace is open and calls are answered. */
  | { ready: true }
  /** It cannot start, and starting again would not help (workspace locked, newer data). */
  | { refused: ErrorShape }
