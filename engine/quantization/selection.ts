// What the recipe says about each layer: quantize it and how, or leave it in floating point and why.
import { AppError } from '../../contract/errors/index.ts'
import type { KeptFloatReason, LayerReport } from '../../contract/quantization.ts'
import type { ActivationSettings, LayerOverride, LayerPrecision, Recipe } from '../../contract/recipe.ts'
import { observerSpec } from '../calibration/index.ts'
import {
  allLayerNames,
  layerNames,
  type LayerName,
  matchLayers,
  type Model,
  nearestNames,
  type Node,
} from '../onnx/index.ts'
import { examineLayers, type LayerAnatomy } from './layers.ts'
import type { ChosenLayer } from './plan.ts'

const SUGGESTIONS = 3

interface Settings {
  precision: LayerPrecision
  /** Why `precision` is not int8. */
  reason?: KeptFloatReason
  activation: ActivationSettings
  perChannel: boolean
}

export interface Selection {
  chosen: ChosenLayer[]
  /** Reports of the layers that stay in floating point, by node; the chosen ones are reported after calibration. */
  kept: Map<Node, LayerReport>
  /** Names of every candidate layer, in graph order. */
  candidates: LayerName[]
}

/** Finds the layers of each pattern of a list once; an unknown name is an error, also when it is only misspelt. */
class PatternMatcher {
  readonly #layers: LayerName[]
  readonly #label: string

  constructor(model: Model) {
    this.#layers = layerNames(model)
    this.#label = model.path ?? 'the model'
  }

  get layers(): readonly LayerName[] {
    return this.#layers
  }

  nodes(pattern: string, list: string): Set<Node> {
    const matches = matchLayers(this.#layers, pattern)
    if (matches.length > 0) return new Set(matches.map((layer) => layer.node))
    const suggestions = nearestNames(allLayerNames(this.#layers), pattern, SUGGESTIONS)
    throw new AppError('E_LAYER_UNKNOWN', { layer: pattern, list, model: this.#label, suggestions })
  }

  union(patterns: readonly string[], list: string): Set<Node> {
    return new Set(patterns.flatMap((pattern) => [...this.nodes(pattern, list)]))
  }
}

const PRECISION_REASONS: Record<LayerPrecision, KeptFloatReason | undefined> = {
  int8: undefined,
  w4a8: undefined,
  w8a16: undefined,
  w4a16: undefined,
  fp16: 'fp16_by_recipe',
  float: 'float_by_recipe',
}

function applyOverride(settings: Settings, override: LayerOverride): Settings {
  const precision = override.precision ?? settings.precision
  const reason = override.precision === undefined ? settings.reason : PRECISION_REASONS[precision]
  const { reason: _previous, ...rest } = settings
  return {
    ...rest,
    precision,
    ...(reason && { reason }),
    activation: override.activation ?? settings.activation,
    perChannel: override.weight?.per_channel ?? settings.perChannel,
  }
}

/** Resolves the recipe's lists to a function from a layer's nodes to its settings. */
function settingsOf(recipe: Recipe, matcher: PatternMatcher): (nodes: Node[], opType: string) => Settings {
  const skipped = matcher.union(recipe.skip_layers, 'skip_layers')
  const fp16 = matcher.union(recipe.fp16_layers, 'fp16_layers')
  const overrides = recipe.overrides.map((override) => ({
    override,
    nodes: matcher.nodes(override.layer, 'overrides'),
  }))
  return (nodes, opType) => {
    const named = (set: ReadonlySet<Node>): boolean => nodes.some((node) => set.has(node))
    let settings: Settings = {
      precision: 'int8',
      activation: recipe.activation,
      perChannel: recipe.weight.per_channel,
    }
    const keep = (precision: LayerPrecision, reason: KeptFloatReason): void => {
      settings = { ...settings, precision, reason }
    }
    if (recipe.skip_op_types.includes(opType)) keep('float', 'operator_type_skipped_by_recipe')
    if (named(skipped)) keep('float', 'skipped_by_recipe')
    if (named(fp16)) keep('fp16', 'fp16_by_recipe')
    for (const entry of overrides) if (named(entry.nodes)) settings = applyOverride(settings, entry.override)
    return settings
  }
}

function checkOpTypes(recipe: Recipe, model: Model): void {
  const known = [...new Set(model.graph.nodes.map((node) => node.opType))]
  const stray = recipe.skip_op_types.find((opType) => !known.includes(opType))
  if (stray === undefined) return
  throw new AppError('E_LAYER_UNKNOWN', {
    layer: stray,
    list: 'skip_op_types',
    model: model.path ?? 'the model',
    suggestions: nearestNames(known, stray, SUGGESTIONS),
  })
}

/** AMCT quantizes the input of a Conv3d symmetrically only. */
function mustBeSymmetric(anatomy: LayerAnatomy): boolean {
  return anatomy.opType === 'Conv' && anatomy.weightDims.length === 5
}

/** Layer names made unique: they become names of nodes. */
function uniqueNames(layers: readonly LayerName[]): string[] {
  const taken = new Set<string>()
  return layers.map(({ name }) => {
    let unique = name
    for (let count = 1; taken.has(unique); count++) unique = `${name}_${count}`
    taken.add(unique)
    return unique
  })
}

/**
 * Applies a recipe to a model.
 * @throws E_LAYER_UNKNOWN when a name of the recipe matches nothing. Names of layers that are never quantized, such as
 * normalizations, are accepted: they are in floating point already.
 */
export function selectLayers(model: Model, recipe: Recipe): Selection {
  checkOpTypes(recipe, model)
  const matcher = new PatternMatcher(model)
  const settingsFor = settingsOf(recipe, matcher)
  const findings = examineLayers(model)
  const candidates = matcher.layers.filter((layer) => findings.has(layer.node))
  const names = uniqueNames(candidates)
  const chosen: ChosenLayer[] = []
  const kept = new Map<Node, LayerReport>()
  candidates.forEach((candidate, position) => {
    const { node, modulePath } = candidate
    const finding = findings.get(node) ?? { reason: 'no_input' as const }
    const anatomy = 'layer' in finding ? finding.layer : undefined
    const add = anatomy?.addIndex === undefined ? undefined : model.graph.nodes[anatomy.addIndex]
    const settings = settingsFor(add ? [node, add] : [node], node.opType)
    const name = names[position] ?? candidate.name
    const reason = 'reason' in finding ? finding.reason : settings.reason
    if (anatomy && !reason) {
      const observer = observerSpec(settings.activation, mustBeSymmetric(anatomy))
      chosen.push({
        name,
        anatomy,
        observer,
        perChannelWeight: settings.perChannel,
        weightBits: 8,
        weightMethod: recipe.weight.method,
      })
      return
    }
    kept.set(node, {
      name,
      opType: node.opType,
      ...(modulePath !== undefined && { modulePath }),
      quantized: false,
      precision: settings.precision === 'fp16' ? 'fp16' : 'float',
      ...(reason && { reason }),
    })
  })
  return { chosen, kept, candidates }
}
