// The table `models`: what was imported and what runs produced.
import { existsSync } from 'node:fs'
import type { ModelRow } from '../../contract/workspace.ts'
import type { Connection } from './database.ts'
import { fromJson, notFound } from './rows.ts'

/** What reading the model told about it; kept so that lists need not open files. */
export type ModelFacts = Pick<ModelRow, 'parameters' | 'opset' | 'nodes' | 'inputs'>

export type ModelRecord = Omit<ModelRow, 'missing'>

interface Row {
  id: string
  project_id: string
  name: string
  format: ModelRow['format']
  source_path: string
  path: string
  storage: ModelRow['storage']
  sha256: string
  bytes: number
  created_at: string
  role: ModelRow['role']
  parent_id: string | null
  run_id: string | null
  facts: string
}

export class Models {
  readonly #db: Connection
  readonly #absolute: (stored: string) => string
  readonly #relative: (path: string) => string

  constructor(db: Connection, paths: { absolute(stored: string): string; relative(path: string): string }) {
    this.#db = db
    this.#absolute = paths.absolute
    this.#relative = paths.relative
  }

  list(projectId: string): ModelRow[] {
    return this.#db
      .prepare<[string], Row>('SELECT * FROM models WHERE project_id = ? ORDER BY created_at, id')
      .all(projectId)
      .map((row) => this.#toModel(row))
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): ModelRow {
    const row = this.#db.prepare<[string], Row>('SELECT * FROM models WHERE id = ?').get(id)
    if (!row) throw notFound('model', id)
    return this.#toModel(row)
  }

  /** The model of this project with the same content, if there is one. */
  findByContent(projectId: string, sha256: string): ModelRow | undefined {
    const row = this.#db
      .prepare<[string, string], Row>('SELECT * FROM models WHERE project_id = ? AND sha256 = ? LIMIT 1')
      .get(projectId, sha256)
    return row && this.#toModel(row)
  }

  insert(model: ModelRecord): void {
    const facts: ModelFacts = {
      parameters: model.parameters,
      opset: model.opset,
      nodes: model.nodes,
      inputs: model.inputs,
    }
    this.#db
      .prepare('INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        model.id,
        model.projectId,
        model.name,
        model.format,
        model.sourcePath,
        this.#relative(model.path),
        model.storage,
        model.sha256,
        model.bytes,
        model.createdAt,
        model.role,
        model.parentId,
        model.runId,
        JSON.stringify(facts),
      )
  }

  delete(id: string): void {
    this.#db.prepare('DELETE FROM models WHERE id = ?').run(id)
  }

  #toModel(row: Row): ModelRow {
    const file = this.#absolute(row.path)
    return {
      id: row.id,
      projectId: row.project_id,
      name: row.name,
      format: row.format,
      sourcePath: row.source_path,
      path: file,
      storage: row.storage,
      sha256: row.sha256,
      bytes: row.bytes,
      createdAt: row.created_at,
      missing: !existsSync(file),
      role: row.role,
      parentId: row.parent_id,
      runId: row.run_id,
      ...fromJson<ModelFacts>(row.facts),
    }
  }
}
