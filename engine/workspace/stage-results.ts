// The table `stage_results`: what a pipeline stage produced, by the hash of everything that went into it.
import type { Connection } from './database.ts'
import type { KeptFile, KeptFiles } from './kept-files.ts'
import { fromJson, newId, now } from './rows.ts'

export interface StageResult {
  /** Owner of the result's files. */
  id: string
  stage: string
  /** Plain data; paths in it are relative to the result's own files. */
  result: unknown
  files: KeptFile[]
}

export class StageResults {
  readonly #db: Connection
  readonly #files: KeptFiles

  constructor(db: Connection, files: KeptFiles) {
    this.#db = db
    this.#files = files
  }

  find(key: string): StageResult | undefined {
    const row = this.#db
      .prepare<[string], { id: string; stage: string; result: string }>(
        'SELECT id, stage, result FROM stage_results WHERE key = ?',
      )
      .get(key)
    if (!row) return undefined
    this.#db.prepare('UPDATE stage_results SET used_at = ? WHERE key = ?').run(now(), key)
    return {
      id: row.id,
      stage: row.stage,
      result: fromJson<unknown>(row.result),
      files: this.#files.list(row.id),
    }
  }

  /** Stores a result with its files; an older one under the same key is replaced. */
  put(key: string, stage: string, result: unknown, files: readonly KeptFile[]): StageResult {
    const id = newId()
    const at = now()
    this.#db.transaction(() => {
      this.delete(key)
      this.#db
        .prepare('INSERT INTO stage_results VALUES (?, ?, ?, ?, ?, ?)')
        .run(key, stage, id, at, at, JSON.stringify(result))
      this.#files.insert(id, files)
    })()
    return { id, stage, result, files: [...files] }
  }

  delete(key: string): void {
    const row = this.#db
      .prepare<[string], { id: string }>('SELECT id FROM stage_results WHERE key = ?')
      .get(key)
    if (!row) return
    this.#files.remove(row.id)
    this.#db.prepare('DELETE FROM stage_results WHERE key = ?').run(key)
  }

  /** Forgets results not used since `before` (ISO time). */
  expire(before: string): number {
    const keys = this.#db
      .prepare<[string], { key: string }>('SELECT key FROM stage_results WHERE used_at < ?')
      .all(before)
    for (const { key } of keys) this.delete(key)
    return keys.length
  }
}
