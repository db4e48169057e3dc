// What a recipe makes of every layer of a model, in AMCT's words.
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import type { ActivationSettings, Recipe } from '../../../contract/recipe.ts'
import type { ObserverSpec } from '../../calibration/index.ts'
import { layerNames, matchLayers, type Model, type Node } from '../../onnx/index.ts'
import type { ChosenLayer } from '../plan.ts'
import type { ChosenPool } from '../pooling.ts'
import { selectLayers } from '../selection.ts'
import { AmctWriter } from './from-recipe.ts'
import { listed } from './repair.ts'
import { type AmctSettings, DEFAULT_SETTINGS } from './settings.ts'

export interface AmctLayer {
  name: string
  opType: string
  enabled: boolean
  settings: AmctSettings
}

export interface AmctLayers {
  /** Every layer that can be quantized, in graph order. */
  layers: AmctLayer[]
  /** Layers whose normalization is not folded. */
  skipFusion: string[]
  notes: InteropNote[]
}

/** The recipe's settings of a chosen layer, from what became of them. */
function activationOf(observer: ObserverSpec): ActivationSettings {
  const { method, symmetric, percentile, bins, ifmr } = observer
  const plain = { method, symmetric } as const
  if (method === 'percentile') return { ...plain, percentile }
  if (method === 'hfmg') return { ...plain, bins: bins as ActivationSettings['bins'] }
  if (method !== 'ifmr') return plain
  return {
    ...plain,
    max_percentile: ifmr.maxPercentile,
    min_percentile: ifmr.minPercentile,
    search_range: [ifmr.searchRange[0], ifmr.searchRange[1]],
    search_step: ifmr.searchStep,
  }
}

/** @param patterns undefined: every layer. */
function members(model: Model, patterns: readonly string[] | undefined): (node: Node | undefined) => boolean {
  if (!patterns) return () => true
  const names = layerNames(model)
  const nodes = new Set(patterns.flatMap((pattern) => matchLayers(names, pattern)).map((layer) => layer.node))
  return (node) => node !== undefined && nodes.has(node)
}

function foldable(model: Model, patterns: readonly string[]): string[] {
  const names = layerNames(model)
  const found = patterns.flatMap((pattern) => matchLayers(names, pattern))
  const types = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'BatchNormalization']
  return [...new Set(found.filter(({ node }) => types.includes(node.opType)).map((layer) => layer.name))]
}

/** AMCT quantizes every average pooling that it is not told to leave alone. */
const POOLING = 'AveragePool'

class LayerWriter {
  readonly #writer: AmctWriter
  readonly #recipe: Recipe
  readonly #rounded: (node: Node | undefined) => boolean
  readonly #balanced: (node: Node | undefined) => boolean

  constructor(recipe: Recipe, model: Model) {
    const { rounding, balance } = recipe.repair
    this.#recipe = recipe
    this.#writer = new AmctWriter(recipe)
    this.#rounded = members(model, rounding.method === 'adaround' ? rounding.layers : [])
    this.#balanced = members(model, balance ? balance.layers : [])
  }

  get notes(): InteropNote[] {
    return this.#writer.notes()
  }

  chosen(layer: ChosenLayer, node: Node, name: string): AmctLayer {
    const { opType } = node
    const settings = this.#writer.settings(
      name,
      {
        precision: layer.precision,
        activation: activationOf(layer.observer),
        weightMethod: layer.weightMethod,
        perChannel: layer.perChannelWeight && opType !== 'MatMul' && opType !== 'Gemm',
      },
      { rounded: this.#rounded(node), balanced: this.#balanced(node) },
    )
    return { name, opType, enabled: true, settings }
  }

  pool(pool: ChosenPool, name: string): AmctLayer {
    const { weight } = this.#recipe
    const settings = this.#writer.settings(
      name,
      {
        precision: 'int8',
        activation: activationOf(pool.observer),
        weightMethod: weight.method,
        perChannel: false,
      },
      { rounded: false, balanced: false },
    )
    return { name, opType: POOLING, enabled: true, settings }
  }
}

/** Resolves a recipe against a model. @throws E_LAYER_UNKNOWN when a name of the recipe matches nothing */
export function amctLayers(recipe: Recipe, model: Model): AmctLayers {
  const { chosen, weightOnly, pools, kept } = selectLayers(model, recipe)
  const writer = new LayerWriter(recipe, model)
  const nodeOf = (index: number): Node | undefined => model.graph.nodes[index]
  const chosenByNode = new Map(chosen.map((layer) => [nodeOf(layer.anatomy.nodeIndex), layer]))
  const poolByNode = new Map(pools.map((pool) => [nodeOf(pool.nodeIndex), pool]))
  const weightsByNode = new Set(weightOnly.map((layer) => nodeOf(layer.anatomy.nodeIndex)))
  const half: string[] = []
  const layers = layerNames(model).flatMap(({ node, name }): AmctLayer[] => {
    const layer = chosenByNode.get(node)
    const pool = poolByNode.get(node)
    if (layer) return [writer.chosen(layer, node, name)]
    if (pool) return [writer.pool(pool, name)]
    const reason = kept.get(node)?.reason
    if (reason === 'fp16_by_recipe') half.push(name)
    const listedByAmct = node.opType === POOLING || weightsByNode.has(node) || reason?.endsWith('_by_recipe')
    return listedByAmct ? [{ name, opType: node.opType, enabled: false, settings: DEFAULT_SETTINGS }] : []
  })
  const weightNames = weightOnly.map((layer) => layer.name)
  const notes = [
    ...writer.notes,
    ...(weightNames.length > 0 ? [makeNote('weight_only', { layers: listed(weightNames) })] : []),
    ...(half.length > 0 ? [makeNote('fp16_is_float', { layers: listed(half) })] : []),
  ]
  return { layers, skipFusion: foldable(model, recipe.repair.skip_fold_layers), notes }
}
