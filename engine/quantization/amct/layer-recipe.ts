// A recipe from settings given layer by layer, as AMCT's config.json gives them.
import { AppError } from '../../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import {
  type ActivationSettings,
  type LayerOverride,
  type LayerPrecision,
  RECIPE_SCHEMA,
  type Recipe,
  recipeSchema,
  type WeightSettings,
} from '../../../contract/recipe.ts'
import {
  type LayerName,
  layerNames,
  matchLayers,
  type Model,
  nearestNames,
  type Node,
} from '../../onnx/index.ts'
import { examineLayers } from '../layers.ts'
import { repairSettings } from './repair.ts'
import {
  activationSettings,
  type AmctSettings,
  mostFrequent,
  precisionOf,
  settingsKey,
  weightMethodOf,
} from './settings.ts'

export interface ConfiguredLayer {
  name: string
  enabled: boolean
  settings: AmctSettings
}

export interface AmctGlobals {
  activationOffset: boolean
  fusion: { enabled: boolean; skip: readonly string[] }
}

/** What a recipe says about one layer. */
interface LayerSettings {
  precision: LayerPrecision
  activation: ActivationSettings
  weight: WeightSettings
}

const SUGGESTIONS = 3

function layerSettings({ settings }: ConfiguredLayer, globals: AmctGlobals): LayerSettings {
  return {
    precision: precisionOf(settings),
    activation: activationSettings(settings.activation, globals.activationOffset),
    weight: { method: weightMethodOf(settings), per_channel: settings.weight.channelWise ?? true },
  }
}

/** The override that turns `base` into `wanted`; undefined where nothing differs. */
function difference(layer: string, base: LayerSettings, wanted: LayerSettings): LayerOverride | undefined {
  const differs = (key: keyof LayerSettings): boolean => settingsKey(base[key]) !== settingsKey(wanted[key])
  const weight = {
    ...(base.weight.method !== wanted.weight.method && { method: wanted.weight.method }),
    ...(base.weight.per_channel !== wanted.weight.per_channel && { per_channel: wanted.weight.per_channel }),
  }
  const changes = {
    ...(differs('precision') && { precision: wanted.precision }),
    ...(differs('activation') && { activation: wanted.activation }),
    ...(Object.keys(weight).length > 0 && { weight }),
  }
  return Object.keys(changes).length > 0 ? { layer, ...changes } : undefined
}

/** A name also stands for what is inside the module of that name: the module's own entry has to come first. */
function outerFirst(a: { name: string }, b: { name: string }): number {
  return a.name.length - b.name.length
}

function build(
  layers: readonly ConfiguredLayer[],
  common: LayerSettings,
  globals: AmctGlobals,
  lists: { precision?: LayerPrecision; skip_layers?: string[]; overrides: LayerOverride[] },
  notes: InteropNote[],
): Recipe {
  const groups = layers
    .filter((layer) => layer.enabled)
    .map((layer) => ({ layers: [layer.name], settings: layer.settings }))
  return recipeSchema.parse({
    schema: RECIPE_SCHEMA,
    activation: common.activation,
    weight: common.weight,
    repair: repairSettings(groups, globals.fusion, notes),
    ...lists,
  })
}

/** Without a model: everything floating point but the layers named. */
function recipeByNames(
  layers: readonly ConfiguredLayer[],
  common: LayerSettings,
  globals: AmctGlobals,
  notes: InteropNote[],
): Recipe {
  const enabled = layers.filter((layer) => layer.enabled)
  const inside = (name: string): boolean => enabled.some((layer) => name.startsWith(`${layer.name}.`))
  const base: LayerSettings = { ...common, precision: 'float' }
  const overrides = layers.toSorted(outerFirst).flatMap((layer): LayerOverride[] => {
    if (layer.enabled)
      return [difference(layer.name, base, layerSettings(layer, globals))].filter(Boolean) as LayerOverride[]
    return inside(layer.name) ? [{ layer: layer.name, precision: 'float' }] : []
  })
  return build(layers, common, globals, { precision: 'float', overrides }, notes)
}

interface Candidate {
  layer: LayerName
  /** Undefined: stays in floating point. */
  wanted?: LayerSettings
  /** Quantized unless the recipe says otherwise. */
  byDefault: boolean
}

function isPooling({ node }: LayerName): boolean {
  return node.opType === 'AveragePool'
}

/** Looks every name up. @throws E_LAYER_UNKNOWN */
function candidatesOf(
  layers: readonly ConfiguredLayer[],
  model: Model,
  globals: AmctGlobals,
  notes: InteropNote[],
): Candidate[] {
  const all = layerNames(model)
  const byName = new Map(all.map((layer) => [layer.name, layer]))
  const findings = examineLayers(model)
  const wanted = new Map<Node, LayerSettings>()
  for (const layer of layers) {
    const found = byName.get(layer.name)
    if (!found) {
      throw new AppError('E_LAYER_UNKNOWN', {
        layer: layer.name,
        list: 'the configuration',
        model: model.path ?? 'the model',
        suggestions: nearestNames([...byName.keys()], layer.name, SUGGESTIONS),
      })
    }
    if (!layer.enabled) continue
    const { opType } = found.node
    const finding = findings.get(found.node)
    if (!isPooling(found) && (!finding || 'reason' in finding)) {
      const reason = finding && 'reason' in finding ? finding.reason.replaceAll('_', ' ') : 'operator type'
      notes.push(makeNote('layer_stays_float', { layer: layer.name, opType, reason }))
      continue
    }
    const settings = layerSettings(layer, globals)
    const product = opType === 'MatMul' || opType === 'Gemm'
    if (product && layer.settings.weight.channelWise) {
      notes.push(makeNote('channel_wise', { layer: layer.name }))
    }
    // These have one weight scale whatever the recipe says: no reason for an override.
    const oneScale = product || isPooling(found)
    const weight = { ...settings.weight, per_channel: true }
    wanted.set(found.node, oneScale ? { ...settings, weight } : settings)
  }
  return all
    .filter((layer) => findings.has(layer.node) || isPooling(layer))
    .map((layer) => {
      const settings = wanted.get(layer.node)
      const finding = findings.get(layer.node)
      const byDefault = finding !== undefined && 'layer' in finding
      return { layer, byDefault, ...(settings && { wanted: settings }) }
    })
}

/** With the model: what is left out becomes skip_layers, and each layer gets exactly its own settings. */
function recipeByModel(
  layers: readonly ConfiguredLayer[],
  model: Model,
  globals: AmctGlobals,
  notes: InteropNote[],
): Recipe {
  const candidates = candidatesOf(layers, model, globals, notes)
  const settings = candidates.flatMap(({ wanted }) => wanted ?? [])
  const common = mostFrequent(settings) ?? defaultSettings(globals)
  const skipped = candidates.filter(({ byDefault, wanted }) => byDefault && !wanted)
  const skip_layers = skipped.map(({ layer }) => layer.name)
  const names = candidates.map(({ layer }) => layer)
  const effective = new Map(
    candidates.map(({ layer, byDefault }) => [layer.node, byDefault ? common : undefined]),
  )
  for (const name of skip_layers) {
    for (const layer of matchLayers(names, name)) effective.set(layer.node, undefined)
  }
  const overrides: LayerOverride[] = []
  const float: LayerSettings = { ...common, precision: 'float' }
  for (const { layer, wanted } of candidates.toSorted((a, b) => outerFirst(a.layer, b.layer))) {
    const now = effective.get(layer.node)
    const override = wanted
      ? difference(layer.name, now ?? float, wanted)
      : now && { layer: layer.name, precision: 'float' as const }
    if (!override) continue
    overrides.push(override)
    for (const match of matchLayers(names, layer.name)) effective.set(match.node, wanted)
  }
  const present = layers.map((layer) => ({
    ...layer,
    enabled: layer.enabled && candidates.some(({ layer: { name }, wanted }) => wanted && name === layer.name),
  }))
  return build(present, common, globals, { precision: common.precision, skip_layers, overrides }, notes)
}

function defaultSettings({ activationOffset }: AmctGlobals): LayerSettings {
  return {
    precision: 'int8',
    activation: { method: 'ifmr', ...(!activationOffset && { symmetric: true }) },
    weight: { method: 'max_abs', per_channel: true },
  }
}

/** Builds the recipe. @throws E_LAYER_UNKNOWN for a name that the model does not have */
export function recipeOfLayers(
  layers: readonly ConfiguredLayer[],
  globals: AmctGlobals,
  model: Model | undefined,
  notes: InteropNote[],
): Recipe {
  if (model) return recipeByModel(layers, model, globals, notes)
  const settings = layers.filter((layer) => layer.enabled).map((layer) => layerSettings(layer, globals))
  return recipeByNames(layers, mostFrequent(settings) ?? defaultSettings(globals), globals, notes)
}
