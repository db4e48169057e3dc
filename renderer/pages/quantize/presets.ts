// Presets: what one proposes layer by layer, and how it is merged into the recipe being edited. Pure.
import type { LayerPrecision, Recipe } from '../../../contract/recipe.ts'
import type { LayerRole, LocalizedText, PresetProposal } from '../../../contract/presets.ts'

/** Layers that a preset treats alike, for the same reason. */
export interface ProposalGroup {
  role: LayerRole
  precision: LayerPrecision
  fixed: boolean
  reason: LocalizedText
  layers: string[]
}

/** Proposals by role, precision and reason, in the order in which the model has them. */
export function groupProposals(proposals: readonly PresetProposal[]): ProposalGroup[] {
  const groups = Map.groupBy(proposals, ({ role, precision, fixed, reason }) =>
    [role, precision, fixed, reason.en].join('\n'),
  )
  return [...groups.values()].flatMap((members) => {
    const [first] = members
    if (!first) return []
    const { role, precision, fixed, reason } = first
    return [{ role, precision, fixed, reason, layers: members.map((member) => member.layer) }]
  })
}

const union = (first: readonly string[], second: readonly string[]): string[] => [
  ...new Set([...first, ...second]),
]

/** Entries of the preset that the recipe does not have yet, before its own, which therefore win. */
function before<Entry>(preset: readonly Entry[], own: readonly Entry[]): Entry[] {
  const known = new Set(own.map((entry) => JSON.stringify(entry)))
  return [...preset.filter((entry) => !known.has(JSON.stringify(entry))), ...own]
}

/**
 * Takes the settings of a preset (precision, activations, weights, repair), unites its lists with the recipe's and puts
 * its rules before the recipe's own: what a person decided for a layer stays.
 */
export function withPreset(recipe: Recipe, preset: Recipe): Recipe {
  return {
    ...recipe,
    precision: preset.precision,
    activation: preset.activation,
    weight: preset.weight,
    repair: preset.repair,
    skip_layers: union(preset.skip_layers, recipe.skip_layers),
    skip_op_types: union(preset.skip_op_types, recipe.skip_op_types),
    fp16_layers: union(preset.fp16_layers, recipe.fp16_layers),
    op_types: before(preset.op_types, recipe.op_types),
    overrides: before(preset.overrides, recipe.overrides),
  }
}

export type ChangedPart = 'precision' | 'activation' | 'weight' | 'repair'
const PARTS: readonly ChangedPart[] = ['precision', 'activation', 'weight', 'repair']

/** Settings in which two recipes differ. */
export function changedParts(before: Recipe, after: Recipe): ChangedPart[] {
  return PARTS.filter((part) => JSON.stringify(before[part]) !== JSON.stringify(after[part]))
}

const LISTS = ['skip_layers', 'skip_op_types', 'fp16_layers', 'op_types', 'overrides'] as const

/** Entries that one recipe has more than another, over all lists and rules. */
export function addedEntries(before: Recipe, after: Recipe): number {
  return LISTS.reduce((sum, list) => sum + after[list].length - before[list].length, 0)
}
