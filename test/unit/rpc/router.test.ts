// The router and the client against each other: results, errors, cancel, subscriptions, reconnect; hostile messages.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import {
  createRpcClient,
  PROTOCOL_VERSION,
  type ClientMessage,
  type EngineState,
  type RpcTransport,
  type ServerMessage,
} from '../../../contract/rpc/index.ts'
import { settingsSchema } from '../../../contract/workspace.ts'
import { Router, type Handlers, type TopicHandlers } from '../../../engine/host/router.ts'

const ID = '01890a5d-ac96-774b-bcce-b302099a8057'
const settings = settingsSchema.parse({})
const ready: EngineState = { state: 'ready', restarts: 0, error: null }
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))

/** A router with the given handlers, a client on it, and the wire between them. */
function wire(handlers: Partial<Handlers>, topics: Partial<TopicHandlers> = {}) {
  const router = new Router(handlers as Handlers, topics as TopicHandlers)
  const sent: ClientMessage[] = []
  const transport: RpcTransport = { send: () => undefined }
  let connection: ReturnType<Router['connect']> | undefined
  transport.send = (message) => {
    sent.push(message)
    connection?.receive(message)
  }
  const client = createRpcClient(transport)
  const open = (): void => {
    connection = router.connect((message: ServerMessage) => transport.onMessage?.(message))
    transport.onOpen?.()
    transport.onMessage?.({ engine: ready, protocol: PROTOCOL_VERSION })
  }
  const close = (): void => {
    connection?.close()
    connection = undefined
    transport.onClose?.()
  }
  return { client, sent, open, close, transport }
}

describe('invoke', () => {
  it('waits for the connection and returns the value', async () => {
    const { client, open } = wire({ 'settings.get': () => settings })
    const answer = client.invoke('settings.get', {})
    open()
    expect(await answer).toEqual(settings)
  })

  it('brings an error over with code, message, hint and details', async () => {
    const fail = (): never => {
      throw new AppError('E_WORKSPACE_NOT_FOUND', { entity: 'project', id: ID })
    }
    const { client, open } = wire({ 'projects.get': fail })
    open()
    await expect(client.invoke('projects.get', { id: ID })).rejects.toMatchObject({
      code: 'E_WORKSPACE_NOT_FOUND',
      details: { entity: 'project', id: ID },
    })
  })

  it('refuses input that does not fit, naming the field', async () => {
    const { client, open } = wire({})
    open()
    await expect(client.invoke('projects.create', { name: '' })).rejects.toMatchObject({
      code: 'E_RPC_INPUT',
      details: { channel: 'projects.create', field: 'name' },
    })
  })

  it('does not let a wrong reply out', async () => {
    const { client, open } = wire({ 'settings.get': () => ({ theme: 'pink' }) as never })
    open()
    await expect(client.invoke('settings.get', {})).rejects.toMatchObject({ code: 'E_INTERNAL' })
  })

  it('suggests a channel for an unknown name', async () => {
    const { client, open } = wire({})
    open()
    const unknown = client.invoke('projects.lst' as 'projects.list', {})
    await expect(unknown).rejects.toMatchObject({
      code: 'E_RPC_UNKNOWN',
      message: 'Unknown channel "projects.lst".',
    })
  })

  it('cancels the handler when the caller aborts', async () => {
    let seen: AbortSignal | undefined
    const { client, open } = wire({
      'projects.list': (_input, { signal }) => {
        seen = signal
        return new Promise(() => undefined)
      },
    })
    open()
    const controller = new AbortController()
    const call = client.invoke('projects.list', {}, { signal: controller.signal })
    await tick()
    controller.abort()
    await expect(call).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(seen?.aborted).toBe(true)
  })

  it('rejects calls under way when the connection breaks, and sends waiting ones after it is back', async () => {
    let calls = 0
    const { client, open, close } = wire({
      'settings.get': () => (calls++ === 0 ? new Promise(() => undefined) : settings),
    })
    open()
    const first = client.invoke('settings.get', {})
    await tick()
    close()
    await expect(first).rejects.toMatchObject({ code: 'E_RPC_DISCONNECTED' })
    const second = client.invoke('settings.get', {})
    open()
    expect(await second).toEqual(settings)
  })
})

describe('subscribe', () => {
  it('delivers events, survives a reconnect, and ends on both sides', async () => {
    const signals: AbortSignal[] = []
    let emit:
      ((event: { entity: 'project'; action: 'added'; id: string; projectId: string }) => void) | undefined
    const { client, open, close } = wire(
      {},
      {
        'library.changed': (_input, send, signal) => {
          emit = send
          signals.push(signal)
        },
      },
    )
    const seen: string[] = []
    const stop = client.subscribe('library.changed', {}, (event) => seen.push(event.id))
    open()
    await tick()
    emit?.({ entity: 'project', action: 'added', id: ID, projectId: ID })
    close()
    expect(signals[0]?.aborted).toBe(true)
    open()
    await tick()
    emit?.({ entity: 'project', action: 'added', id: ID, projectId: ID })
    expect(seen).toEqual([ID, ID])
    stop()
    expect(signals[1]?.aborted).toBe(true)
    emit?.({ entity: 'project', action: 'added', id: ID, projectId: ID })
    expect(seen).toHaveLength(2)
  })

  it('tells the subscriber when it is refused', async () => {
    const { client, open } = wire(
      {},
      {
        'jobs.progress': () => {
          throw new AppError('E_WORKSPACE_NOT_FOUND', { entity: 'job', id: ID })
        },
      },
    )
    open()
    const ended = new Promise<AppError | null>((resolve) =>
      client.subscribe('jobs.progress', { id: ID }, () => undefined, { onEnd: resolve }),
    )
    expect((await ended)?.code).toBe('E_WORKSPACE_NOT_FOUND')
  })
})

describe('hostile messages', () => {
  it('never throw and are answered at most with an error', () => {
    const router = new Router({} as Handlers, {} as TopicHandlers)
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.record({ id: fc.anything(), channel: fc.anything() })),
        (message) => {
          const replies: ServerMessage[] = []
          router.connect((reply) => replies.push(reply)).receive(message)
          for (const reply of replies) expect('result' in reply && reply.result.ok).toBe(false)
        },
      ),
    )
  })

  it('cannot reach the prototype of the handler table', async () => {
    const { client, open } = wire({})
    open()
    for (const name of ['constructor', '__proto__', 'toString']) {
      await expect(client.invoke(name as 'app.info', {})).rejects.toMatchObject({ code: 'E_RPC_UNKNOWN' })
    }
  })
})
