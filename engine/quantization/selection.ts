// What the recipe says about each layer: quantize it and how, or leave it in floating point and why.
import { AppError } from '../../contract/errors/index.ts'
import type { KeptFloatReason, LayerFallback, LayerReport } from '../../contract/quantization.ts'
import type {
  ActivationSettings,
  LayerOverride,
  LayerPrecision,
  OpTypeRule,
  Recipe,
  WeightMethod,
} from '../../contract/recipe.ts'
import { observerSpec } from '../calibration/index.ts'
import { type LayerName, type Model, nearestNames, type Node } from '../onnx/index.ts'
import { examineLayers, inputChannels, type LayerAnatomy } from './layers.ts'
import type { ChosenLayer, IntegerPrecision } from './plan.ts'
import { PatternMatcher, SUGGESTIONS } from './patterns.ts'
import { type ChosenPool, choosePool } from './pooling.ts'

interface Settings {
  precision: LayerPrecision
  /** Why `precision` is a floating-point one. */
  reason?: KeptFloatReason
  activation: ActivationSettings
  perChannel: boolean
  weightMethod: WeightMethod
  /** A rule for the layer or its type asks for integers. */
  integersAsked: boolean
}

export interface Selection {
  /** Layers that become integer, weight and input. */
  chosen: ChosenLayer[]
  /** Layers of which only the weight becomes integer. */
  weightOnly: ChosenLayer[]
  /** Average pooling that the recipe asks for by name or type. */
  pools: ChosenPool[]
  /** Reports of the layers that stay in floating point, by node; the others are reported after calibration. */
  kept: Map<Node, LayerReport>
  /** Names of every candidate layer, in graph order. */
  candidates: LayerName[]
}

const PRECISION_REASONS: Record<LayerPrecision, KeptFloatReason | undefined> = {
  int8: undefined,
  w4a8: undefined,
  w8a16: undefined,
  w4a16: undefined,
  fp16: 'fp16_by_recipe',
  float: 'float_by_recipe',
}

function withPrecision(settings: Settings, precision: LayerPrecision, reason?: KeptFloatReason): Settings {
  const { reason: _previous, ...rest } = settings
  return { ...rest, precision, ...(reason && { reason }) }
}

function applyRule(settings: Settings, rule: LayerOverride | OpTypeRule): Settings {
  const { precision } = rule
  const changed = precision ? withPrecision(settings, precision, PRECISION_REASONS[precision]) : settings
  return {
    ...changed,
    activation: rule.activation ?? settings.activation,
    perChannel: rule.weight?.per_channel ?? settings.perChannel,
    weightMethod: rule.weight?.method ?? settings.weightMethod,
    integersAsked: precision ? PRECISION_REASONS[precision] === undefined : settings.integersAsked,
  }
}

/**
 * Resolves the recipe's lists to a function from a layer's nodes to its settings. What names the layer wins over what
 * names its type, and that over what holds for all (AMCT: override_layer_configs, override_layer_types, common_config).
 */
function settingsOf(recipe: Recipe, matcher: PatternMatcher): (nodes: Node[], opType: string) => Settings {
  const skipped = matcher.union(recipe.skip_layers, 'skip_layers')
  const fp16 = matcher.union(recipe.fp16_layers, 'fp16_layers')
  const overrides = recipe.overrides.map((override) => ({
    override,
    nodes: matcher.nodes(override.layer, 'overrides'),
  }))
  const reason = PRECISION_REASONS[recipe.precision]
  const common: Settings = {
    precision: recipe.precision,
    ...(reason && { reason }),
    activation: recipe.activation,
    perChannel: recipe.weight.per_channel,
    weightMethod: recipe.weight.method,
    integersAsked: false,
  }
  return (nodes, opType) => {
    const named = (set: ReadonlySet<Node>): boolean => nodes.some((node) => set.has(node))
    let settings = common
    if (recipe.skip_op_types.includes(opType)) {
      settings = withPrecision(settings, 'float', 'operator_type_skipped_by_recipe')
    }
    for (const rule of recipe.op_types) if (rule.op_type === opType) settings = applyRule(settings, rule)
    if (named(skipped)) settings = withPrecision(settings, 'float', 'skipped_by_recipe')
    if (named(fp16)) settings = withPrecision(settings, 'fp16', 'fp16_by_recipe')
    for (const entry of overrides) if (named(entry.nodes)) settings = applyRule(settings, entry.override)
    return settings
  }
}

function checkOpTypes(recipe: Recipe, models: readonly Model[]): void {
  const known = [...new Set(models.flatMap((model) => model.graph.nodes.map((node) => node.opType)))]
  const check = (list: string, opTypes: readonly string[]): void => {
    const stray = opTypes.find((opType) => !known.includes(opType))
    if (stray === undefined) return
    throw new AppError('E_LAYER_UNKNOWN', {
      layer: stray,
      list,
      model: models[0]?.path ?? 'the model',
      suggestions: nearestNames(known, stray, SUGGESTIONS),
    })
  }
  check('skip_op_types', recipe.skip_op_types)
  check(
    'op_types',
    recipe.op_types.map((rule) => rule.op_type),
  )
}

/** AMCT quantizes the input of a Conv3d symmetrically only. */
function mustBeSymmetric(anatomy: LayerAnatomy): boolean {
  return anatomy.opType === 'Conv' && anatomy.weightDims.length === 5
}

/** INT4 weights for integer layers are packed in pairs along the input channels of one group (AMCT). */
function int4Fallback(anatomy: LayerAnatomy): LayerFallback | undefined {
  if (anatomy.groups !== 1) return { wanted: 'w4a8', reason: 'int4_groups' }
  return inputChannels(anatomy) % 2 === 0 ? undefined : { wanted: 'w4a8', reason: 'int4_odd_channels' }
}

function chosenLayer(name: string, anatomy: LayerAnatomy, settings: Settings): ChosenLayer {
  const fallback = settings.precision === 'w4a8' ? int4Fallback(anatomy) : undefined
  const precision = fallback ? 'int8' : (settings.precision as IntegerPrecision)
  return {
    name,
    anatomy,
    precision,
    ...(fallback && { fallback }),
    observer: observerSpec(settings.activation, mustBeSymmetric(anatomy)),
    perChannelWeight: settings.perChannel,
    weightBits: precision === 'w4a8' || precision === 'w4a16' ? 4 : 8,
    weightMethod: settings.weightMethod,
  }
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

function keptReport(
  candidate: LayerName,
  name: string,
  settings: Settings,
  reason?: KeptFloatReason,
): LayerReport {
  return {
    name,
    opType: candidate.node.opType,
    ...(candidate.modulePath !== undefined && { modulePath: candidate.modulePath }),
    quantized: false,
    precision: settings.precision === 'fp16' ? 'fp16' : 'float',
    ...(reason && { reason }),
  }
}

/**
 * Applies a recipe to a model.
 * @param original The model before weight repair, when `model` is what repair made of it: its names are known too.
 * @throws E_LAYER_UNKNOWN when a name of the recipe matches nothing. Names of layers that are never quantized, such as
 * normalizations, are accepted: they are in floating point already.
 */
export function selectLayers(model: Model, recipe: Recipe, original?: Model): Selection {
  checkOpTypes(recipe, original ? [original, model] : [model])
  const matcher = new PatternMatcher(model, original)
  const settingsFor = settingsOf(recipe, matcher)
  const findings = examineLayers(model)
  const isPool = ({ node }: LayerName): boolean => node.opType === 'AveragePool' && node.domain === ''
  // Average pooling is quantized only where the recipe says so itself; elsewhere it is no candidate.
  const candidates = matcher.layers.filter(
    (layer) =>
      findings.has(layer.node) ||
      (isPool(layer) && settingsFor([layer.node], layer.node.opType).integersAsked),
  )
  const names = uniqueNames(candidates)
  const selection: Selection = { chosen: [], weightOnly: [], pools: [], kept: new Map(), candidates }
  candidates.forEach((candidate, position) => {
    const { node } = candidate
    const finding = findings.get(node)
    const anatomy = finding && 'layer' in finding ? finding.layer : undefined
    const add = anatomy?.addIndex === undefined ? undefined : model.graph.nodes[anatomy.addIndex]
    const settings = settingsFor(add ? [node, add] : [node], node.opType)
    const name = names[position] ?? candidate.name
    let reason = finding && 'reason' in finding ? finding.reason : settings.reason
    if (!finding && !reason) {
      const pool = choosePool(model, node, name, settings.precision, observerSpec(settings.activation))
      if ('pool' in pool) selection.pools.push(pool.pool)
      else reason = pool.reason
    }
    if (anatomy && !reason) {
      const layer = chosenLayer(name, anatomy, settings)
      const quantizesInput = layer.precision === 'int8' || layer.precision === 'w4a8'
      ;(quantizesInput ? selection.chosen : selection.weightOnly).push(layer)
    }
    if (reason) selection.kept.set(node, keptReport(candidate, name, settings, reason))
  })
  return selection
}
