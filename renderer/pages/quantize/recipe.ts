// Editing a recipe: what it decides for a layer, one layer's override, rules, and the JSON text. Pure.
import { z } from 'zod'
import {
  recipeSchema,
  type LayerOverride,
  type LayerPrecision,
  type Recipe,
} from '../../../contract/recipe.ts'
import type { LayerRow } from '../../../contract/workspace.ts'
import { matchesWildcard } from '../../format/search.ts'

type LayerNames = Pick<LayerRow, 'name' | 'modulePath' | 'weight' | 'opType'>

/** A pattern names a node, a module path or a weight. */
export function patternMatches(pattern: string, layer: LayerNames): boolean {
  return [layer.name, layer.modulePath, layer.weight].some(
    (name) => name !== null && matchesWildcard(pattern, name),
  )
}

/** Which part of the recipe decides a layer. */
export type DecidedBy = 'default' | 'skip' | 'skip-type' | 'fp16' | 'rule' | 'layer'

export interface LayerDecision {
  precision: LayerPrecision
  by: DecidedBy
  /** Index among the overrides when `by` is a rule or the layer's own override. */
  override: number | null
}

const isWildcard = (pattern: string): boolean => pattern.includes('*')

/** What a recipe asks for a layer: lists first, then overrides, later ones winning. */
export function decide(recipe: Recipe, layer: LayerNames): LayerDecision {
  let decision: LayerDecision = { precision: 'int8', by: 'default', override: null }
  const anyMatches = (patterns: readonly string[]): boolean =>
    patterns.some((pattern) => patternMatches(pattern, layer))
  if (recipe.skip_op_types.includes(layer.opType))
    decision = { precision: 'float', by: 'skip-type', override: null }
  if (anyMatches(recipe.skip_layers)) decision = { precision: 'float', by: 'skip', override: null }
  if (anyMatches(recipe.fp16_layers)) decision = { precision: 'fp16', by: 'fp16', override: null }
  recipe.overrides.forEach((entry, index) => {
    if (!entry.precision || !patternMatches(entry.layer, layer)) return
    decision = { precision: entry.precision, by: isWildcard(entry.layer) ? 'rule' : 'layer', override: index }
  })
  return decision
}

/** The name an override of exactly this layer is written with. */
export function overrideName(layer: LayerNames): string {
  return layer.modulePath ?? layer.name
}

/** Overrides of single layers stand after all rules, so that they win. `null` takes the override back. */
export function withLayerPrecision(
  recipe: Recipe,
  layer: LayerNames,
  precision: LayerPrecision | null,
): Recipe {
  const own = new Set([layer.name, layer.modulePath, layer.weight])
  const kept = recipe.overrides.filter((entry) => !own.has(entry.layer))
  const previous = recipe.overrides.find((entry) => own.has(entry.layer))
  if (precision === null) {
    if (!previous || (!previous.activation && !previous.weight)) return { ...recipe, overrides: kept }
    const { precision: _taken, ...rest } = previous
    return { ...recipe, overrides: [...kept, rest] }
  }
  const entry: LayerOverride = { ...previous, layer: previous?.layer ?? overrideName(layer), precision }
  return { ...recipe, overrides: [...kept, entry] }
}

/** Overrides with a wildcard, with their place in the recipe. */
export function rulesOf(recipe: Recipe): { rule: LayerOverride; index: number }[] {
  return recipe.overrides
    .map((rule, index) => ({ rule, index }))
    .filter((entry) => isWildcard(entry.rule.layer))
}

/** A new rule goes behind the other rules and before the overrides of single layers. */
export function withNewRule(recipe: Recipe, rule: LayerOverride): Recipe {
  const at = recipe.overrides.findLastIndex((entry) => isWildcard(entry.layer)) + 1
  return { ...recipe, overrides: recipe.overrides.toSpliced(at, 0, rule) }
}

export function withRule(recipe: Recipe, index: number, rule: LayerOverride | null): Recipe {
  return { ...recipe, overrides: recipe.overrides.toSpliced(index, 1, ...(rule ? [rule] : [])) }
}

/** The JSON text of a recipe, without what equals the defaults of an empty list. */
export function recipeText(recipe: Recipe): string {
  return `${JSON.stringify(recipe, null, 2)}\n`
}

export type ParsedRecipe = { ok: true; recipe: Recipe } | { ok: false; message: string }

/** Reads edited text; the message names the place in the words of the JSON parser or the schema. */
export function parseRecipeText(text: string): ParsedRecipe {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    return { ok: false, message: thrown instanceof Error ? thrown.message : String(thrown) }
  }
  const parsed = recipeSchema.safeParse(value)
  if (parsed.success) return { ok: true, recipe: parsed.data }
  return { ok: false, message: z.prettifyError(parsed.error) }
}
