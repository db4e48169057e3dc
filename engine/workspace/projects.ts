// The table `projects`.
import type { Project } from '../../contract/workspace.ts'
import type { Connection } from './database.ts'
import { newId, notFound, now } from './rows.ts'

interface ProjectRow {
  id: string
  name: string
  description: string
  sample: number
  created_at: string
  updated_at: string
  models: number
  datasets: number
  recipes: number
  runs: number
  active_jobs: number
  last_run_id: string | null
}

const SELECT = `SELECT p.*,
  (SELECT count(*) FROM models WHERE project_id = p.id) AS models,
  (SELECT count(*) FROM datasets WHERE project_id = p.id) AS datasets,
  (SELECT count(*) FROM recipes WHERE project_id = p.id) AS recipes,
  (SELECT count(*) FROM runs WHERE project_id = p.id) AS runs,
  (SELECT count(*) FROM jobs WHERE project_id = p.id AND state IN ('queued', 'running', 'cancelling')) AS active_jobs,
  (SELECT id FROM runs WHERE project_id = p.id ORDER BY created_at DESC LIMIT 1) AS last_run_id
  FROM projects p`

function toProject(row: ProjectRow): Project {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    sample: row.sample === 1,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    counts: {
      models: row.models,
      datasets: row.datasets,
      recipes: row.recipes,
      runs: row.runs,
      activeJobs: row.active_jobs,
    },
    lastRunId: row.last_run_id,
  }
}

export class Projects {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  /** Latest change first. */
  list(): Project[] {
    return this.#db.prepare<[], ProjectRow>(`${SELECT} ORDER BY p.updated_at DESC`).all().map(toProject)
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): Project {
    const row = this.#db.prepare<[string], ProjectRow>(`${SELECT} WHERE p.id = ?`).get(id)
    if (!row) throw notFound('project', id)
    return toProject(row)
  }

  create(input: { id?: string; name: string; description?: string; sample?: boolean }): Project {
    const id = input.id ?? newId()
    const at = now()
    this.#db
      .prepare('INSERT INTO projects VALUES (?, ?, ?, ?, ?, ?)')
      .run(id, input.name, input.description ?? '', input.sample ? 1 : 0, at, at)
    return this.get(id)
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  update(id: string, change: { name?: string | undefined; description?: string | undefined }): Project {
    const present = this.get(id)
    this.#db
      .prepare('UPDATE projects SET name = ?, description = ?, updated_at = ? WHERE id = ?')
      .run(change.name ?? present.name, change.description ?? present.description, now(), id)
    return this.get(id)
  }

  /** Marks the project as just used, so that it leads the recents. */
  touch(id: string): void {
    this.#db.prepare('UPDATE projects SET updated_at = ? WHERE id = ?').run(now(), id)
  }

  /** Removes the project's rows, and with them everything that belongs to it. */
  delete(id: string): void {
    this.#db.prepare('DELETE FROM projects WHERE id = ?').run(id)
  }
}
