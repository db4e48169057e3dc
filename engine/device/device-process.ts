// The engine's end of a device process: starts it, sends commands, and turns its death into an error.
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AppError, fromErrorShape } from '../../contract/errors/index.ts'
import type { ErrorShape } from '../../contract/result.ts'
import type { WorkContext } from '../../contract/work.ts'
import {
  replySchemas,
  upMessageSchema,
  type Command,
  type CommandType,
  type DownMessage,
  type Reply,
} from './messages.ts'

export interface ProcessOptions {
  /** For error texts: the device as the user names it. */
  device: string
  entry: 'acl-process' | 'cpu-process'
  env: Record<string, string>
}

interface Pending {
  type: CommandType
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  ctx: WorkContext
}

/** A driver that hangs while opening must not hang the product. */
const START_TIMEOUT_MS = 60_000
/** Time a device gets to finish its run after a cancel, and to end after a close, before it is killed. */
const GRACE_MS = 5_000
const TAIL_CHARACTERS = 2_000

/** Sources in development, bundles when packaged: the entry stands next to this file with the same ending. */
function entryPath(name: string): string {
  const here = fileURLToPath(import.meta.url)
  return fileURLToPath(new URL(`./${name}${here.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
}

export class DeviceProcess {
  readonly #options: ProcessOptions
  readonly #child: ChildProcess
  readonly #pending = new Map<number, Pending>()
  readonly #exited: Promise<void>
  #nextId = 1
  #tail = ''
  /** Set once the process is gone or being closed; every later call fails with it. */
  #ended: AppError | null = null

  private constructor(options: ProcessOptions) {
    this.#options = options
    this.#child = fork(entryPath(options.entry), [], {
      serialization: 'advanced',
      // Flags of the parent (a test runner, a debugger) are not the device's.
      execArgv: [],
      env: { ...process.env, ...options.env },
      // Drivers print to stdout as well; neither may reach a pipe that somebody parses.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    const keepTail = (chunk: Buffer) => {
      this.#tail = (this.#tail + chunk.toString('utf8')).slice(-TAIL_CHARACTERS)
    }
    this.#child.stdout?.on('data', keepTail)
    this.#child.stderr?.on('data', keepTail)
    this.#child.on('message', (message) => this.#receive(message))
    // 'close' comes after the last byte of stderr, so that the tail is complete.
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#lost(signal ? `signal ${signal}` : `exit code ${code}`)
        resolve()
      })
      this.#child.once('error', (error) => {
        this.#lost(error.message)
        resolve()
      })
    })
  }

  /** Forks the process and waits until it listens. @throws E_DEVICE_START, E_DEVICE_LOST */
  static async start(options: ProcessOptions): Promise<DeviceProcess> {
    const device = new DeviceProcess(options)
    try {
      await device.#ready()
      return device
    } catch (error) {
      device.kill()
      throw error
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const details = {
          device: this.#options.device,
          seconds: START_TIMEOUT_MS / 1000,
          stderr: this.#stderr(),
        }
        reject(new AppError('E_DEVICE_START', details))
      }, START_TIMEOUT_MS)
      const onMessage = (message: unknown) => {
        if ((message as { kind?: unknown } | null)?.kind !== 'ready') return
        clearTimeout(timer)
        this.#child.off('message', onMessage)
        resolve()
      }
      this.#child.on('message', onMessage)
      void this.#exited.then(() => {
        clearTimeout(timer)
        reject(this.#ended ?? new AppError('E_DEVICE_CLOSED', { device: this.#options.device }))
      })
    })
  }

  #stderr(): string {
    return this.#tail.trim().split(/\r?\n/).slice(-12).join('\n')
  }

  #lost(reason: string): void {
    this.#ended ??= new AppError('E_DEVICE_LOST', {
      device: this.#options.device,
      reason,
      stderr: this.#stderr(),
    })
    for (const pending of this.#pending.values()) pending.reject(this.#ended)
    this.#pending.clear()
  }

  #receive(raw: unknown): void {
    const parsed = upMessageSchema.safeParse(raw)
    if (!parsed.success) {
      this.kill()
      return
    }
    const message = parsed.data
    if (message.kind === 'ready') return
    const pending = this.#pending.get(message.id)
    if (!pending) return
    if (message.kind === 'progress') {
      pending.ctx.onProgress?.(message.progress)
      return
    }
    this.#pending.delete(message.id)
    if (message.kind === 'failure') {
      // The code is checked against the catalogue there; an unknown one becomes E_INTERNAL.
      pending.reject(fromErrorShape(message.error as ErrorShape))
      return
    }
    const reply = replySchemas[pending.type].safeParse(message.value)
    if (reply.success) pending.resolve(reply.data)
    else
      pending.reject(
        new AppError('E_INTERNAL', { reason: `device reply to ${pending.type}: ${reply.error.message}` }),
      )
  }

  /** Sends one command and waits for its answer. An abort asks the process to stop, then kills it. */
  request<T extends CommandType>(
    command: Extract<Command, { type: T }>,
    ctx: WorkContext = {},
  ): Promise<Reply<T>> {
    if (this.#ended) return Promise.reject(this.#ended)
    if (ctx.signal?.aborted) return Promise.reject(new AppError('E_CANCELLED'))
    const id = this.#nextId++
    return new Promise<Reply<T>>((resolve, reject) => {
      let killTimer: NodeJS.Timeout | undefined
      const onAbort = () => {
        this.#send({ kind: 'cancel', id })
        killTimer = setTimeout(() => {
          this.#pending.delete(id)
          reject(new AppError('E_CANCELLED'))
          this.kill()
        }, GRACE_MS)
      }
      const settle = () => {
        clearTimeout(killTimer)
        ctx.signal?.removeEventListener('abort', onAbort)
      }
      this.#pending.set(id, {
        type: command.type,
        ctx,
        resolve: (value) => {
          settle()
          resolve(value as Reply<T>)
        },
        reject: (error) => {
          settle()
          reject(error instanceof Error ? error : new Error(String(error)))
        },
      })
      ctx.signal?.addEventListener('abort', onAbort, { once: true })
      this.#send({ kind: 'request', id, command })
    })
  }

  #send(message: DownMessage): void {
    if (!this.#child.connected) return
    // A failed write means that the process is going: its 'close' event rejects what is pending.
    this.#child.send(message, () => undefined)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Lets the process release the device and end; kills it when it does not within the grace time. */
  async close(): Promise<void> {
    if (this.#ended) {
      await this.#exited
      return
    }
    void this.request({ type: 'close' }).catch(() => undefined)
    this.#ended = new AppError('E_DEVICE_CLOSED', { device: this.#options.device })
    const timer = setTimeout(() => this.kill(), GRACE_MS)
    await this.#exited
    clearTimeout(timer)
  }
}
