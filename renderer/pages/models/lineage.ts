// The lineage of models as an indented list: every model after its parent, children in the order they were made. Pure.
import type { ModelRow } from '../../../contract/workspace.ts'

export interface LineageLine {
  model: ModelRow
  depth: number
  /** The last child of its parent, for drawing the branch. */
  last: boolean
}

/** Roots first by age; a model whose parent is gone counts as a root. A cycle (damaged data) cannot hang it. */
export function lineage(models: readonly ModelRow[]): LineageLine[] {
  const known = new Set(models.map((model) => model.id))
  const children = new Map<string, ModelRow[]>()
  const roots: ModelRow[] = []
  for (const model of [...models].sort((a, b) => a.createdAt.localeCompare(b.createdAt))) {
    if (model.parentId && known.has(model.parentId)) {
      children.set(model.parentId, [...(children.get(model.parentId) ?? []), model])
    } else roots.push(model)
  }
  const lines: LineageLine[] = []
  const seen = new Set<string>()
  function visit(model: ModelRow, depth: number, last: boolean): void {
    if (seen.has(model.id)) return
    seen.add(model.id)
    lines.push({ model, depth, last })
    const own = children.get(model.id) ?? []
    own.forEach((child, index) => visit(child, depth + 1, index === own.length - 1))
  }
  roots.forEach((root, index) => visit(root, 0, index === roots.length - 1))
  for (const model of models) visit(model, 0, true)
  return lines
}
