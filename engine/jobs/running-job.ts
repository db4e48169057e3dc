// One attempt of one job: its worker, its stages, its progress, and how it ended.
import path from 'node:path'
import { rm } from 'node:fs/promises'
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import type { ErrorShape } from '../../contract/result.ts'
import type { Job, JobStage } from '../../contract/workspace.ts'
import type { Workspace } from '../workspace/index.ts'
import { now } from '../workspace/index.ts'
import { EtaEstimator, JobProgress } from './eta.ts'
import type { JobLog } from './job-log.ts'
import type { PlanResult } from './plan.ts'
import type { FromWorker } from './protocol.ts'
import { findStageResult, keepStageResult } from './result-store.ts'
import { Worker } from './worker.ts'

export type JobEnd =
  | { kind: 'done'; result: PlanResult; keys: Record<string, string> }
  | { kind: 'failed'; error: ErrorShape }
  | { kind: 'cancelled' }
  | { kind: 'interrupted'; error: ErrorShape }

export interface RunningJobOptions {
  workspace: Workspace
  job: Job
  log: JobLog
  planModule: string
  definition: unknown
  onChange(state: { stages: JobStage[]; progress: Job['progress'] }): void
  onEnd(end: JobEnd): void
}

export class RunningJob {
  readonly #options: RunningJobOptions
  readonly #worker: Worker
  readonly #folder: string
  readonly #begun = performance.now()
  readonly #eta = new EtaEstimator()
  #weights = new JobProgress([])
  #stages: JobStage[] = []
  #etaSeconds: number | null = null
  #cancelled = false
  #end: JobEnd | undefined
  /** Files are stored one after another; the end waits for the last. */
  #pending: Promise<void> = Promise.resolve()

  constructor(options: RunningJobOptions) {
    this.#options = options
    this.#folder = path.join(options.workspace.layout.temporary, 'jobs', options.job.id)
    this.#worker = new Worker({
      onMessage: (message) => this.#receive(message),
      onText: (text) => this.#options.log.write('debug', text.trimEnd()),
      onExit: (reason) => void this.#exited(reason),
    })
  }

  get worker(): Worker {
    return this.#worker
  }

  get stages(): JobStage[] {
    return this.#stages
  }

  get progress(): Job['progress'] {
    const running = this.#stages.find((stage) => stage.state === 'running')
    return {
      fraction: this.#weights.fraction,
      stage: running?.key ?? null,
      etaSeconds: this.#etaSeconds === null ? null : Math.round(this.#etaSeconds * 10) / 10,
    }
  }

  cancel(graceMs: number): void {
    this.#cancelled = true
    this.#worker.cancel(graceMs)
  }

  /** Ends the worker at once, for the engine's own shutdown. */
  kill(): void {
    this.#worker.kill()
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        this.#worker.send({
          type: 'run',
          planModule: this.#options.planModule,
          definition: this.#options.definition,
          folder: path.join(this.#folder, 'work'),
        })
        return
      case 'plan':
        this.#weights = new JobProgress(message.stages)
        this.#stages = message.stages.map(({ key }) => newStage(key))
        return this.#changed()
      case 'lookup':
        return this.#answer(message.stage, () =>
          findStageResult(this.#options.workspace, message.key, this.#resultFolder(message.stage)),
        )
      case 'stage-started':
        return this.#setStage(message.stage, { state: 'running', startedAt: now() })
      case 'progress':
        this.#weights.set(message.stage, message.done, message.total)
        return this.#setStage(message.stage, {
          done: message.done,
          total: message.total,
          item: message.item,
        })
      case 'store':
        return this.#answer(message.stage, () =>
          keepStageResult(
            this.#options.workspace,
            message.stage,
            message.key,
            message,
            this.#resultFolder(message.stage),
          ),
        )
      case 'log':
        return this.#options.log.write(message.level, message.text)
      case 'done':
        this.#end = { kind: 'done', result: message.result, keys: message.keys }
        return
      case 'failed':
        this.#end =
          message.error.code === 'E_CANCELLED' && this.#cancelled
            ? { kind: 'cancelled' }
            : { kind: 'failed', error: message.error }
    }
  }

  #resultFolder(stage: string): string {
    return path.join(this.#folder, 'results', stage)
  }

  #answer(stage: string, work: () => ReturnType<typeof findStageResult>): void {
    const present = this.#stages.find((entry) => entry.key === stage)
    this.#pending = this.#pending.then(async () => {
      try {
        const result = await work()
        if (result) this.#finishStage(stage, present?.state === 'pending' ? 'cached' : 'done')
        this.#worker.send({ type: 'stage-result', stage, result })
      } catch (error) {
        this.#worker.send({ type: 'stage-result', stage, result: null, error: toErrorShape(error) })
      }
    })
  }

  #finishStage(stage: string, state: 'cached' | 'done'): void {
    this.#weights.finish(stage)
    if (state === 'cached') this.#eta.reset()
    this.#setStage(stage, { state, item: null, finishedAt: now() })
    this.#options.workspace.jobs.addEvent(this.#options.job.id, `stage-${state}`, { stage })
  }

  #setStage(key: string, change: Partial<JobStage>): void {
    this.#stages = this.#stages.map((stage) => (stage.key === key ? { ...stage, ...change } : stage))
    this.#changed()
  }

  #changed(): void {
    const seconds = (performance.now() - this.#begun) / 1000
    this.#etaSeconds = this.#eta.update(seconds, this.#weights.fraction)
    this.#options.onChange({ stages: this.#stages, progress: this.progress })
  }

  async #exited(reason: string): Promise<void> {
    await this.#pending
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined)
    this.#options.onEnd(this.#end ?? this.#unexpectedEnd(reason))
  }

  /** The process is gone without a last word: killed after a cancel, or crashed. */
  #unexpectedEnd(reason: string): JobEnd {
    if (this.#cancelled) return { kind: 'cancelled' }
    const { job, log } = this.#options
    const stage = this.progress.stage ?? '-'
    const error = new AppError('E_JOB_WORKER_DIED', { id: job.id, stage, reason, log: log.path })
    return { kind: 'interrupted', error: toErrorShape(error) }
  }
}

function newStage(key: string): JobStage {
  return { key, state: 'pending', done: 0, total: 0, item: null, startedAt: null, finishedAt: null }
}
