// Keeps the engine process running for a host: starts it, restarts it after a crash, and carries messages of any number
// of connections. How a process is started can be given by the caller (the desktop names its own Node).
import { fork } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError, fromErrorShape, toErrorShape } from '../../contract/errors/index.ts'
import type { ErrorShape } from '../../contract/result.ts'
import {
  PROTOCOL_VERSION,
  type ClientMessage,
  type EngineState,
  type ServerMessage,
} from '../../contract/rpc/message.ts'
import type { FromEngine, ToEngine } from './port.ts'

/** A started engine process. */
export interface EngineProcess {
  readonly pid: number | undefined
  send(message: ToEngine): void
  kill(): void
}

export interface EngineProcessEvents {
  onMessage(message: FromEngine): void
  onText(text: string): void
  onExit(reason: string): void
}

export interface LaunchOptions {
  workspace: string
  environment: NodeJS.ProcessEnv
}

export type LaunchEngine = (options: LaunchOptions, events: EngineProcessEvents) => EngineProcess

const ENGINE_ENTRY = fileURLToPath(new URL('./engine-process.ts', import.meta.url))

/** Where the engine's code and its Node are, when not beside this file and the running one. */
export interface EngineProgram {
  entry?: string
  execPath?: string
}

/** Starts the engine with `child_process.fork` from the given entry, on the given Node. */
export function forkEngineFrom(program: { entry: string; execPath?: string }): LaunchEngine {
  return (options, events) => {
    const child = fork(program.entry, ['--workspace', options.workspace], {
      env: options.environment,
      execPath: program.execPath ?? process.execPath,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    let ended = false
    const end = (reason: string): void => {
      if (ended) return
      ended = true
      events.onExit(reason)
    }
    child.on('message', (message) => events.onMessage(message as FromEngine))
    child.on('error', (error) => end(error.message))
    child.on('exit', (code, signal) => end(signal ?? `exit code ${code ?? '?'}`))
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (text: string) => events.onText(text))
    }
    return {
      pid: child.pid,
      send: (message) => {
        if (child.connected) child.send(message, () => undefined)
      },
      kill: () => child.kill('SIGKILL'),
    }
  }
}

/** Starts the engine that lies next to this file, on the running Node. */
const forkEngine: LaunchEngine = forkEngineFrom({ entry: ENGINE_ENTRY })

export interface SupervisorOptions {
  workspace: string
  launch?: LaunchEngine
  environment?: NodeJS.ProcessEnv
  /** Restarts within `restartWindowMs` before it gives up. */
  maxRestarts?: number
  restartWindowMs?: number
  /** First pause before a restart; doubles with each restart in the window. */
  restartDelayMs?: number
}

/** One window or socket. */
export interface SupervisedConnection {
  send(message: ClientMessage): void
  close(): void
}

const LOG_BYTES = 5 * 1024 * 1024
const SHUTDOWN_TIMEOUT_MS = 8000

export class EngineSupervisor {
  readonly logPath: string
  readonly #options: Required<SupervisorOptions>
  readonly #connections = new Map<number, (message: ServerMessage) => void>()
  readonly #stateListeners = new Set<(state: EngineState) => void>()
  #state: EngineState = { state: 'starting', restarts: 0, error: null }
  #process: EngineProcess | undefined
  #nextConnection = 1
  #crashes: number[] = []
  #stopping = false
  #exited: (() => void) | undefined
  #restartTimer: NodeJS.Timeout | undefined

  constructor(options: SupervisorOptions) {
    this.#options = {
      launch: forkEngine,
      environment: process.env,
      maxRestarts: 5,
      restartWindowMs: 60_000,
      restartDelayMs: 200,
      ...options,
    }
    this.logPath = path.join(options.workspace, 'logs', 'engine.log')
  }

  get state(): EngineState {
    return this.#state
  }

  /** Process id of the engine, for tests and diagnostics. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  start(): void {
    if (!this.#process && !this.#stopping) this.#launch()
  }

  /** Calls back at once and on every change of state; returns the function that stops it. */
  onState(listener: (state: EngineState) => void): () => void {
    this.#stateListeners.add(listener)
    listener(this.#state)
    return () => this.#stateListeners.delete(listener)
  }

  /** Resolves when calls are answered. @throws AppError when the engine cannot start */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = this.onState((state) => {
        if (state.state !== 'ready' && state.state !== 'failed') return
        queueMicrotask(() => stop())
        if (state.state === 'ready') resolve()
        else
          reject(
            state.error ? fromErrorShape(state.error as ErrorShape) : new Error('the engine did not start'),
          )
      })
    })
  }

  /** Adds a connection. Its first message is the present state of the engine. */
  connect(onMessage: (message: ServerMessage) => void): SupervisedConnection {
    const id = this.#nextConnection++
    this.#connections.set(id, onMessage)
    onMessage(this.#stateMessage())
    return {
      send: (message) => {
        if (this.#state.state === 'ready') this.#process?.send({ connection: id, message })
        else if ('ping' in message) onMessage({ pong: message.ping })
      },
      close: () => {
        if (!this.#connections.delete(id)) return
        this.#process?.send({ connection: id, closed: true })
      },
    }
  }

  /** Ends the engine in good order, by force after some seconds. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restartTimer)
    const running = this.#process
    if (running) {
      const exited = new Promise<void>((resolve) => (this.#exited = resolve))
      running.send({ shutdown: true })
      const timer = setTimeout(() => running.kill(), SHUTDOWN_TIMEOUT_MS)
      await exited
      clearTimeout(timer)
    }
    this.#setState({ ...this.#state, state: 'stopped' })
    this.#connections.clear()
  }

  #launch(): void {
    const write = this.#openLog()
    write(`${new Date().toISOString()} engine starts\n`)
    this.#process = this.#options.launch(
      { workspace: this.#options.workspace, environment: this.#options.environment },
      {
        onMessage: (message) => this.#receive(message),
        onText: write,
        onExit: (reason) => {
          write(`${new Date().toISOString()} engine ended: ${reason}\n`)
          this.#ended(reason)
        },
      },
    )
  }

  #receive(message: FromEngine): void {
    if ('ready' in message) this.#setState({ ...this.#state, state: 'ready', error: null })
    else if ('refused' in message) this.#setState({ ...this.#state, state: 'failed', error: message.refused })
    else this.#connections.get(message.connection)?.(message.message)
  }

  #ended(reason: string): void {
    this.#process = undefined
    this.#exited?.()
    if (this.#stopping || this.#state.state === 'failed') return
    const at = Date.now()
    this.#crashes = [...this.#crashes.filter((time) => at - time < this.#options.restartWindowMs), at]
    const restarts = this.#state.restarts + 1
    if (this.#crashes.length > this.#options.maxRestarts) {
      const details = { count: this.#crashes.length, reason, log: this.logPath }
      return this.#setState({
        state: 'failed',
        restarts,
        error: toErrorShape(new AppError('E_ENGINE_DOWN', details)),
      })
    }
    this.#setState({ state: 'restarting', restarts, error: null })
    const pause = this.#options.restartDelayMs * 2 ** (this.#crashes.length - 1)
    this.#restartTimer = setTimeout(() => this.#launch(), pause)
  }

  #setState(state: EngineState): void {
    this.#state = state
    for (const listener of [...this.#stateListeners]) listener(state)
    for (const send of this.#connections.values()) send(this.#stateMessage())
  }

  #stateMessage(): ServerMessage {
    return { engine: this.#state, protocol: PROTOCOL_VERSION }
  }

  /** Appends to logs/engine.log; one older file is kept. */
  #openLog(): (text: string) => void {
    mkdirSync(path.dirname(this.logPath), { recursive: true })
    if (existsSync(this.logPath) && statSync(this.logPath).size > LOG_BYTES) {
      renameSync(this.logPath, `${this.logPath}.1`)
    }
    const stream = createWriteStream(this.logPath, { flags: 'a' })
    // A full disk must not end the host.
    stream.on('error', () => undefined)
    return (text) => void stream.write(text)
  }
}
