// The layers that a recipe names, by node name, module path or weight.
import { AppError } from '../../contract/errors/index.ts'
import {
  allLayerNames,
  type LayerName,
  layerNames,
  matchLayers,
  type Model,
  nearestNames,
  type Node,
} from '../onnx/index.ts'

export const SUGGESTIONS = 3

/** The halves of a split layer are named after it. */
const SPLIT_SUFFIX = /\.split\d+$/

/** A half of a split layer also answers to the layer's own name. */
function withSplitNames(layer: LayerName): LayerName {
  const whole = [layer.name, ...layer.aliases]
    .filter((name) => SPLIT_SUFFIX.test(name))
    .map((name) => name.replace(SPLIT_SUFFIX, ''))
  return whole.length > 0 ? { ...layer, aliases: [...layer.aliases, ...whole] } : layer
}

/** Finds the layers of each pattern of a list; an unknown name is an error, also when it is only misspelt. */
export class PatternMatcher {
  readonly #layers: LayerName[]
  readonly #original: LayerName[]
  readonly #label: string

  /** @param original The model before weight repair: names that only it has are known, and match nothing. */
  constructor(model: Model, original?: Model) {
    this.#layers = layerNames(model).map(withSplitNames)
    this.#original = original ? layerNames(original) : []
    this.#label = (original ?? model).path ?? 'the model'
  }

  get layers(): readonly LayerName[] {
    return this.#layers
  }

  /** @throws E_LAYER_UNKNOWN */
  nodes(pattern: string, list: string): Set<Node> {
    const matches = matchLayers(this.#layers, pattern)
    if (matches.length > 0 || matchLayers(this.#original, pattern).length > 0) {
      return new Set(matches.map((layer) => layer.node))
    }
    const known = this.#original.length > 0 ? this.#original : this.#layers
    const suggestions = nearestNames(allLayerNames(known), pattern, SUGGESTIONS)
    throw new AppError('E_LAYER_UNKNOWN', { layer: pattern, list, model: this.#label, suggestions })
  }

  /** @throws E_LAYER_UNKNOWN */
  union(patterns: readonly string[], list: string): Set<Node> {
    return new Set(patterns.flatMap((pattern) => [...this.nodes(pattern, list)]))
  }
}
