// What travels between window and engine. Transports (WebSocket, MessagePort, IPC) only forward these.
import { z } from 'zod'
import { errorShapeSchema } from '../workspace.ts'

/** Raised when a message or a channel changes so that an old window would misread it. */
export const PROTOCOL_VERSION = 1

/** Chosen by the client, unique within its connection; invocations and subscriptions share the space. */
const messageId = z.union([z.number().int().nonnegative(), z.string().min(1).max(64)])
export type MessageId = z.infer<typeof messageId>

const invokeSchema = z.strictObject({ id: messageId, channel: z.string().max(100), input: z.unknown() })
const subscribeSchema = z.strictObject({
  subscribe: z.strictObject({ id: messageId, topic: z.string().max(100), input: z.unknown() }),
})
const cancelSchema = z.strictObject({ cancel: z.strictObject({ id: messageId }) })
const unsubscribeSchema = z.strictObject({ unsubscribe: z.strictObject({ id: messageId }) })
/** Answered with `pong`, so that a dead connection is noticed on both sides. */
const pingSchema = z.strictObject({ ping: z.number() })

export const clientMessageSchema = z.union([
  invokeSchema,
  subscribeSchema,
  cancelSchema,
  unsubscribeSchema,
  pingSchema,
])
export type ClientMessage = z.infer<typeof clientMessageSchema>

/** State of the engine process as its supervisor sees it. */
export const engineStateSchema = z.object({
  state: z.enum(['starting', 'ready', 'restarting', 'failed', 'stopped']),
  /** Times it was restarted after a crash. */
  restarts: z.number().int().nonnegative(),
  error: errorShapeSchema.nullable(),
})
export type EngineState = z.infer<typeof engineStateSchema>

const resultSchema = z.union([
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: errorShapeSchema }),
])

export const serverMessageSchema = z.union([
  z.object({ id: messageId, result: resultSchema }),
  /** Next event of a subscription. */
  z.object({ id: messageId, event: z.unknown() }),
  /** The subscription ended: refused, or its subject is gone. */
  z.object({ id: messageId, ended: errorShapeSchema.nullable() }),
  /** First message of a connection, and again when the state changes. After `restarting -> ready` the client subscribes anew. */
  z.object({ engine: engineStateSchema, protocol: z.number().int() }),
  z.object({ pong: z.number() }),
])
export type ServerMessage = z.infer<typeof serverMessageSchema>
