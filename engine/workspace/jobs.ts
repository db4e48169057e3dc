// The tables `jobs` and `job_events`: state of every job, and what happened to it in order.
import type { ErrorShape } from '../../contract/result.ts'
import type { Job, JobStage, JobState } from '../../contract/workspace.ts'
import type { Connection } from './database.ts'
import { fromJson, newId, notFound, now } from './rows.ts'

/** Process that runs a job; the start time tells it from a later process with the same id. */
export interface WorkerIdentity {
  pid: number
  startTime: string | null
}

interface Row {
  id: string
  project_id: string
  kind: Job['kind']
  title: string
  state: JobState
  device: string
  request: string
  attempt: number
  created_at: string
  started_at: string | null
  finished_at: string | null
  fraction: number
  stage: string | null
  eta_seconds: number | null
  stages: string
  error: string | null
  run_id: string | null
  dismissed: number
  worker: string | null
}

export interface JobChange {
  state?: JobState
  attempt?: number
  startedAt?: string | null
  finishedAt?: string | null
  progress?: Job['progress']
  stages?: readonly JobStage[]
  error?: ErrorShape | null
  runId?: string | null
  dismissed?: boolean
  worker?: WorkerIdentity | null
}

function toJob(row: Row): Job {
  return {
    id: row.id,
    projectId: row.project_id,
    kind: row.kind,
    title: row.title,
    state: row.state,
    device: row.device,
    request: fromJson<Record<string, unknown>>(row.request),
    attempt: row.attempt,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    progress: { fraction: row.fraction, stage: row.stage, etaSeconds: row.eta_seconds },
    error: row.error === null ? null : fromJson<ErrorShape>(row.error),
    runId: row.run_id,
    dismissed: row.dismissed === 1,
  }
}

const COLUMNS: Record<Exclude<keyof JobChange, 'progress'>, string> = {
  state: 'state',
  attempt: 'attempt',
  startedAt: 'started_at',
  finishedAt: 'finished_at',
  stages: 'stages',
  error: 'error',
  runId: 'run_id',
  dismissed: 'dismissed',
  worker: 'worker',
}

function toColumn(value: unknown): string | number | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'object') return JSON.stringify(value)
  return value as string | number
}

export class Jobs {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  /** Latest first; a negative limit means all. */
  list(filter: { projectId?: string | undefined; dismissed?: boolean | undefined; limit: number }): Job[] {
    const conditions = ['1']
    const values: (string | number)[] = []
    if (filter.projectId !== undefined) {
      conditions.push('project_id = ?')
      values.push(filter.projectId)
    }
    if (filter.dismissed === false) conditions.push('dismissed = 0')
    return this.#db
      .prepare<(string | number)[], Row>(
        `SELECT * FROM jobs WHERE ${conditions.join(' AND ')} ORDER BY created_at DESC, id DESC LIMIT ?`,
      )
      .all(...values, filter.limit)
      .map(toJob)
  }

  /** Oldest first, the order in which queued jobs run. */
  inStates(states: readonly JobState[]): Job[] {
    const marks = states.map(() => '?').join(', ')
    return this.#db
      .prepare<JobState[], Row>(`SELECT * FROM jobs WHERE state IN (${marks}) ORDER BY created_at, id`)
      .all(...states)
      .map(toJob)
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): Job {
    return toJob(this.#row(id))
  }

  stages(id: string): JobStage[] {
    return fromJson<JobStage[]>(this.#row(id).stages)
  }

  worker(id: string): WorkerIdentity | null {
    const { worker } = this.#row(id)
    return worker === null ? null : fromJson<WorkerIdentity>(worker)
  }

  create(input: Pick<Job, 'projectId' | 'kind' | 'title' | 'device' | 'request'>): Job {
    const id = newId()
    this.#db
      .prepare(
        `INSERT INTO jobs VALUES (?, ?, ?, ?, 'queued', ?, ?, 0, ?, NULL, NULL, 0, NULL, NULL, '[]', NULL, NULL, 0, NULL)`,
      )
      .run(id, input.projectId, input.kind, input.title, input.device, JSON.stringify(input.request), now())
    return this.get(id)
  }

  update(id: string, change: JobChange): Job {
    const sets: string[] = []
    const values: (string | number | null)[] = []
    for (const [key, column] of Object.entries(COLUMNS)) {
      if (!(key in change)) continue
      sets.push(`${column} = ?`)
      values.push(toColumn(change[key as keyof JobChange]))
    }
    if (change.progress) {
      sets.push('fraction = ?', 'stage = ?', 'eta_seconds = ?')
      values.push(change.progress.fraction, change.progress.stage, change.progress.etaSeconds)
    }
    if (sets.length > 0) {
      this.#db.prepare(`UPDATE jobs SET ${sets.join(', ')} WHERE id = ?`).run(...values, id)
    }
    return this.get(id)
  }

  addEvent(jobId: string, kind: string, data: unknown): void {
    this.#db
      .prepare(
        `INSERT INTO job_events
         VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM job_events WHERE job_id = ?), ?, ?, ?)`,
      )
      .run(jobId, jobId, now(), kind, JSON.stringify(data ?? null))
  }

  events(jobId: string): { seq: number; at: string; kind: string; data: unknown }[] {
    return this.#db
      .prepare<[string], { seq: number; at: string; kind: string; data: string }>(
        'SELECT seq, at, kind, data FROM job_events WHERE job_id = ? ORDER BY seq',
      )
      .all(jobId)
      .map((row) => ({ ...row, data: fromJson<unknown>(row.data) }))
  }

  #row(id: string): Row {
    const row = this.#db.prepare<[string], Row>('SELECT * FROM jobs WHERE id = ?').get(id)
    if (!row) throw notFound('job', id)
    return row
  }
}
