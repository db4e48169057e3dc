// The client half of the RPC: invoke, subscribe, cancel, over any transport; subscriptions survive a reconnect.
import { AppError, fromErrorShape } from '../errors/index.ts'
import type { ErrorShape } from '../result.ts'
import type { ChannelInput, ChannelName, ChannelOutput, TopicEvent, TopicInput, TopicName } from './index.ts'
import type { ClientMessage, EngineState, MessageId, ServerMessage } from './message.ts'

/** A connection to the host. `send` may be called only between `onOpen` and `onClose`. */
export interface RpcTransport {
  send(message: ClientMessage): void
  /** Set by the client. */
  onOpen?: () => void
  onMessage?: (message: ServerMessage) => void
  onClose?: () => void
}

export interface InvokeOptions {
  signal?: AbortSignal
}

export interface SubscribeOptions {
  /** Called when the server ends the subscription; with the reason when it was refused. */
  onEnd?: (error: AppError | null) => void
}

export interface RpcClient {
  /** @throws AppError: what the engine answered, E_CANCELLED, or E_RPC_DISCONNECTED */
  invoke<C extends ChannelName>(
    channel: C,
    input: ChannelInput<C>,
    options?: InvokeOptions,
  ): Promise<ChannelOutput<C>>
  /** Returns the function that ends the subscription. */
  subscribe<T extends TopicName>(
    topic: T,
    input: TopicInput<T>,
    onEvent: (event: TopicEvent<T>) => void,
    options?: SubscribeOptions,
  ): () => void
  /** Calls back at once with the present state and then on each change. `disconnected` means no transport. */
  onState(listener: (state: EngineState | 'disconnected') => void): () => void
}

interface PendingCall {
  message: ClientMessage
  sent: boolean
  resolve(value: unknown): void
  reject(error: Error): void
}

interface Subscription {
  topic: TopicName
  input: unknown
  onEvent(event: unknown): void
  onEnd?: (error: AppError | null) => void
}

/**
 * Makes a client on a transport. Calls made while disconnected wait for the connection; calls that were under way
 * when it broke are rejected with E_RPC_DISCONNECTED, because the engine may or may not have carried them out.
 */
export function createRpcClient(transport: RpcTransport): RpcClient {
  const calls = new Map<MessageId, PendingCall>()
  const subscriptions = new Map<MessageId, Subscription>()
  const stateListeners = new Set<(state: EngineState | 'disconnected') => void>()
  let state: EngineState | 'disconnected' = 'disconnected'
  let open = false
  let nextId = 1

  const isReady = (): boolean => open && state !== 'disconnected' && state.state === 'ready'

  function setState(next: EngineState | 'disconnected'): void {
    const wasReady = isReady()
    state = next
    for (const listener of stateListeners) listener(next)
    if (isReady() && !wasReady) flush()
    if (!isReady() && wasReady) dropSentCalls()
  }

  function flush(): void {
    for (const [id, subscription] of subscriptions) {
      transport.send({ subscribe: { id, topic: subscription.topic, input: subscription.input } })
    }
    for (const call of calls.values()) {
      if (call.sent) continue
      call.sent = true
      transport.send(call.message)
    }
  }

  function dropSentCalls(): void {
    for (const [id, call] of calls) {
      if (!call.sent) continue
      calls.delete(id)
      call.reject(new AppError('E_RPC_DISCONNECTED'))
    }
  }

  function settle(id: MessageId, result: { ok: boolean; value?: unknown; error?: unknown }): void {
    const call = calls.get(id)
    if (!call) return
    calls.delete(id)
    if (result.ok) call.resolve(result.value)
    else call.reject(fromErrorShape(result.error as ErrorShape))
  }

  transport.onOpen = () => {
    open = true
  }
  transport.onClose = () => {
    setState('disconnected')
    open = false
  }
  transport.onMessage = (message) => {
    if ('engine' in message) {
      open = true
      setState(message.engine)
    } else if ('result' in message) settle(message.id, message.result)
    else if ('event' in message) subscriptions.get(message.id)?.onEvent(message.event)
    else if ('ended' in message) {
      const subscription = subscriptions.get(message.id)
      subscriptions.delete(message.id)
      subscription?.onEnd?.(message.ended ? fromErrorShape(message.ended as ErrorShape) : null)
    }
  }

  function invoke<C extends ChannelName>(
    channel: C,
    input: ChannelInput<C>,
    options: InvokeOptions = {},
  ): Promise<ChannelOutput<C>> {
    const { signal } = options
    if (signal?.aborted) return Promise.reject(new AppError('E_CANCELLED'))
    if (state !== 'disconnected' && state.state === 'failed' && state.error) {
      return Promise.reject(fromErrorShape(state.error as ErrorShape))
    }
    const id = nextId++
    const message: ClientMessage = { id, channel, input }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        if (!calls.delete(id)) return
        if (isReady()) transport.send({ cancel: { id } })
        reject(new AppError('E_CANCELLED'))
      }
      const done = (): void => signal?.removeEventListener('abort', abort)
      calls.set(id, {
        message,
        sent: false,
        resolve: (value) => {
          done()
          resolve(value as ChannelOutput<C>)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      })
      signal?.addEventListener('abort', abort, { once: true })
      if (isReady()) flushCall(id)
    })
  }

  function flushCall(id: MessageId): void {
    const call = calls.get(id)
    if (!call || call.sent) return
    call.sent = true
    transport.send(call.message)
  }

  function subscribe<T extends TopicName>(
    topic: T,
    input: TopicInput<T>,
    onEvent: (event: TopicEvent<T>) => void,
    options: SubscribeOptions = {},
  ): () => void {
    const id = nextId++
    subscriptions.set(id, {
      topic,
      input,
      onEvent: (event) => onEvent(event as TopicEvent<T>),
      ...(options.onEnd ? { onEnd: options.onEnd } : {}),
    })
    if (isReady()) transport.send({ subscribe: { id, topic, input } })
    return () => {
      if (subscriptions.delete(id) && isReady()) transport.send({ unsubscribe: { id } })
    }
  }

  function onState(listener: (state: EngineState | 'disconnected') => void): () => void {
    stateListeners.add(listener)
    listener(state)
    return () => stateListeners.delete(listener)
  }

  return { invoke, subscribe, onState }
}
