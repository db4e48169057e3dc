// Which layers a pattern of a recipe names; the engine decides the same way (docs/recipes.md, "Naming layers"). Pure.
import type { LayerRow } from '../../../contract/workspace.ts'
import { matchesWildcard } from '../../format/search.ts'

export type LayerNames = Pick<LayerRow, 'name' | 'modulePath' | 'weight' | 'opType'>

export const isWildcard = (pattern: string): boolean => pattern.includes('*')

const namesOf = (layer: LayerNames): string[] =>
  [layer.name, layer.modulePath, layer.weight].filter((name) => name !== null)

/** `unet.mid` and `unet` for `unet.mid.conv`: the modules that a module path or a weight lies in. */
function modulesOf(name: string): string[] {
  const modules: string[] = []
  for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
    modules.push(name.slice(0, dot))
  }
  return modules
}

/**
 * Many patterns prepared for many layers: an exact pattern costs a look-up, only wildcards are tried one by one.
 * A pattern names a node, a module path (with everything inside that module) or a weight.
 */
export class PatternIndex {
  readonly #exact = new Map<string, number[]>()
  readonly #wildcards: { pattern: string; index: number }[] = []

  constructor(patterns: readonly string[]) {
    patterns.forEach((pattern, index) => {
      if (isWildcard(pattern)) this.#wildcards.push({ pattern, index })
      else this.#exact.set(pattern, [...(this.#exact.get(pattern) ?? []), index])
    })
  }

  /** Places of the patterns that name the layer, in their order. */
  matches(layer: LayerNames): number[] {
    const names = namesOf(layer)
    const found: number[] = []
    if (this.#exact.size > 0) {
      const inside = [layer.modulePath, layer.weight].flatMap((name) =>
        name === null ? [] : modulesOf(name),
      )
      for (const name of new Set([...names, ...inside])) found.push(...(this.#exact.get(name) ?? []))
    }
    for (const { pattern, index } of this.#wildcards) {
      if (names.some((name) => matchesWildcard(pattern, name))) found.push(index)
    }
    return found.sort((a, b) => a - b)
  }

  matchesAny(layer: LayerNames): boolean {
    return this.matches(layer).length > 0
  }
}

/** Layers that one pattern names. */
export function layersOf<Layer extends LayerNames>(pattern: string, layers: readonly Layer[]): Layer[] {
  const index = new PatternIndex([pattern])
  return layers.filter((layer) => index.matchesAny(layer))
}

/**
 * The name that an entry for exactly this layer is written with: its module path where the module is this one layer;
 * the path of a larger module would name everything inside it.
 */
export function writtenName(layer: LayerNames): string {
  const { modulePath, weight, name } = layer
  return modulePath !== null && weight === `${modulePath}.weight` ? modulePath : name
}
