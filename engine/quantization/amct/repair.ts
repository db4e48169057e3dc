// AMCT's weight algorithms and balancer, set layer by layer there, as the recipe's weight repair, set once for a list of
// layers.
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import { type RepairSettings, repairSchema } from '../../../contract/recipe.ts'
import { type AmctAdaRound, type AmctSettings, mostFrequent, settingsKey } from './settings.ts'

/** A set of layers with the same settings; `layers` undefined stands for every layer. */
export interface RepairGroup {
  layers?: readonly string[]
  settings: AmctSettings
}

const LISTED = 5

/** Names for a message: a few of them, and how many more. */
export function listed(names: readonly string[]): string {
  const more = names.length - LISTED
  return more > 0 ? `${names.slice(0, LISTED).join(', ')} (+${more})` : names.join(', ')
}

/** Every layer of the groups; undefined when one of them stands for all. */
function layersOf(groups: readonly RepairGroup[]): string[] | undefined {
  if (groups.some((group) => group.layers === undefined)) return undefined
  return groups.flatMap((group) => [...(group.layers ?? [])])
}

function adaRound(
  groups: readonly RepairGroup[],
  notes: InteropNote[],
): RepairSettings['rounding'] | undefined {
  const wanted = groups.filter((group) => group.settings.weight.adaRound)
  const [first] = wanted.map((group) => group.settings.weight.adaRound as AmctAdaRound)
  if (!first) return undefined
  if (first.iterations === 0) {
    notes.push(makeNote('rounding_off'))
    return undefined
  }
  const differing = wanted.filter(
    (group) => settingsKey(group.settings.weight.adaRound) !== settingsKey(first),
  )
  if (differing.length > 0) {
    notes.push(makeNote('rounding_differs', { layers: listed(layersOf(differing) ?? []) }))
  }
  const layers = layersOf(wanted)
  return {
    method: 'adaround',
    iterations: first.iterations,
    regularization: first.regularization,
    beta_range: [...first.betaRange],
    warm_start: first.warmStart,
    ...(layers && { layers }),
  }
}

function balancer(groups: readonly RepairGroup[], notes: InteropNote[]): RepairSettings['balance'] {
  const wanted = groups.filter((group) => group.settings.balance !== undefined)
  const strengths = wanted.flatMap(({ layers, settings }) =>
    Array.from({ length: layers?.length ?? 1 }, () => settings.balance as number),
  )
  const strength = mostFrequent(strengths)
  if (strength === undefined) return undefined
  const differing = wanted.filter((group) => group.settings.balance !== strength)
  if (differing.length > 0) {
    notes.push(makeNote('balance_differs', { layers: listed(layersOf(differing) ?? []), strength }))
  }
  const layers = layersOf(wanted)
  return { method: 'dmq', strength, ...(layers && { layers }) }
}

/** The repair part of a recipe. */
export function repairSettings(
  groups: readonly RepairGroup[],
  fusion: { enabled: boolean; skip: readonly string[] },
  notes: InteropNote[],
): RepairSettings {
  const rounding = adaRound(groups, notes)
  const balance = balancer(groups, notes)
  return repairSchema.parse({
    fold_batch_norm: fusion.enabled,
    skip_fold_layers: [...fusion.skip],
    ...(balance && { balance }),
    ...(rounding && { rounding }),
  })
}
