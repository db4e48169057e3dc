// One worker process as the engine process sees it: start, talk, ask to stop, end by force.
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { WorkerIdentity } from '../workspace/index.ts'
import { processStartTime } from './process-identity.ts'
import type { FromWorker, ToWorker } from './protocol.ts'

const ENTRY = fileURLToPath(new URL('./worker-process.ts', import.meta.url))

export interface WorkerEvents {
  onMessage(message: FromWorker): void
  /** Standard output and error of the worker and its libraries. */
  onText(text: string): void
  /** `reason` is an exit code or a signal, in words. */
  onExit(reason: string): void
}

export class Worker {
  readonly #child: ChildProcess
  #ended = false
  #killTimer: NodeJS.Timeout | undefined

  constructor(events: WorkerEvents) {
    this.#child = fork(ENTRY, [], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    this.#child.on('message', (message) => events.onMessage(message as FromWorker))
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (text: string) => events.onText(text))
    }
    const end = (reason: string): void => {
      if (this.#ended) return
      this.#ended = true
      clearTimeout(this.#killTimer)
      events.onExit(reason)
    }
    this.#child.on('error', (error) => end(error.message))
    this.#child.on('exit', (code, signal) => end(signal ?? `exit code ${code ?? '?'}`))
  }

  get identity(): WorkerIdentity | null {
    const { pid } = this.#child
    return pid === undefined ? null : { pid, startTime: processStartTime(pid) }
  }

  send(message: ToWorker): void {
    if (this.#ended || !this.#child.connected) return
    // The worker may end between the check and the write; its exit is reported by itself.
    this.#child.send(message, () => undefined)
  }

  /** Asks the work to stop and ends the process if it has not ended after `graceMs`. */
  cancel(graceMs: number): void {
    this.send({ type: 'cancel' })
    this.#killTimer ??= setTimeout(() => this.kill(), graceMs)
  }

  kill(): void {
    if (!this.#ended) this.#child.kill('SIGKILL')
  }
}
