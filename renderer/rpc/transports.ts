// The two ways to reach the engine: Electron's preload bridge, and the WebSocket of `aqw serve`. Both forward envelopes.
import type { RpcTransport } from '../../contract/rpc/client.ts'
import type { ClientMessage, ServerMessage } from '../../contract/rpc/message.ts'
import type { ShellBridge } from '../../contract/shell.ts'

/** Transport over the Electron preload. */
export function bridgeTransport(
  bridge: Pick<ShellBridge, 'connect' | 'send' | 'onMessage' | 'onConnection'>,
): RpcTransport {
  const transport: RpcTransport = { send: (message) => bridge.send(message) }
  bridge.onMessage((message) => transport.onMessage?.(message))
  bridge.onConnection((open) => (open ? transport.onOpen?.() : transport.onClose?.()))
  // The caller attaches its handlers in the same turn as it makes the transport.
  queueMicrotask(() => bridge.connect())
  return transport
}

/** The part of the browser's WebSocket that is used. */
export interface SocketLike {
  send(data: string): void
  close(): void
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
}

export interface SocketTransportOptions {
  /** Opens a socket; called again for every attempt. */
  open: () => SocketLike
  /** Runs a callback later; the window's setTimeout. */
  later: (callback: () => void, ms: number) => unknown
  /** The host refused us for good (wrong token): no further attempts. */
  onRefused?: () => void
}

export interface SocketTransport extends RpcTransport {
  /** Tries at once instead of waiting for the next attempt. */
  retryNow(): void
}

const FIRST_DELAY_MS = 300
const LONGEST_DELAY_MS = 10_000
const PING_EVERY_MS = 15_000
/** RFC 6455, 7.4.1: 1008 is a policy violation; the host closes so when the token is wrong. */
const POLICY_VIOLATION = 1008

/** Transport over a WebSocket that reconnects with growing pauses and notices a connection that died silently. */
export function socketTransport(options: SocketTransportOptions): SocketTransport {
  let socket: SocketLike | null = null
  let delay = FIRST_DELAY_MS
  let attempt = 0
  let answered = true
  const transport: SocketTransport = {
    send: (message: ClientMessage) => socket?.send(JSON.stringify(message)),
    retryNow: () => {
      if (socket) return
      delay = FIRST_DELAY_MS
      connect()
    },
  }

  function keepAlive(mine: SocketLike): void {
    options.later(() => {
      if (socket !== mine) return
      if (!answered) return mine.close()
      answered = false
      transport.send({ ping: Date.now() })
      keepAlive(mine)
    }, PING_EVERY_MS)
  }

  function connect(): void {
    const mine = options.open()
    attempt += 1
    socket = mine
    mine.onopen = () => {
      delay = FIRST_DELAY_MS
      answered = true
      transport.onOpen?.()
      keepAlive(mine)
    }
    mine.onmessage = (event) => {
      answered = true
      if (typeof event.data === 'string') transport.onMessage?.(JSON.parse(event.data) as ServerMessage)
    }
    mine.onclose = (event) => {
      if (socket !== mine) return
      socket = null
      transport.onClose?.()
      if (event.code === POLICY_VIOLATION) return options.onRefused?.()
      const thisAttempt = attempt
      options.later(() => {
        if (!socket && attempt === thisAttempt) connect()
      }, delay)
      delay = Math.min(LONGEST_DELAY_MS, delay * 2)
    }
  }

  queueMicrotask(connect)
  return transport
}
