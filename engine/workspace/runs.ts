// The tables of finished runs: rows to list, filter and sort; the full comparison; its samples; its artifacts.
import type { Artifact, Provenance, RunRow } from '../../contract/workspace.ts'
import type { RunFilter, RunSort } from '../../contract/rpc/work.ts'
import type { Connection } from './database.ts'
import { fromJson, newId, notFound, now } from './rows.ts'
import { fromBlob, joinSamples, splitSamples, toBlob } from './sample-arrays.ts'

type Stored = Omit<RunRow, 'id' | 'projectId' | 'jobId' | 'number' | 'createdAt' | 'note'>

export interface NewRun {
  id?: string
  projectId: string
  jobId: string | null
  /** Now, unless the run comes from an archive. */
  createdAt?: string
  row: Stored
  comparison: unknown
  /** What the charts are drawn from. */
  figures: unknown
  provenance: Provenance
  artifacts: readonly Pick<Artifact, 'kind' | 'name' | 'sha256' | 'bytes'>[]
  /** Per-layer figures, in layer order. */
  layers: readonly { layer: string; data: unknown }[]
}

interface Row {
  id: string
  project_id: string
  job_id: string | null
  number: number
  created_at: string
  note: string
  summary: string
}

const SORT_COLUMNS: Record<RunSort['by'], string> = {
  created: 'number',
  title: 'title COLLATE NOCASE',
  device: 'device_id',
  latency: 'latency_ms',
  qps: 'qps',
  ratio: 'ratio',
  size: 'size_bytes',
  sqnr: 'sqnr_db',
}

function toRun(row: Row): RunRow {
  return {
    id: row.id,
    projectId: row.project_id,
    jobId: row.job_id,
    number: row.number,
    createdAt: row.created_at,
    note: row.note,
    ...fromJson<Stored>(row.summary),
  }
}

function searchText(row: Stored, note: string): string {
  return [row.title, note, row.modelName, row.recipeName, row.datasetName, row.device.id, row.device.name]
    .join('\n')
    .toLowerCase()
}

function conditions(projectId: string, filter: RunFilter): { sql: string; values: (string | number)[] } {
  const parts = ['project_id = ?']
  const values: (string | number)[] = [projectId]
  const add = (sql: string, value: string | number | undefined): void => {
    if (value === undefined) return
    parts.push(sql)
    values.push(value)
  }
  add('instr(search, ?) > 0', filter.text === '' ? undefined : filter.text?.toLowerCase())
  add('device_id = ?', filter.deviceId)
  add('device_kind = ?', filter.deviceKind)
  add('model_id = ?', filter.modelId)
  add('recipe_id = ?', filter.recipeId)
  add('dataset_id = ?', filter.datasetId)
  add('valid = ?', filter.valid === undefined ? undefined : Number(filter.valid))
  add('created_at >= ?', filter.since)
  add('created_at <= ?', filter.until)
  return { sql: parts.join(' AND '), values }
}

export class Runs {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  list(query: {
    projectId: string
    filter?: RunFilter | undefined
    sort?: RunSort | undefined
    offset: number
    limit: number
  }): { total: number; runs: RunRow[] } {
    const where = conditions(query.projectId, query.filter ?? {})
    const column = SORT_COLUMNS[query.sort?.by ?? 'created']
    const direction = (query.sort?.descending ?? true) ? 'DESC' : 'ASC'
    const total = this.#db
      .prepare<(string | number)[], { count: number }>(
        `SELECT count(*) AS count FROM runs WHERE ${where.sql}`,
      )
      .get(...where.values)
    // Missing figures come last in both directions. The number has an index and is never missing.
    const order =
      column === 'number'
        ? `number ${direction}`
        : `${column} IS NULL, ${column} ${direction}, number ${direction}`
    const ids = this.#db
      .prepare<(string | number)[], { id: string }>(
        `SELECT id FROM runs WHERE ${where.sql} ORDER BY ${order} LIMIT ? OFFSET ?`,
      )
      .all(...where.values, query.limit, query.offset)
    return { total: total?.count ?? 0, runs: this.#rows(ids.map(({ id }) => id)) }
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): RunRow {
    const [run] = this.#rows([id])
    if (!run) throw notFound('run', id)
    return run
  }

  /** Rows in the order of the ids; unknown ones are left out. */
  #rows(ids: readonly string[]): RunRow[] {
    const statement = this.#db.prepare<[string], Row>(
      'SELECT runs.*, summary FROM runs JOIN run_summaries ON run_id = id WHERE id = ?',
    )
    return ids.flatMap((id) => statement.get(id) ?? []).map(toRun)
  }

  /** The comparison as it was made. @throws E_WORKSPACE_NOT_FOUND */
  comparison(id: string): unknown {
    const { comparison } = this.#detail(id)
    return (this.#join(id, { comparison: fromJson<unknown>(comparison) }) as { comparison: unknown })
      .comparison
  }

  /** What the charts are drawn from, samples included. @throws E_WORKSPACE_NOT_FOUND */
  figures(id: string): unknown {
    const { figures } = this.#detail(id)
    return (this.#join(id, { figures: fromJson<unknown>(figures) }) as { figures: unknown }).figures
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  provenance(id: string): Provenance {
    return fromJson<Provenance>(this.#detail(id).provenance)
  }

  #detail(id: string): { comparison: string; figures: string; provenance: string } {
    const row = this.#db
      .prepare<[string], { comparison: string; figures: string; provenance: string }>(
        'SELECT comparison, figures, provenance FROM run_details WHERE run_id = ?',
      )
      .get(id)
    if (!row) throw notFound('run', id)
    return row
  }

  /** Puts the sample arrays back that belong to the given part of the document. */
  #join(id: string, part: Record<string, unknown>): unknown {
    const [key = ''] = Object.keys(part)
    const arrays = this.#db
      .prepare<[string, string], { pointer: string; data: Buffer }>(
        "SELECT pointer, data FROM samples WHERE run_id = ? AND pointer LIKE ? || '/%'",
      )
      .all(id, `/${key}`)
      .map((sample) => ({ pointer: sample.pointer, values: fromBlob(sample.data) }))
    return joinSamples(part, arrays)
  }

  artifacts(runId: string): Omit<Artifact, 'path' | 'missing'>[] {
    return this.#db
      .prepare<
        [string],
        {
          id: string
          run_id: string
          kind: string
          name: string
          sha256: string
          bytes: number
          created_at: string
        }
      >('SELECT * FROM artifacts WHERE run_id = ? ORDER BY rowid')
      .all(runId)
      .map((row) => ({
        id: row.id,
        runId: row.run_id,
        kind: row.kind,
        name: row.name,
        sha256: row.sha256,
        bytes: row.bytes,
        createdAt: row.created_at,
      }))
  }

  layers(runId: string): { layer: string; data: unknown }[] {
    return this.#db
      .prepare<[string], { layer: string; data: string }>(
        'SELECT layer, data FROM layer_statistics WHERE run_id = ? ORDER BY position',
      )
      .all(runId)
      .map((row) => ({ layer: row.layer, data: fromJson<unknown>(row.data) }))
  }

  /** Writes a run with everything that belongs to it, all or nothing. */
  insert(run: NewRun): RunRow {
    const id = run.id ?? newId()
    const at = run.createdAt ?? now()
    const { data, arrays } = splitSamples({ comparison: run.comparison, figures: run.figures })
    const { comparison, figures } = data as { comparison: unknown; figures: unknown }
    this.#db.transaction(() => {
      const next = this.#db
        .prepare<[string], { number: number }>(
          'SELECT coalesce(max(number), 0) + 1 AS number FROM runs WHERE project_id = ?',
        )
        .get(run.projectId)
      this.#insertRow(run, id, at, next?.number ?? 1)
      this.#db
        .prepare('INSERT INTO run_details VALUES (?, ?, ?, ?)')
        .run(
          id,
          JSON.stringify(comparison ?? null),
          JSON.stringify(figures ?? null),
          JSON.stringify(run.provenance),
        )
      const sample = this.#db.prepare('INSERT INTO samples VALUES (?, ?, ?, ?)')
      for (const array of arrays) sample.run(id, array.pointer, array.values.length, toBlob(array.values))
      const artifact = this.#db.prepare('INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?)')
      for (const entry of run.artifacts) {
        artifact.run(newId(), id, entry.kind, entry.name, entry.sha256, entry.bytes, at)
      }
      const layer = this.#db.prepare('INSERT INTO layer_statistics VALUES (?, ?, ?, ?)')
      run.layers.forEach((entry, position) =>
        layer.run(id, position, entry.layer, JSON.stringify(entry.data)),
      )
    })()
    return this.get(id)
  }

  #insertRow(run: NewRun, id: string, at: string, number: number): void {
    const { row } = run
    const [candidate] = row.candidates
    this.#db
      .prepare('INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        id,
        run.projectId,
        run.jobId,
        number,
        at,
        row.title,
        '',
        row.device.id,
        row.device.kind,
        row.modelId,
        row.recipeId,
        row.datasetId,
        Number(row.valid),
        candidate?.latencyMeanMs ?? null,
        candidate?.qps ?? null,
        row.latencyRatio?.ratio ?? null,
        candidate?.sizeBytes ?? null,
        candidate?.sqnrDb ?? null,
        searchText(row, ''),
      )
    this.#db.prepare('INSERT INTO run_summaries VALUES (?, ?)').run(id, JSON.stringify(row))
  }

  /** The one thing of a run that may change. @throws E_WORKSPACE_NOT_FOUND */
  setNote(id: string, text: string): RunRow {
    const run = this.get(id)
    this.#db.prepare('UPDATE runs SET note = ?, search = ? WHERE id = ?').run(text, searchText(run, text), id)
    return this.get(id)
  }
}
