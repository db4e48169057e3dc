// What a recipe decides for a layer, and what a person sets for single layers. Pure.
import type { ActivationSettings, LayerOverride, LayerPrecision, Recipe } from '../../../contract/recipe.ts'
import { isWildcard, PatternIndex, writtenName, type LayerNames } from './patterns.ts'

/** Which part of the recipe decides a layer. */
export type DecidedBy = 'default' | 'op-type' | 'skip' | 'skip-type' | 'fp16' | 'rule' | 'layer'

export interface LayerDecision {
  precision: LayerPrecision
  by: DecidedBy
  /** The pattern or operator type that decided; null for the default. */
  pattern: string | null
}

/**
 * Prepares a recipe for many layers: precision of the recipe, then skipped types, rules by operator type, skipped
 * layers, FP16 layers and rules by layer, whatever comes later winning (docs/recipes.md).
 */
export function decider(recipe: Recipe): (layer: LayerNames) => LayerDecision {
  const skipped = new PatternIndex(recipe.skip_layers)
  const fp16 = new PatternIndex(recipe.fp16_layers)
  const overrides = new PatternIndex(recipe.overrides.map((entry) => entry.layer))
  const fromList = (list: readonly string[], at: number | undefined): string | null =>
    at === undefined ? null : (list[at] ?? null)
  return (layer) => {
    let decision: LayerDecision = { precision: recipe.precision, by: 'default', pattern: null }
    if (recipe.skip_op_types.includes(layer.opType)) {
      decision = { precision: 'float', by: 'skip-type', pattern: layer.opType }
    }
    const byType = recipe.op_types.findLast((rule) => rule.op_type === layer.opType && rule.precision)
    if (byType?.precision) {
      decision = { precision: byType.precision, by: 'op-type', pattern: byType.op_type }
    }
    const skip = fromList(recipe.skip_layers, skipped.matches(layer).at(-1))
    if (skip !== null) decision = { precision: 'float', by: 'skip', pattern: skip }
    const half = fromList(recipe.fp16_layers, fp16.matches(layer).at(-1))
    if (half !== null) decision = { precision: 'fp16', by: 'fp16', pattern: half }
    for (const index of overrides.matches(layer)) {
      const entry = recipe.overrides[index]
      if (!entry?.precision) continue
      const by = isOwn(entry.layer, layer) ? 'layer' : 'rule'
      decision = { precision: entry.precision, by, pattern: entry.layer }
    }
    return decision
  }
}

/** Whether an override is written for exactly this layer. */
function isOwn(pattern: string, layer: LayerNames): boolean {
  return !isWildcard(pattern) && [layer.name, layer.modulePath, layer.weight].includes(pattern)
}

/** Activation settings that a recipe gives a layer: its own, then rules by operator type, then rules by layer. */
export function layerActivation(recipe: Recipe, layer: LayerNames): ActivationSettings {
  const byType = recipe.op_types.findLast((rule) => rule.op_type === layer.opType && rule.activation)
  const index = new PatternIndex(recipe.overrides.map((entry) => entry.layer))
  const byLayer = index
    .matches(layer)
    .map((at) => recipe.overrides[at]?.activation)
    .findLast((settings) => settings !== undefined)
  return byLayer ?? byType?.activation ?? recipe.activation
}

/**
 * Changes what overrides say of exactly these layers; they then stand after all rules, so that they win. What is left
 * of an override without any setting is removed.
 */
function withOwnOverrides(
  recipe: Recipe,
  layers: readonly LayerNames[],
  change: (own: LayerOverride) => LayerOverride,
): Recipe {
  const owners = new Map<string, LayerNames>()
  for (const layer of layers) {
    for (const name of [layer.name, layer.modulePath, layer.weight]) if (name) owners.set(name, layer)
  }
  const previous = new Map<LayerNames, LayerOverride>()
  const kept = recipe.overrides.filter((entry) => {
    const owner = owners.get(entry.layer)
    if (owner) previous.set(owner, { ...previous.get(owner), ...entry })
    return !owner
  })
  const own = layers.flatMap((layer): LayerOverride[] => {
    const changed = change(previous.get(layer) ?? { layer: writtenName(layer) })
    return changed.precision || changed.activation || changed.weight ? [changed] : []
  })
  return { ...recipe, overrides: [...kept, ...own] }
}

/** Gives layers a precision of their own. `null` takes it back and leaves what else an override says. */
export function withLayerPrecision(
  recipe: Recipe,
  layers: readonly LayerNames[],
  precision: LayerPrecision | null,
): Recipe {
  return withOwnOverrides(recipe, layers, ({ precision: _taken, ...rest }) =>
    precision === null ? rest : { ...rest, precision },
  )
}

/** Gives layers a range method of their own; what else an override says of them stays. */
export function withLayerActivation(
  recipe: Recipe,
  layers: readonly LayerNames[],
  activation: NonNullable<LayerOverride['activation']>,
): Recipe {
  return withOwnOverrides(recipe, layers, (own) => ({ ...own, activation }))
}

/** The precision with INT4 weights that leaves activations as they are. */
export function withInt4Weights(precision: LayerPrecision): LayerPrecision {
  return precision === 'w8a16' || precision === 'w4a16' ? 'w4a16' : 'w4a8'
}
