// The table `datasets`.
import { existsSync } from 'node:fs'
import type { DatasetRow } from '../../contract/workspace.ts'
import type { Connection } from './database.ts'
import { fromJson, notFound } from './rows.ts'

export type DatasetRecord = Omit<DatasetRow, 'missing'>

interface Row {
  id: string
  project_id: string
  name: string
  source_path: string
  path: string
  storage: DatasetRow['storage']
  sha256: string
  bytes: number
  files: number
  samples: number
  layout: DatasetRow['layout']
  inputs: string
  created_at: string
}

export class Datasets {
  readonly #db: Connection
  readonly #absolute: (stored: string) => string
  readonly #relative: (path: string) => string

  constructor(db: Connection, paths: { absolute(stored: string): string; relative(path: string): string }) {
    this.#db = db
    this.#absolute = paths.absolute
    this.#relative = paths.relative
  }

  list(projectId: string): DatasetRow[] {
    return this.#db
      .prepare<[string], Row>('SELECT * FROM datasets WHERE project_id = ? ORDER BY created_at, id')
      .all(projectId)
      .map((row) => this.#toDataset(row))
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): DatasetRow {
    const row = this.#db.prepare<[string], Row>('SELECT * FROM datasets WHERE id = ?').get(id)
    if (!row) throw notFound('dataset', id)
    return this.#toDataset(row)
  }

  insert(dataset: DatasetRecord): void {
    this.#db
      .prepare('INSERT INTO datasets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        dataset.id,
        dataset.projectId,
        dataset.name,
        dataset.sourcePath,
        this.#relative(dataset.path),
        dataset.storage,
        dataset.sha256,
        dataset.bytes,
        dataset.files,
        dataset.samples,
        dataset.layout,
        JSON.stringify(dataset.inputs),
        dataset.createdAt,
      )
  }

  delete(id: string): void {
    this.#db.prepare('DELETE FROM datasets WHERE id = ?').run(id)
  }

  #toDataset(row: Row): DatasetRow {
    const folder = this.#absolute(row.path)
    return {
      id: row.id,
      projectId: row.project_id,
      name: row.name,
      sourcePath: row.source_path,
      path: folder,
      storage: row.storage,
      sha256: row.sha256,
      bytes: row.bytes,
      files: row.files,
      samples: row.samples,
      layout: row.layout,
      inputs: fromJson<string[]>(row.inputs),
      createdAt: row.created_at,
      missing: !existsSync(folder),
    }
  }
}
