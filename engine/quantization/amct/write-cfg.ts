// Writing AMCT's simplified configuration. With the model every name and type is resolved, as AMCT has no wildcards;
// without it only what names single layers can be said.
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import type { LayerOverride, LayerPrecision, Recipe } from '../../../contract/recipe.ts'
import type { Model } from '../../onnx/index.ts'
import { float32Text, quoteText } from '../protobuf-text.ts'
import { AmctWriter, isAmctPrecision, type RecipeSettings } from './from-recipe.ts'
import { amctLayers } from './model-layers.ts'
import { listed } from './repair.ts'
import {
  type AmctActivation,
  type AmctSettings,
  type AmctWeight,
  DEFAULT_SETTINGS,
  mostFrequent,
  settingsKey,
} from './settings.ts'
import type { AmctText } from './write-json.ts'

interface Cfg {
  batchNum: number
  activationOffset: boolean
  fusion: { enabled: boolean; skip: readonly string[] }
  skipLayers: readonly string[]
  skipTypes: readonly string[]
  common: AmctSettings
  types: readonly { name: string; settings: AmctSettings }[]
  layers: readonly { name: string; settings: AmctSettings }[]
}

type Line = string | { name: string; body: readonly Line[] }

function lines(items: readonly Line[], indent: string): string {
  return items
    .map((item) =>
      typeof item === 'string'
        ? `${indent}${item}\n`
        : `${indent}${item.name} {\n${lines(item.body, `${indent}  `)}${indent}}\n`,
    )
    .join('')
}

function activationLines(activation: AmctActivation): Line {
  const { algorithm, asymmetric = true } = activation
  if (algorithm === 'hfmg') {
    return { name: 'hfmg_quantize', body: [`num_of_bins: ${activation.bins}`, `asymmetric: ${asymmetric}`] }
  }
  const [start, end] = activation.searchRange
  return {
    name: 'ifmr_quantize',
    body: [
      `search_range_start: ${float32Text(start)}`,
      `search_range_end: ${float32Text(end)}`,
      `search_step: ${float32Text(activation.searchStep)}`,
      `max_percentile: ${float32Text(activation.maxPercentile)}`,
      `min_percentile: ${float32Text(activation.minPercentile)}`,
      `asymmetric: ${asymmetric}`,
    ],
  }
}

/** channel_wise is left out where it is what the operator type has anyway: true is refused for Gemm and MatMul. */
function weightLines({ bits, channelWise = true, adaRound }: AmctWeight): Line {
  const perTensor = channelWise ? [] : ['channel_wise: false']
  if (!adaRound) {
    return { name: 'arq_quantize', body: [...perTensor, ...(bits === 8 ? [] : [`quant_bits: ${bits}`])] }
  }
  const [start, end] = adaRound.betaRange
  return {
    name: 'ada_quantize',
    body: [
      `num_iteration: ${adaRound.iterations}`,
      `reg_param: ${float32Text(adaRound.regularization)}`,
      `beta_range_start: ${float32Text(start)}`,
      `beta_range_end: ${float32Text(end)}`,
      `warm_start: ${float32Text(adaRound.warmStart)}`,
      ...perTensor,
    ],
  }
}

function settingsLines(name: string, { activation, weight, balance }: AmctSettings): Line {
  const balancer: Line[] =
    balance === undefined
      ? []
      : [{ name: 'dmq_balancer', body: [`migration_strength: ${float32Text(balance)}`] }]
  return { name, body: [weightLines(weight), activationLines(activation), ...balancer] }
}

function formatCfg(cfg: Cfg): string {
  const named = (field: string, names: readonly string[]): Line[] =>
    names.map((name) => `${field}: ${quoteText(name)}`)
  const items: Line[] = [
    `batch_num: ${cfg.batchNum}`,
    `activation_offset: ${cfg.activationOffset}`,
    ...named('skip_layers', cfg.skipLayers),
    ...named('skip_layer_types', cfg.skipTypes),
    `do_fusion: ${cfg.fusion.enabled}`,
    ...named('skip_fusion_layers', cfg.fusion.skip),
    settingsLines('common_config', cfg.common),
    ...cfg.types.map(({ name, settings }) => ({
      name: 'override_layer_types',
      body: [`layer_type: ${quoteText(name)}`, settingsLines('calibration_config', settings)],
    })),
    ...cfg.layers.map(({ name, settings }) => ({
      name: 'override_layer_configs',
      body: [`layer_name: ${quoteText(name)}`, settingsLines('calibration_config', settings)],
    })),
  ]
  return lines(items, '')
}

function isAsymmetric(recipe: Recipe): boolean {
  return !(recipe.activation.symmetric ?? recipe.activation.method === 'max_abs')
}

function general(recipe: Recipe, batchNum: number): Pick<Cfg, 'batchNum' | 'activationOffset'> {
  return { batchNum, activationOffset: isAsymmetric(recipe) }
}

function cfgOfModel(recipe: Recipe, model: Model, batchNum: number): { cfg: Cfg; notes: InteropNote[] } {
  const { layers, skipFusion, notes } = amctLayers(recipe, model)
  // One scale is what Gemm and MatMul have anyway.
  const settled = layers.map((layer) => {
    const product = layer.opType === 'Gemm' || layer.opType === 'MatMul'
    const { weight } = layer.settings
    return product
      ? { ...layer, settings: { ...layer.settings, weight: { ...weight, channelWise: true } } }
      : layer
  })
  const enabled = settled.filter((layer) => layer.enabled)
  const common = mostFrequent(enabled.map((layer) => layer.settings)) ?? DEFAULT_SETTINGS
  const cfg: Cfg = {
    ...general(recipe, batchNum),
    fusion: { enabled: recipe.repair.fold_batch_norm, skip: skipFusion },
    skipLayers: settled.filter((layer) => !layer.enabled).map((layer) => layer.name),
    skipTypes: [],
    common,
    types: [],
    layers: enabled.filter((layer) => settingsKey(layer.settings) !== settingsKey(common)),
  }
  return { cfg, notes }
}

/** A recipe without its model. */
class NamedCfg {
  readonly #recipe: Recipe
  readonly #writer: AmctWriter
  readonly #notes: InteropNote[] = []
  readonly #half: string[] = []

  constructor(recipe: Recipe) {
    this.#recipe = recipe
    this.#writer = new AmctWriter(recipe)
  }

  /** The names of a list that are names of single layers. */
  #single(patterns: readonly string[], list: string): string[] {
    return patterns.filter((pattern) => {
      if (!pattern.includes('*')) return true
      this.#notes.push(makeNote('wildcard', { pattern, list }))
      return false
    })
  }

  #base(): RecipeSettings {
    const { precision, activation, weight } = this.#recipe
    return {
      precision: isAmctPrecision(precision) ? precision : 'int8',
      activation,
      weightMethod: weight.method,
      perChannel: weight.per_channel,
    }
  }

  #apply(base: RecipeSettings, rule: Omit<LayerOverride, 'layer'>): RecipeSettings {
    return {
      precision: rule.precision ?? base.precision,
      activation: rule.activation ?? base.activation,
      weightMethod: rule.weight?.method ?? base.weightMethod,
      perChannel: rule.weight?.per_channel ?? base.perChannel,
    }
  }

  /** Whether a list of the weight repair holds every layer, or this one. */
  #member(list: readonly string[] | undefined, layer: string | undefined): boolean {
    return list === undefined || (layer !== undefined && list.includes(layer))
  }

  #settings(label: string, settings: RecipeSettings, layer?: string): AmctSettings {
    const { rounding, balance } = this.#recipe.repair
    return this.#writer.settings(label, settings, {
      rounded: rounding.method === 'adaround' && this.#member(rounding.layers, layer),
      balanced: balance !== undefined && this.#member(balance.layers, layer),
    })
  }

  /** What every single layer named anywhere in the recipe becomes; the lists in the recipe's order of precedence. */
  #layers(): Map<string, RecipeSettings> {
    const { skip_layers, fp16_layers, overrides, repair } = this.#recipe
    const base = this.#base()
    const named = new Map<string, RecipeSettings>()
    const set = (layer: string, rule: Omit<LayerOverride, 'layer'>): void => {
      named.set(layer, this.#apply(named.get(layer) ?? base, rule))
    }
    for (const layer of this.#single(skip_layers, 'skip_layers')) set(layer, { precision: 'float' })
    for (const layer of this.#single(fp16_layers, 'fp16_layers')) set(layer, { precision: 'fp16' })
    for (const override of overrides) {
      if (this.#single([override.layer], 'overrides').length > 0) set(override.layer, override)
    }
    const { rounding, balance } = repair
    const listedLayers = [
      ...(rounding.method === 'adaround'
        ? this.#single(rounding.layers ?? [], 'repair.rounding.layers')
        : []),
      ...this.#single(balance?.layers ?? [], 'repair.balance.layers'),
    ]
    for (const layer of listedLayers) set(layer, {})
    return named
  }

  #types(): { name: string; settings: AmctSettings }[] {
    return this.#recipe.op_types.flatMap((rule) => {
      if (rule.precision !== undefined && !isAmctPrecision(rule.precision)) {
        this.#notes.push(makeNote('rule_precision', { layer: rule.op_type, precision: rule.precision }))
        return []
      }
      return [{ name: rule.op_type, settings: this.#settings(rule.op_type, this.#apply(this.#base(), rule)) }]
    })
  }

  #skips(layer: string, precision: LayerPrecision): boolean {
    if (isAmctPrecision(precision)) return false
    if (precision === 'fp16') this.#half.push(layer)
    else if (precision !== 'float') this.#notes.push(makeNote('weight_only', { layers: layer }))
    return true
  }

  /** Without such a rule average pooling is left alone here, and quantized by AMCT unless it is told not to. */
  #poolingAsked(): boolean {
    return this.#recipe.op_types.some((rule) => rule.op_type === 'AveragePool')
  }

  build(batchNum: number): { cfg: Cfg; notes: InteropNote[] } {
    const { repair, skip_op_types, precision } = this.#recipe
    if (!isAmctPrecision(precision)) {
      this.#notes.push(makeNote('rule_precision', { layer: 'all layers', precision }))
    }
    const common = this.#settings('all layers', this.#base())
    const named = [...this.#layers()]
    const skipLayers = named.filter(([layer, settings]) => this.#skips(layer, settings.precision))
    const skipped = new Set(skipLayers.map(([layer]) => layer))
    const layers = named
      .filter(([layer]) => !skipped.has(layer))
      .map(([layer, settings]) => ({ name: layer, settings: this.#settings(layer, settings, layer) }))
    const cfg: Cfg = {
      ...general(this.#recipe, batchNum),
      fusion: {
        enabled: repair.fold_batch_norm,
        skip: this.#single(repair.skip_fold_layers, 'repair.skip_fold_layers'),
      },
      skipLayers: [...skipped],
      skipTypes: this.#poolingAsked() ? skip_op_types : [...new Set([...skip_op_types, 'AveragePool'])],
      common,
      types: this.#types(),
      layers: layers.filter(({ settings }) => settingsKey(settings) !== settingsKey(common)),
    }
    const half = this.#half.length > 0 ? [makeNote('fp16_is_float', { layers: listed(this.#half) })] : []
    return { cfg, notes: [...this.#writer.notes(), ...this.#notes, ...half] }
  }
}

/**
 * AMCT's simplified configuration of a recipe.
 * @param model Given, names and types are resolved layer by layer; without, wildcards are left out with a note.
 * @throws E_LAYER_UNKNOWN when a name of the recipe matches nothing in the model
 */
export function formatAmctCfg(recipe: Recipe, model?: Model, batchNum = 1): AmctText {
  const { cfg, notes } = model ? cfgOfModel(recipe, model, batchNum) : new NamedCfg(recipe).build(batchNum)
  return { text: formatCfg(cfg), notes }
}
