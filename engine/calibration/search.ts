// The searches for ranges that observers leave to others: in the native library, all tensors at a time.
import { searchNatively, type SearchTask } from '../../native/observer/index.ts'
import { ACTIVATION_DEFAULTS } from '../../contract/recipe.ts'
import { chunks } from './session.ts'
import type { FoundRanges, RangeSearch } from './observers/index.ts'

/** Histograms at a time: they are copied for it, 64 KiB each. */
const BATCH = 128
const IFMR_DEFAULTS = {
  maxPercentile: ACTIVATION_DEFAULTS.trimming,
  minPercentile: ACTIVATION_DEFAULTS.trimming,
  searchRange: ACTIVATION_DEFAULTS.searchRange,
  searchStep: ACTIVATION_DEFAULTS.searchStep,
} as const

function taskOf({ bins, grid, ifmr, hfmgFactor, clippingWeight, methods }: RangeSearch): SearchTask {
  return {
    ...bins,
    ...grid,
    ifmr: ifmr ?? IFMR_DEFAULTS,
    hfmgFactor: hfmgFactor ?? 1,
    clippingWeight: clippingWeight ?? 1,
    wanted: new Set(methods),
  }
}

/** What the library finds; nothing where there is none, and the observers search themselves. */
export async function searchRanges(
  searches: readonly RangeSearch[],
  threads: number,
): Promise<FoundRanges[] | undefined> {
  const found: FoundRanges[] = []
  for (const batch of chunks(searches, BATCH)) {
    const ranges = await searchNatively(batch.map(taskOf), threads)
    if (!ranges) return undefined
    found.push(...ranges)
  }
  return found
}
