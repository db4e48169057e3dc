// The message loop of a device process: takes commands one at a time, answers each, ends when its parent is gone.
import { fromErrorShape, toErrorShape } from '../../contract/errors/index.ts'
import type { DeviceProbe } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { measureInterleaved } from './measure-loop.ts'
import { downMessageSchema, type Command, type UpMessage } from './messages.ts'
import type { DeviceBackend } from './types.ts'

export type OpenCommand = Extract<Command, { type: 'open' }>
export type OpenBackend = (command: OpenCommand) => DeviceBackend | Promise<DeviceBackend>

/** Fields of an error that survive serialization; details may hold anything, errors included. */
function plainError(thrown: unknown): Extract<UpMessage, { kind: 'failure' }>['error'] {
  const shape = toErrorShape(thrown)
  return { ...shape, details: JSON.parse(JSON.stringify(shape.details)) as Record<string, unknown> }
}

class DeviceServer {
  readonly #open: OpenBackend
  readonly #cancelled = new Set<number>()
  #backend: DeviceBackend | null = null
  #queue: Promise<void> = Promise.resolve()

  constructor(open: OpenBackend) {
    this.#open = open
  }

  #send(message: UpMessage): void {
    // The callback keeps a broken channel from raising an unhandled error: 'disconnect' ends the process then.
    process.send?.(message, undefined, undefined, () => undefined)
  }

  receive(raw: unknown): void {
    const parsed = downMessageSchema.safeParse(raw)
    if (!parsed.success) {
      const id = (raw as { id?: unknown } | null)?.id
      const error = plainError(
        new AppError('E_INTERNAL', { reason: `device message: ${parsed.error.message}` }),
      )
      if (typeof id === 'number') this.#send({ kind: 'failure', id, ok: false, error })
      return
    }
    const message = parsed.data
    if (message.kind === 'cancel') {
      this.#cancelled.add(message.id)
      return
    }
    this.#queue = this.#queue.then(() => this.#answer(message.id, message.command))
  }

  async #answer(id: number, command: Command): Promise<void> {
    try {
      if (this.#cancelled.has(id)) throw new AppError('E_CANCELLED')
      const value = await this.#execute(id, command)
      this.#send({ kind: 'result', id, ok: true, value })
    } catch (error) {
      this.#send({ kind: 'failure', id, ok: false, error: plainError(error) })
    } finally {
      this.#cancelled.delete(id)
    }
    if (command.type === 'close') process.disconnect()
  }

  async #execute(id: number, command: Command): Promise<unknown> {
    if (command.type === 'open') {
      this.#backend = await this.#open(command)
      return this.#backend.snapshot()
    }
    const backend = this.#backend
    if (command.type === 'close') {
      await backend?.close()
      return null
    }
    if (!backend) throw new AppError('E_INTERNAL', { reason: `device command ${command.type} before open` })
    switch (command.type) {
      case 'load':
        return backend.load(command.path)
      case 'run':
        return backend.run(command.handle, command.feeds, command.shapes)
      case 'measure':
        return measureInterleaved(backend, command.request, backend.snapshot().clock, {
          cancelled: () => this.#cancelled.has(id),
          onProgress: (progress) => this.#send({ kind: 'progress', id, progress }),
        })
      case 'probe':
        return runProbe(backend, command.modelPath)
      case 'snapshot':
        return backend.snapshot()
      case 'unload':
        await backend.unload(command.handle)
        return null
    }
  }

  ready(): void {
    this.#send({ kind: 'ready' })
  }
}

async function runProbe(backend: DeviceBackend, modelPath: string | undefined): Promise<DeviceProbe> {
  const steps: string[] = []
  const start = performance.now()
  try {
    await backend.probe(steps, modelPath)
    return { ok: true, milliseconds: performance.now() - start, steps }
  } catch (error) {
    const { code, message, hint, details } = fromErrorShape(toErrorShape(error))
    const problem = { code, message, hint, details }
    return { ok: false, milliseconds: performance.now() - start, steps, problem }
  }
}

/** Serves one device until the parent disconnects; a parent that dies disconnects too, so no process is orphaned. */
export function serveDevice(open: OpenBackend): void {
  const server = new DeviceServer(open)
  process.on('message', (message) => server.receive(message))
  process.on('disconnect', () => process.exit(0))
  // Ctrl+C in a terminal reaches the whole group: the parent decides when the device is closed.
  process.on('SIGINT', () => undefined)
  server.ready()
}
