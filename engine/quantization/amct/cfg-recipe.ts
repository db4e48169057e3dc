// AMCT's simplified configuration as a recipe: common_config becomes the recipe's own settings, override_layer_types its
// rules by operator type, override_layer_configs its overrides.
import { AppError } from '../../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import {
  type LayerOverride,
  type OpTypeRule,
  RECIPE_SCHEMA,
  type Recipe,
  recipeSchema,
} from '../../../contract/recipe.ts'
import { layerNames, type Model, nearestNames } from '../../onnx/index.ts'
import { examineLayers, isQuantizableType } from '../layers.ts'
import { type CfgFile, type CfgSettings, completeSettings, readCfg } from './config-cfg.ts'
import type { AmctReading } from './config-json.ts'
import { type RepairGroup, repairSettings } from './repair.ts'
import {
  activationSettings,
  type AmctSettings,
  precisionOf,
  settingsKey,
  weightMethodOf,
} from './settings.ts'

const SUGGESTIONS = 3

/** Layer types of AMCT's PyTorch tool and of ATC, by the ONNX operators they become. */
const TYPE_ALIASES: Record<string, readonly string[]> = {
  Conv1d: ['Conv'],
  Conv2d: ['Conv'],
  Conv3d: ['Conv'],
  Conv2D: ['Conv'],
  Conv3D: ['Conv'],
  DepthwiseConv2D: ['Conv'],
  ConvTranspose1d: ['ConvTranspose'],
  ConvTranspose2d: ['ConvTranspose'],
  Conv2DTranspose: ['ConvTranspose'],
  Linear: ['Gemm', 'MatMul'],
  InnerProduct: ['Gemm', 'MatMul'],
  FullyConnection: ['Gemm', 'MatMul'],
  MatMulV2: ['Gemm', 'MatMul'],
  AvgPool2d: ['AveragePool'],
}

/** AMCT quantizes average pooling like any other layer; a recipe has to ask for it. */
const POOLING = 'AveragePool'

function onnxTypes(name: string): readonly string[] {
  return TYPE_ALIASES[name] ?? [name]
}

interface LayerType {
  name: string
  opType: string
}

/** Layers of the model that can be quantized, when there is a model. */
function quantizable(model: Model | undefined): LayerType[] | undefined {
  if (!model) return undefined
  const findings = examineLayers(model)
  return layerNames(model).flatMap(({ node, name }) => {
    const finding = findings.get(node)
    return finding && 'layer' in finding ? [{ name, opType: node.opType }] : []
  })
}

function checkNames(config: CfgFile, model: Model): void {
  const known = new Set(layerNames(model).map((layer) => layer.name))
  const lists: [string, readonly string[]][] = [
    ['skip_layers', config.skipLayers],
    ['skip_fusion_layers', config.fusion.skip],
    ['override_layer_configs', config.layers.map((layer) => layer.name)],
  ]
  for (const [list, names] of lists) {
    const stray = names.find((name) => !known.has(name))
    if (stray === undefined) continue
    const suggestions = nearestNames([...known], stray, SUGGESTIONS)
    throw new AppError('E_LAYER_UNKNOWN', {
      layer: stray,
      list,
      model: model.path ?? 'the model',
      suggestions,
    })
  }
}

/** The types of a list that the recipe can name: they can be quantized, and the model has layers of them. */
function usableTypes(written: string, model: Model | undefined, notes: InteropNote[]): string[] {
  const present = model && new Set(model.graph.nodes.map((node) => node.opType))
  return onnxTypes(written).filter((type) => {
    if (!isQuantizableType(type) && type !== POOLING) {
      notes.push(makeNote('type_never_quantized', { type }))
      return false
    }
    if (!present || present.has(type)) return true
    // Linear means both; one of them being absent is nothing to speak of.
    if (!onnxTypes(written).some((other) => present.has(other))) {
      notes.push(makeNote('type_absent', { type: written }))
    }
    return false
  })
}

class CfgRecipe {
  readonly #config: CfgFile
  readonly #model: Model | undefined
  readonly #layers: LayerType[] | undefined
  readonly #common: AmctSettings
  readonly notes: InteropNote[] = []

  constructor(config: CfgFile, model: Model | undefined) {
    this.#config = config
    this.#model = model
    this.#layers = quantizable(model)
    this.#common = completeSettings(config.common ?? {}, undefined)
  }

  #complete(settings: CfgSettings): AmctSettings {
    return completeSettings(settings, this.#config.common)
  }

  /** A rule that turns the common settings into others; empty where nothing differs. */
  #rule(settings: AmctSettings): Omit<LayerOverride, 'layer'> {
    const { activationOffset } = this.#config
    const activation = activationSettings(settings.activation, activationOffset)
    const common = activationSettings(this.#common.activation, activationOffset)
    const weight = {
      ...(weightMethodOf(settings) !== weightMethodOf(this.#common) && { method: weightMethodOf(settings) }),
      ...((settings.weight.channelWise ?? true) !== (this.#common.weight.channelWise ?? true) && {
        per_channel: settings.weight.channelWise ?? true,
      }),
    }
    return {
      ...(precisionOf(settings) !== precisionOf(this.#common) && { precision: precisionOf(settings) }),
      ...(settingsKey(activation) !== settingsKey(common) && { activation }),
      ...(Object.keys(weight).length > 0 && { weight }),
    }
  }

  #typeRules(): OpTypeRule[] {
    const skipped = new Set(this.#config.skipTypes.flatMap(onnxTypes))
    const pools = this.#model?.graph.nodes.some((node) => node.opType === POOLING)
    const asked = this.#config.types.some(({ name }) => onnxTypes(name).includes(POOLING))
    if (!this.#model) this.notes.push(makeNote('pooling_needs_model'))
    const pooling: OpTypeRule[] =
      pools && !asked && !skipped.has(POOLING) ? [{ op_type: POOLING, precision: 'int8' }] : []
    const rules = this.#config.types.flatMap(({ name, settings }) =>
      usableTypes(name, this.#model, this.notes).flatMap((op_type): OpTypeRule[] => {
        if (skipped.has(op_type)) {
          this.notes.push(makeNote('skipped_override', { layer: op_type }))
          return []
        }
        const rule = this.#rule(this.#complete(settings))
        if (op_type === POOLING) return [{ op_type, ...rule, precision: 'int8' }]
        return Object.keys(rule).length > 0 ? [{ op_type, ...rule }] : []
      }),
    )
    return [...rules, ...pooling]
  }

  /**
   * A layer's override replaces what is said of its type too: where the type has a rule, everything is spelt out, since
   * the recipe only changes what an override names.
   */
  #layerOverrides(ruled: ReadonlySet<string>): LayerOverride[] {
    const { activationOffset, skipLayers, skipTypes, layers } = this.#config
    const types = new Map(this.#layers?.map((layer) => [layer.name, layer.opType]))
    const skipped = new Set(skipTypes.flatMap(onnxTypes))
    return layers.flatMap(({ name, settings }): LayerOverride[] => {
      if (skipLayers.includes(name) || skipped.has(types.get(name) ?? '')) {
        this.notes.push(makeNote('skipped_override', { layer: name }))
        return []
      }
      const complete = this.#complete(settings)
      const opType = types.get(name)
      if (ruled.size === 0 || (opType !== undefined && !ruled.has(opType))) {
        const rule = this.#rule(complete)
        return Object.keys(rule).length > 0 ? [{ layer: name, ...rule }] : []
      }
      return [
        {
          layer: name,
          // A precision would bring back a layer whose type is skipped.
          ...((opType !== undefined || skipTypes.length === 0) && { precision: precisionOf(complete) }),
          activation: activationSettings(complete.activation, activationOffset),
          weight: { method: weightMethodOf(complete), per_channel: complete.weight.channelWise ?? true },
        },
      ]
    })
  }

  /** Which layers have which weight algorithm and balancer; exact with the model, by name without. */
  #repairGroups(): RepairGroup[] {
    const { types, layers, skipLayers, skipTypes } = this.#config
    const named = new Map(layers.map((layer) => [layer.name, layer.settings]))
    if (this.#layers) {
      const skippedTypes = new Set(skipTypes.flatMap(onnxTypes))
      const byType = new Map(
        types.flatMap(({ name, settings }) => onnxTypes(name).map((type) => [type, settings] as const)),
      )
      return this.#layers
        .filter(({ name, opType }) => !skipLayers.includes(name) && !skippedTypes.has(opType))
        .map(({ name, opType }) => {
          const settings = named.get(name) ?? byType.get(opType) ?? this.#config.common ?? {}
          return { layers: [name], settings: this.#complete(settings) }
        })
    }
    for (const { name, settings } of types) this.#noteTypes(name, settings)
    const common: RepairGroup = { settings: this.#common }
    const overriding = layers.length + types.length > 0
    if (overriding && this.#common.weight.adaRound) this.notes.push(makeNote('rounding_everywhere'))
    if (overriding && this.#common.balance !== undefined) this.notes.push(makeNote('balance_everywhere'))
    return [
      common,
      ...layers.map(({ name, settings }) => ({ layers: [name], settings: this.#complete(settings) })),
    ]
  }

  #noteTypes(type: string, settings: CfgSettings): void {
    if (settings.weight?.adaRound)
      this.notes.push(makeNote('types_need_model', { type, what: 'ada_quantize' }))
    if (settings.balance !== undefined)
      this.notes.push(makeNote('types_need_model', { type, what: 'dmq_balancer' }))
  }

  #noteGlobals(): void {
    const { batchNum, jointQuant, forcedFloat16, tensors } = this.#config
    if (batchNum !== undefined) this.notes.push(makeNote('batch_num', { count: batchNum }))
    if (jointQuant) this.notes.push(makeNote('joint_quant'))
    if (forcedFloat16) this.notes.push(makeNote('fakequant_precision'))
    const types = 'Conv, ConvTranspose, Gemm, MatMul'
    for (const layer of tensors) this.notes.push(makeNote('tensor_quantize', { layer, types }))
  }

  build(): Recipe {
    this.#noteGlobals()
    const { activationOffset, fusion, skipLayers, skipTypes } = this.#config
    const common = this.#common
    const op_types = this.#typeRules()
    const ruled = new Set(op_types.map((rule) => rule.op_type))
    return recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      precision: precisionOf(common),
      activation: activationSettings(common.activation, activationOffset),
      weight: { method: weightMethodOf(common), per_channel: common.weight.channelWise ?? true },
      skip_layers: skipLayers,
      skip_op_types: [...new Set(skipTypes.flatMap((type) => usableTypes(type, this.#model, this.notes)))],
      op_types,
      overrides: this.#layerOverrides(ruled),
      repair: repairSettings(this.#repairGroups(), fusion, this.notes),
    })
  }
}

/**
 * Reads a simplified configuration of AMCT as a recipe.
 * @param file The file's name, for messages only.
 * @param model Given, every name is looked up in it, and what is said of a type is said of its layers.
 * @throws E_AMCT_CFG_SYNTAX, E_AMCT_CFG_FIELD, E_AMCT_CFG_VALUE, E_AMCT_UNSUPPORTED, E_LAYER_UNKNOWN
 */
export function parseAmctCfg(text: string, file: string, model?: Model): AmctReading {
  const config = readCfg(text, file)
  if (model) checkNames(config, model)
  const reading = new CfgRecipe(config, model)
  const recipe = reading.build()
  return { recipe, notes: reading.notes }
}
