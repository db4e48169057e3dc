// The table `recipes`.
import { recipeSchema, type Recipe } from '../../contract/recipe.ts'
import type { RecipeRow } from '../../contract/workspace.ts'
import { hashData } from '../common/hashing.ts'
import type { Connection } from './database.ts'
import { newId, notFound, now } from './rows.ts'

interface Row {
  id: string
  project_id: string
  name: string
  recipe: string
  origin: RecipeRow['origin']
  sha256: string
  created_at: string
  updated_at: string
}

function toRecipe(row: Row): RecipeRow {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    recipe: recipeSchema.parse(JSON.parse(row.recipe)),
    origin: row.origin,
    sha256: row.sha256,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

/** Identity of a recipe: its content without its name. */
export function recipeHash(recipe: Recipe): string {
  return hashData({ ...recipe, name: undefined })
}

export class Recipes {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  list(projectId: string): RecipeRow[] {
    return this.#db
      .prepare<[string], Row>('SELECT * FROM recipes WHERE project_id = ? ORDER BY created_at, id')
      .all(projectId)
      .map(toRecipe)
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): RecipeRow {
    const row = this.#db.prepare<[string], Row>('SELECT * FROM recipes WHERE id = ?').get(id)
    if (!row) throw notFound('recipe', id)
    return toRecipe(row)
  }

  create(input: Pick<RecipeRow, 'projectId' | 'name' | 'recipe' | 'origin'> & { id?: string }): RecipeRow {
    const id = input.id ?? newId()
    const at = now()
    this.#db
      .prepare('INSERT INTO recipes VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        id,
        input.projectId,
        input.name,
        JSON.stringify(input.recipe),
        input.origin,
        recipeHash(input.recipe),
        at,
        at,
      )
    return this.get(id)
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  update(id: string, change: Pick<RecipeRow, 'name' | 'recipe' | 'origin'>): RecipeRow {
    this.get(id)
    this.#db
      .prepare('UPDATE recipes SET name = ?, recipe = ?, origin = ?, sha256 = ?, updated_at = ? WHERE id = ?')
      .run(change.name, JSON.stringify(change.recipe), change.origin, recipeHash(change.recipe), now(), id)
    return this.get(id)
  }

  delete(id: string): void {
    this.#db.prepare('DELETE FROM recipes WHERE id = ?').run(id)
  }
}
