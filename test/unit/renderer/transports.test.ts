// The WebSocket transport: reconnects with growing pauses, resumes subscriptions, stops when refused.
import { describe, expect, it } from 'vitest'
import { createRpcClient } from '../../../contract/rpc/client.ts'
import { PROTOCOL_VERSION } from '../../../contract/rpc/message.ts'
import { bridgeTransport, socketTransport, type SocketLike } from '../../../renderer/rpc/transports.ts'

class FakeSocket implements SocketLike {
  sent: Record<string, unknown>[] = []
  closed = false
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  send(data: string): void {
    this.sent.push(JSON.parse(data) as Record<string, unknown>)
  }
  close(): void {
    this.closed = true
    this.onclose?.({ code: 1006 })
  }
  receive(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) })
  }
  ready(): void {
    this.onopen?.()
    this.receive({ engine: { state: 'ready', restarts: 0, error: null }, protocol: PROTOCOL_VERSION })
  }
}

async function setUp() {
  const sockets: FakeSocket[] = []
  const timers: { callback: () => void; ms: number }[] = []
  let refused = 0
  const transport = socketTransport({
    open: () => {
      const socket = new FakeSocket()
      sockets.push(socket)
      return socket
    },
    later: (callback, ms) => timers.push({ callback, ms }),
    onRefused: () => (refused += 1),
  })
  const client = createRpcClient(transport)
  await Promise.resolve()
  const runTimer = (index: number): void => timers[index]?.callback()
  return { sockets, timers, transport, client, runTimer, refusals: () => refused }
}

describe('socketTransport', () => {
  it('resumes subscriptions after a reconnect and rejects what was under way', async () => {
    const { sockets, timers, client, runTimer } = await setUp()
    const events: unknown[] = []
    client.subscribe('jobs.changed', {}, (event) => events.push(event))
    sockets[0]?.ready()
    const call = client.invoke('app.info', {})
    expect(sockets[0]?.sent.some((message) => 'subscribe' in message)).toBe(true)
    sockets[0]?.close()
    await expect(call).rejects.toMatchObject({ code: 'E_RPC_DISCONNECTED' })
    const retry = timers.findIndex((timer) => timer.ms === 300)
    runTimer(retry)
    sockets[1]?.ready()
    const again = sockets[1]?.sent.find((message) => 'subscribe' in message) as { subscribe: { id: number } }
    sockets[1]?.receive({ id: again.subscribe.id, event: { job: 'x' } })
    expect(events).toEqual([{ job: 'x' }])
  })

  it('waits longer after every failure, up to ten seconds', async () => {
    const { sockets, timers, runTimer } = await setUp()
    for (let attempt = 0; attempt < 8; attempt += 1) {
      sockets[attempt]?.close()
      runTimer(timers.length - 1)
    }
    expect(timers.map((timer) => timer.ms)).toEqual([300, 600, 1200, 2400, 4800, 9600, 10_000, 10_000])
  })

  it('gives up when the host refuses the token', async () => {
    const { sockets, timers, refusals } = await setUp()
    sockets[0]?.onclose?.({ code: 1008 })
    expect(refusals()).toBe(1)
    expect(timers).toEqual([])
  })

  it('closes a connection that no longer answers', async () => {
    const { sockets, timers, runTimer } = await setUp()
    sockets[0]?.ready()
    const first = timers.findIndex((timer) => timer.ms === 15_000)
    runTimer(first)
    expect(sockets[0]?.sent.some((message) => 'ping' in message)).toBe(true)
    runTimer(timers.findLastIndex((timer) => timer.ms === 15_000))
    expect(sockets[0]?.closed).toBe(true)
  })

  it('does not open a second socket when an old pause ends after a manual retry', async () => {
    const { sockets, transport, runTimer } = await setUp()
    sockets[0]?.close()
    transport.retryNow()
    expect(sockets).toHaveLength(2)
    runTimer(0)
    expect(sockets).toHaveLength(2)
  })
})

describe('bridgeTransport', () => {
  it('forwards envelopes and connection changes', async () => {
    let deliver: (message: never) => void = () => undefined
    let connection: (open: boolean) => void = () => undefined
    const sent: unknown[] = []
    let asked = 0
    const transport = bridgeTransport({
      connect: () => (asked += 1),
      send: (message) => sent.push(message),
      onMessage: (callback) => (deliver = callback),
      onConnection: (callback) => (connection = callback),
    })
    const client = createRpcClient(transport)
    const states: string[] = []
    client.onState((state) => states.push(state === 'disconnected' ? state : state.state))
    await Promise.resolve()
    expect(asked).toBe(1)
    connection(true)
    deliver({ engine: { state: 'ready', restarts: 0, error: null }, protocol: PROTOCOL_VERSION } as never)
    const call = client.invoke('settings.get', {})
    expect(sent).toHaveLength(1)
    connection(false)
    await expect(call).rejects.toMatchObject({ code: 'E_RPC_DISCONNECTED' })
    expect(states).toEqual(['disconnected', 'ready', 'disconnected'])
  })
})
