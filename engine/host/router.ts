// The server half of the RPC: checks what comes in and what goes out, runs handlers, cancels, keeps subscriptions.
import type { z } from 'zod'
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import {
  channels,
  clientMessageSchema,
  isChannel,
  isTopic,
  topics,
  type ChannelName,
  type ChannelOutput,
  type ChannelRequest,
  type ClientMessage,
  type MessageId,
  type ServerMessage,
  type TopicEvent,
  type TopicName,
  type TopicRequest,
} from '../../contract/rpc/index.ts'
import { nearestNames } from '../common/nearest.ts'
import { silentLogger, type Logger } from '../common/log.ts'

/** Bounds per connection: a window needs a handful of each. */
const MAX_CALLS = 256
const MAX_SUBSCRIPTIONS = 256

export interface CallContext {
  /** Aborts when the caller cancels or goes away. */
  signal: AbortSignal
}

export type Handlers = {
  [C in ChannelName]: (
    input: ChannelRequest<C>,
    context: CallContext,
  ) => Promise<ChannelOutput<C>> | ChannelOutput<C>
}

export type TopicHandlers = {
  /** Calls `emit` until `signal` aborts. Returning does not end the subscription; throwing refuses it. */
  [T in TopicName]: (
    input: TopicRequest<T>,
    emit: (event: TopicEvent<T>) => void,
    signal: AbortSignal,
  ) => void | Promise<void>
}

type AnyHandler = (input: unknown, context: CallContext) => unknown
type AnyTopicHandler = (input: unknown, emit: (event: unknown) => void, signal: AbortSignal) => unknown

export interface Connection {
  receive(message: unknown): void
  /** Cancels everything that the connection asked for. */
  close(): void
}

function checked(schema: z.ZodType, value: unknown, channel: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue && issue.path.length > 0 ? issue.path.join('.') : 'input'
  throw new AppError('E_RPC_INPUT', { channel, field, reason: issue?.message ?? 'invalid' })
}

/** A reply of ours that does not fit its schema is a defect of ours, not of the caller. */
function checkedOutput(schema: z.ZodType, value: unknown, name: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Error(
    `${name}: reply does not fit its schema at ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  )
}

function unknownName(what: string, name: string, known: readonly string[]): AppError {
  return new AppError('E_RPC_UNKNOWN', { what, name, suggestions: nearestNames(known, name) })
}

export class Router {
  readonly #handlers: Handlers
  readonly #topicHandlers: TopicHandlers
  readonly #logger: Logger

  constructor(handlers: Handlers, topicHandlers: TopicHandlers, logger: Logger = silentLogger) {
    this.#handlers = handlers
    this.#topicHandlers = topicHandlers
    this.#logger = logger
  }

  connect(send: (message: ServerMessage) => void): Connection {
    return new RouterConnection(
      this.#handlers as unknown as Record<string, AnyHandler>,
      this.#topicHandlers as unknown as Record<string, AnyTopicHandler>,
      this.#logger,
      send,
    )
  }
}

class RouterConnection implements Connection {
  readonly #handlers: Record<string, AnyHandler>
  readonly #topicHandlers: Record<string, AnyTopicHandler>
  readonly #logger: Logger
  readonly #send: (message: ServerMessage) => void
  readonly #calls = new Map<MessageId, AbortController>()
  readonly #subscriptions = new Map<MessageId, AbortController>()
  #closed = false

  constructor(
    handlers: Record<string, AnyHandler>,
    topicHandlers: Record<string, AnyTopicHandler>,
    logger: Logger,
    send: (message: ServerMessage) => void,
  ) {
    this.#handlers = handlers
    this.#topicHandlers = topicHandlers
    this.#logger = logger
    this.#send = send
  }

  receive(raw: unknown): void {
    if (this.#closed) return
    const parsed = clientMessageSchema.safeParse(raw)
    if (!parsed.success) return this.#refuse(raw)
    const message: ClientMessage = parsed.data
    if ('ping' in message) this.#reply({ pong: message.ping })
    else if ('cancel' in message) this.#calls.get(message.cancel.id)?.abort()
    else if ('unsubscribe' in message) this.#endSubscription(message.unsubscribe.id)
    else if ('subscribe' in message) void this.#subscribe(message.subscribe)
    else void this.#invoke(message)
  }

  close(): void {
    this.#closed = true
    for (const controller of [...this.#calls.values(), ...this.#subscriptions.values()]) controller.abort()
    this.#calls.clear()
    this.#subscriptions.clear()
  }

  /** A message that fits nothing: answered when it has an id to answer to, else dropped. */
  #refuse(raw: unknown): void {
    const id = (raw as { id?: unknown } | null)?.id
    const reason = 'it fits no kind of message'
    this.#logger.warning(`message refused: ${reason}`)
    if (typeof id !== 'number' && typeof id !== 'string') return
    this.#reply({ id, result: { ok: false, error: toErrorShape(new AppError('E_RPC_MESSAGE', { reason })) } })
  }

  async #invoke(message: Extract<ClientMessage, { channel: string }>): Promise<void> {
    const { id, channel } = message
    if (this.#calls.has(id) || this.#calls.size >= MAX_CALLS) {
      const reason = this.#calls.has(id) ? `id ${id} is in use` : `more than ${MAX_CALLS} calls at once`
      const error = toErrorShape(new AppError('E_RPC_MESSAGE', { reason }))
      return this.#reply({ id, result: { ok: false, error } })
    }
    const controller = new AbortController()
    this.#calls.set(id, controller)
    try {
      const value = await this.#call(channel, message.input, controller.signal)
      this.#reply({ id, result: { ok: true, value } })
    } catch (error) {
      this.#reply({ id, result: { ok: false, error: this.#shape(channel, error) } })
    } finally {
      this.#calls.delete(id)
    }
  }

  async #call(channel: string, input: unknown, signal: AbortSignal): Promise<unknown> {
    if (!isChannel(channel)) throw unknownName('channel', channel, Object.keys(channels))
    const request = checked(channels[channel].input, input ?? {}, channel)
    const handler = this.#handlers[channel]
    if (!handler) throw unknownName('channel', channel, Object.keys(this.#handlers))
    const value = await handler(request, { signal })
    return checkedOutput(channels[channel].output, value, channel)
  }

  async #subscribe(message: { id: MessageId; topic: string; input?: unknown }): Promise<void> {
    const { id, topic } = message
    const controller = new AbortController()
    try {
      if (!isTopic(topic)) throw unknownName('topic', topic, Object.keys(topics))
      if (this.#subscriptions.has(id) || this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
        throw new AppError('E_RPC_MESSAGE', { reason: `subscription ${id} refused` })
      }
      const request = checked(topics[topic].input, message.input ?? {}, topic)
      this.#subscriptions.set(id, controller)
      const schema = topics[topic].event
      const emit = (event: unknown): void => {
        if (!controller.signal.aborted) this.#reply({ id, event: checkedOutput(schema, event, topic) })
      }
      await this.#topicHandlers[topic]?.(request, emit, controller.signal)
    } catch (error) {
      if (controller.signal.aborted) return
      controller.abort()
      if (this.#subscriptions.get(id) === controller) this.#subscriptions.delete(id)
      this.#reply({ id, ended: this.#shape(topic, error) })
    }
  }

  #endSubscription(id: MessageId): void {
    this.#subscriptions.get(id)?.abort()
    this.#subscriptions.delete(id)
  }

  #shape(name: string, error: unknown): ReturnType<typeof toErrorShape> {
    const shape = toErrorShape(error)
    if (shape.code === 'E_INTERNAL') {
      this.#logger.error(
        `${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      )
    }
    return shape
  }

  #reply(message: ServerMessage): void {
    if (!this.#closed) this.#send(message)
  }
}
