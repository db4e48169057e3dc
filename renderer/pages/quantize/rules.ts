// The rules of a recipe as one list: by operator type, then by layer, in the order in which they win. Pure.
import type { LayerOverride, OpTypeRule, Recipe } from '../../../contract/recipe.ts'
import { isWildcard, PatternIndex, type LayerNames } from './patterns.ts'

export type RuleScope = 'op_type' | 'layer'

/** What a rule changes, whoever it is for. */
export type RuleSettings = Omit<LayerOverride, 'layer'>

export interface Rule {
  scope: RuleScope
  /** Operator type or layer pattern. */
  target: string
  settings: RuleSettings
}

/** Where a rule stands in its list of the recipe. */
export interface RulePlace {
  scope: RuleScope
  index: number
}

export interface RuleRow extends Rule, RulePlace {
  /** Layers that it names. */
  matches: number
}

function toRule(entry: OpTypeRule | LayerOverride): Rule {
  if ('op_type' in entry) {
    const { op_type: target, ...settings } = entry
    return { scope: 'op_type', target, settings }
  }
  const { layer: target, ...settings } = entry
  return { scope: 'layer', target, settings }
}

const toOpType = ({ target, settings }: Rule): OpTypeRule => ({ op_type: target, ...settings })
const toOverride = ({ target, settings }: Rule): LayerOverride => ({ layer: target, ...settings })

export type ListName = 'skip_op_types' | 'skip_layers' | 'fp16_layers'

/** A row of the table of rules: what holds for all, a list of layers left out, or a rule. */
export type TableRow =
  | { scope: 'common'; matches: number }
  | { scope: 'list'; list: ListName; patterns: readonly string[]; matches: number }
  | RuleRow

/** All rules from the weakest to the strongest, with the number of layers each of them names. */
export function ruleRows(recipe: Recipe, layers: readonly LayerNames[]): RuleRow[] {
  const index = new PatternIndex(recipe.overrides.map((entry) => entry.layer))
  const byPattern = new Array<number>(recipe.overrides.length).fill(0)
  const byType = new Map<string, number>()
  for (const layer of layers) {
    byType.set(layer.opType, (byType.get(layer.opType) ?? 0) + 1)
    for (const at of index.matches(layer)) byPattern[at] = (byPattern[at] ?? 0) + 1
  }
  return [
    ...recipe.op_types.map((entry, at) => ({
      ...toRule(entry),
      index: at,
      matches: byType.get(entry.op_type) ?? 0,
    })),
    ...recipe.overrides.map((entry, at) => ({ ...toRule(entry), index: at, matches: byPattern[at] ?? 0 })),
  ]
}

/** Everything that decides a layer, from the weakest to the strongest; lists that are empty are left out. */
export function tableRows(recipe: Recipe, layers: readonly LayerNames[]): TableRow[] {
  const rules = ruleRows(recipe, layers)
  const list = (name: ListName, matches: (layer: LayerNames) => boolean): TableRow[] => {
    const patterns = recipe[name]
    if (patterns.length === 0) return []
    return [{ scope: 'list', list: name, patterns, matches: layers.filter(matches).length }]
  }
  const [skipped, half] = [new PatternIndex(recipe.skip_layers), new PatternIndex(recipe.fp16_layers)]
  return [
    { scope: 'common', matches: layers.length },
    ...list('skip_op_types', (layer) => recipe.skip_op_types.includes(layer.opType)),
    ...rules.filter((rule) => rule.scope === 'op_type'),
    ...list('skip_layers', (layer) => skipped.matchesAny(layer)),
    ...list('fp16_layers', (layer) => half.matchesAny(layer)),
    ...rules.filter((rule) => rule.scope === 'layer'),
  ]
}

/**
 * Adds a rule: by operator type at the end of those; with a wildcard behind the other wildcards and before the overrides
 * of single layers, so that those still win; for a single layer at the very end.
 */
export function withNewRule(recipe: Recipe, rule: Rule): Recipe {
  if (rule.scope === 'op_type') return { ...recipe, op_types: [...recipe.op_types, toOpType(rule)] }
  const at = isWildcard(rule.target)
    ? recipe.overrides.findLastIndex((entry) => isWildcard(entry.layer)) + 1
    : recipe.overrides.length
  return { ...recipe, overrides: recipe.overrides.toSpliced(at, 0, toOverride(rule)) }
}

/** The recipe without the rule at a place. */
export function withoutRule(recipe: Recipe, { scope, index }: RulePlace): Recipe {
  return scope === 'op_type'
    ? { ...recipe, op_types: recipe.op_types.toSpliced(index, 1) }
    : { ...recipe, overrides: recipe.overrides.toSpliced(index, 1) }
}

/** Puts another rule where one stood; a rule that changes its scope goes to the end of its new list. */
export function withChangedRule(recipe: Recipe, place: RulePlace, rule: Rule): Recipe {
  if (rule.scope !== place.scope) return withNewRule(withoutRule(recipe, place), rule)
  return rule.scope === 'op_type'
    ? { ...recipe, op_types: recipe.op_types.with(place.index, toOpType(rule)) }
    : { ...recipe, overrides: recipe.overrides.with(place.index, toOverride(rule)) }
}

/** Swaps a rule with its neighbour; null when there is none in its own list: scopes never mix. */
export function withMovedRule(recipe: Recipe, { scope, index }: RulePlace, step: 1 | -1): Recipe | null {
  const move = <Entry>(list: readonly Entry[]): Entry[] | null => {
    const [entry, other] = [list[index], list[index + step]]
    if (entry === undefined || other === undefined) return null
    return list.with(index, other).with(index + step, entry)
  }
  if (scope === 'op_type') {
    const op_types = move(recipe.op_types)
    return op_types && { ...recipe, op_types }
  }
  const overrides = move(recipe.overrides)
  return overrides && { ...recipe, overrides }
}
