// The job queue: who may run now, state of every job in the database, cancel, resume, recovery after a crash.
import path from 'node:path'
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import { resumableJobStates, type Job, type JobStage, type LogLine } from '../../contract/workspace.ts'
import { now, type Workspace } from '../workspace/index.ts'
import { JobLog } from './job-log.ts'
import type { PlanResult } from './plan.ts'
import { endLeftOver } from './process-identity.ts'
import { RunningJob, type JobEnd } from './running-job.ts'

/** Progress reaches the database at most this often; listeners hear every report. */
const SAVE_INTERVAL_MS = 1000
const CLOSE_TIMEOUT_MS = 5000

export interface JobKind {
  /** Module with `createPlan`, as a file URL; loaded by the worker process. */
  planModule: string
  /** Checks the request against the workspace and resolves ids to paths. Runs in the engine process. */
  prepare(job: Job): Promise<unknown>
  /** Stores what the job made. Must be atomic together with `commit`, which marks the job as done, with its run if it made one. */
  complete(
    job: Job,
    result: PlanResult,
    keys: Record<string, string>,
    commit: (runId: string | null) => void,
  ): Promise<void>
}

export interface JobState {
  job: Job
  stages: JobStage[]
}

interface Running {
  job: RunningJob
  device: string
  savedAt: number
}

export class JobQueue {
  readonly #workspace: Workspace
  readonly #kinds: Record<Job['kind'], JobKind>
  readonly #running = new Map<string, Running>()
  /** Being prepared: they hold their slot already. */
  readonly #starting = new Map<string, string>()
  readonly #logs = new Map<string, JobLog>()
  readonly #listeners = new Set<(state: JobState) => void>()
  #closed = false

  constructor(workspace: Workspace, kinds: Record<Job['kind'], JobKind>) {
    this.#workspace = workspace
    this.#kinds = kinds
  }

  /**
   * To be called once at start: jobs that were running when the engine ended become `interrupted` (or `cancelled`,
   * if that was asked for), their left-over workers are ended, queued jobs start.
   */
  recover(): void {
    const { jobs } = this.#workspace
    for (const job of jobs.inStates(['running', 'cancelling'])) {
      const identity = jobs.worker(job.id)
      if (identity) endLeftOver(identity)
      const stages = stopStages(jobs.stages(job.id), 'cancelled')
      const at = now()
      if (job.state === 'cancelling') {
        jobs.update(job.id, { state: 'cancelled', finishedAt: at, worker: null, stages })
      } else {
        const stage = job.progress.stage ?? '-'
        const error = toErrorShape(new AppError('E_JOB_INTERRUPTED', { id: job.id, stage }))
        jobs.update(job.id, { state: 'interrupted', finishedAt: at, worker: null, stages, error })
        this.#log(job.id).write('error', error.message)
      }
      jobs.addEvent(job.id, 'recovered', { from: job.state })
    }
    this.#schedule()
  }

  /** Adds a job to the queue. */
  add(input: Pick<Job, 'projectId' | 'kind' | 'title' | 'device' | 'request'>): Job {
    const job = this.#workspace.jobs.create(input)
    this.#workspace.jobs.addEvent(job.id, 'queued', null)
    this.#workspace.projects.touch(input.projectId)
    this.#announce(job.id)
    this.#schedule()
    return this.#workspace.jobs.get(job.id)
  }

  /** Job with live progress. @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): JobState {
    const job = this.#workspace.jobs.get(id)
    const running = this.#running.get(id)
    if (!running) return { job, stages: this.#workspace.jobs.stages(id) }
    return { job: { ...job, progress: running.job.progress }, stages: running.job.stages }
  }

  list(filter: { projectId?: string | undefined; dismissed?: boolean | undefined; limit: number }): Job[] {
    return this.#workspace.jobs.list(filter).map((job) => {
      const running = this.#running.get(job.id)
      return running ? { ...job, progress: running.job.progress } : job
    })
  }

  /** Stops a job: at once when it waits, else gracefully, then by force after the setting's grace time. */
  cancel(id: string): Job {
    const { jobs, settings } = this.#workspace
    const job = jobs.get(id)
    if (job.state === 'cancelling') return job
    if (job.state === 'queued') {
      jobs.update(id, { state: 'cancelled', finishedAt: now() })
      jobs.addEvent(id, 'cancelled', null)
    } else if (job.state === 'running') {
      jobs.update(id, { state: 'cancelling' })
      jobs.addEvent(id, 'cancelling', null)
      this.#running.get(id)?.job.cancel(settings.get().cancelGraceSeconds * 1000)
    } else throw new AppError('E_JOB_STATE', { id, state: job.state, action: 'cancelled' })
    this.#announce(id)
    return this.get(id).job
  }

  /** Queues a job again that was interrupted, failed or cancelled; finished stages are not repeated. */
  resume(id: string): Job {
    const { jobs } = this.#workspace
    const job = jobs.get(id)
    if (!resumableJobStates.includes(job.state)) {
      throw new AppError('E_JOB_STATE', { id, state: job.state, action: 'resumed' })
    }
    jobs.update(id, { state: 'queued', error: null, finishedAt: null, dismissed: false, stages: [] })
    jobs.addEvent(id, 'resumed', null)
    this.#announce(id)
    this.#schedule()
    return this.get(id).job
  }

  /** Puts an ended job away, out of the list. */
  dismiss(id: string): Job {
    const { jobs } = this.#workspace
    const job = jobs.get(id)
    if (job.state === 'queued' || job.state === 'running' || job.state === 'cancelling') {
      throw new AppError('E_JOB_STATE', { id, state: job.state, action: 'dismissed' })
    }
    jobs.update(id, { dismissed: true })
    this.#announce(id)
    return jobs.get(id)
  }

  logPath(id: string): string {
    return path.join(this.#workspace.layout.logs, 'jobs', `${id}.log`)
  }

  logTail(id: string, count: number, afterSeq?: number): LogLine[] {
    this.#workspace.jobs.get(id)
    return this.#log(id).tail(count, afterSeq)
  }

  followLog(id: string, listener: (lines: LogLine[]) => void): () => void {
    return this.#log(id).follow(listener)
  }

  /** Calls back on every change of a job, progress included. */
  onChange(listener: (state: JobState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends all workers; their jobs become `interrupted`. */
  async close(): Promise<void> {
    this.#closed = true
    const deadline = Date.now() + CLOSE_TIMEOUT_MS
    for (const { job } of this.#running.values()) job.kill()
    while (this.#running.size > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    this.#listeners.clear()
  }

  #schedule(): void {
    if (this.#closed) return
    const { jobs, settings } = this.#workspace
    const slots = settings.get().cpuJobSlots
    for (const job of jobs.inStates(['queued'])) {
      if (this.#running.size + this.#starting.size >= slots) return
      const busy = new Set([
        ...this.#starting.values(),
        ...[...this.#running.values()].map((entry) => entry.device),
      ])
      if (this.#starting.has(job.id) || busy.has(job.device)) continue
      this.#starting.set(job.id, job.device)
      void this.#start(job)
    }
  }

  async #start(queued: Job): Promise<void> {
    const { jobs } = this.#workspace
    const kind = this.#kinds[queued.kind]
    const log = this.#log(queued.id)
    let definition: unknown
    try {
      definition = await kind.prepare(queued)
    } catch (error) {
      this.#starting.delete(queued.id)
      const startedAt = queued.startedAt ?? now()
      jobs.update(queued.id, { attempt: queued.attempt + 1, startedAt })
      return this.#ended(queued.id, { kind: 'failed', error: toErrorShape(error) })
    }
    this.#starting.delete(queued.id)
    // It may have been cancelled, or its project deleted, while it was prepared.
    const present = jobs.inStates(['queued']).find((job) => job.id === queued.id)
    if (!present || this.#closed) return this.#schedule()
    const attempt = present.attempt + 1
    log.write('info', `attempt ${attempt}: ${present.title} on ${present.device}`)
    const running = new RunningJob({
      workspace: this.#workspace,
      job: present,
      log,
      planModule: kind.planModule,
      definition,
      onChange: () => this.#progressed(present.id),
      onEnd: (end) => void this.#ended(present.id, end),
    })
    this.#running.set(present.id, { job: running, device: present.device, savedAt: 0 })
    jobs.update(present.id, {
      state: 'running',
      attempt,
      startedAt: now(),
      finishedAt: null,
      error: null,
      progress: { fraction: 0, stage: null, etaSeconds: null },
      worker: running.worker.identity,
    })
    jobs.addEvent(present.id, 'started', { attempt })
    this.#announce(present.id)
  }

  #progressed(id: string): void {
    const running = this.#running.get(id)
    if (!running) return
    const at = Date.now()
    const { stages, progress } = running.job
    const saved = this.#workspace.jobs.stages(id)
    const newState = stages.some((stage, index) => stage.state !== saved[index]?.state)
    if (newState || at - running.savedAt >= SAVE_INTERVAL_MS) {
      running.savedAt = at
      this.#workspace.jobs.update(id, { stages, progress })
    }
    this.#announce(id)
  }

  async #ended(id: string, end: JobEnd): Promise<void> {
    const { jobs } = this.#workspace
    const running = this.#running.get(id)
    const stages = running?.job.stages ?? jobs.stages(id)
    try {
      if (end.kind === 'done') await this.#complete(id, end, stages)
      else this.#recordEnd(id, this.#closed ? shutDown(id, end, running?.job.progress.stage) : end, stages)
    } catch (error) {
      this.#recordEnd(id, { kind: 'failed', error: toErrorShape(error) }, stages)
    }
    this.#running.delete(id)
    this.#announce(id)
    this.#schedule()
  }

  async #complete(id: string, end: Extract<JobEnd, { kind: 'done' }>, stages: JobStage[]): Promise<void> {
    const { jobs } = this.#workspace
    const job = jobs.get(id)
    await this.#kinds[job.kind].complete(job, end.result, end.keys, (runId) => {
      const progress = { fraction: 1, stage: null, etaSeconds: null }
      jobs.update(id, {
        state: 'done',
        finishedAt: now(),
        runId,
        stages,
        progress,
        worker: null,
        error: null,
      })
      jobs.addEvent(id, 'done', { runId })
    })
    this.#log(id).write('info', 'done')
  }

  #recordEnd(id: string, end: Exclude<JobEnd, { kind: 'done' }>, stages: JobStage[]): void {
    const { jobs } = this.#workspace
    const error = end.kind === 'cancelled' ? null : end.error
    const ended = stopStages(stages, end.kind === 'failed' ? 'failed' : 'cancelled')
    jobs.update(id, { state: end.kind, finishedAt: now(), error, stages: ended, worker: null })
    jobs.addEvent(id, end.kind, error)
    if (error) this.#log(id).write('error', `${error.code}: ${error.message} ${error.hint}`)
    else this.#log(id).write('info', 'cancelled')
  }

  #log(id: string): JobLog {
    let log = this.#logs.get(id)
    if (!log) {
      log = new JobLog(this.logPath(id))
      this.#logs.set(id, log)
    }
    return log
  }

  #announce(id: string): void {
    if (this.#listeners.size === 0) return
    const state = this.get(id)
    for (const listener of this.#listeners) listener(state)
  }
}

/** Workers that the engine ends on its own way out did not die of anything else. */
function shutDown(
  id: string,
  end: Exclude<JobEnd, { kind: 'done' }>,
  stage: string | null | undefined,
): Exclude<JobEnd, { kind: 'done' }> {
  if (end.kind !== 'interrupted') return end
  return {
    kind: 'interrupted',
    error: toErrorShape(new AppError('E_JOB_INTERRUPTED', { id, stage: stage ?? '-' })),
  }
}

/** A stage that was under way when the job stopped. */
function stopStages(stages: readonly JobStage[], state: 'failed' | 'cancelled'): JobStage[] {
  return stages.map((stage) =>
    stage.state === 'running' ? { ...stage, state, finishedAt: now(), item: null } : stage,
  )
}
