// The range of least squared error, both ends searched from the whole range down to a thousandth of it.
import { clippingError, type Distribution, quantizationError } from './distribution.ts'
import { type ClipRange, EMPTY_RANGE, type GridOptions } from './observer.ts'

/** Ends tried first: 40 in equal ratios, from all of the range to this fraction of it. */
const SMALLEST_SHARE = 1e-3
const COARSE_STEPS = 40
/** Each refinement looks at this many points between the neighbours of the best so far. */
const FINE_STEPS = 5
const REFINEMENTS = 3
/** Both ends in turn, until neither moves. */
const MAX_ROUNDS = 3

/** The factor in [SMALLEST_SHARE, 1] of least error: equal ratios first, then closer around the best. */
function bestFactor(error: (factor: number) => number): { factor: number; error: number } {
  let best = { factor: 1, error: error(1) }
  const attempt = (factor: number): void => {
    const found = error(factor)
    if (found < best.error) best = { factor, error: found }
  }
  let ratio = SMALLEST_SHARE ** (1 / (COARSE_STEPS - 1))
  for (let step = 1; step < COARSE_STEPS; step++) attempt(ratio ** step)
  for (let round = 0; round < REFINEMENTS; round++) {
    const { factor: centre } = best
    const finer = ratio ** (1 / FINE_STEPS)
    for (let step = -FINE_STEPS + 1; step < FINE_STEPS; step++) {
      const factor = centre * finer ** step
      if (step !== 0 && factor <= 1) attempt(factor)
    }
    ratio = finer
  }
  return best
}

/** Squared quantization error in which that of clipped values counts several times. */
export function weightedError(
  distribution: Distribution,
  range: ClipRange,
  grid: GridOptions,
  clippingWeight: number,
): number {
  const error = quantizationError(distribution, range, grid)
  if (clippingWeight === 1) return error
  return error + (clippingWeight - 1) * clippingError(distribution, range, grid)
}

/**
 * @param clippingWeight How many times the squared error of clipped values counts.
 * @returns the best range found; never worse than the whole range.
 */
export function mseRange(distribution: Distribution, grid: GridOptions, clippingWeight = 1): ClipRange {
  if (distribution.total === 0) return EMPTY_RANGE
  const { min, max } = distribution
  const errorOf = (range: ClipRange): number => weightedError(distribution, range, grid, clippingWeight)
  // Both ends together: all there is to search when symmetric, else the start of the search.
  const joint = bestFactor((factor) => errorOf({ min: min * factor, max: max * factor }))
  let range = { min: min * joint.factor, max: max * joint.factor }
  if (grid.symmetric || min >= 0 || max <= 0) return range
  let least = joint.error
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { min: low } = range
    const upper = bestFactor((factor) => errorOf({ min: low, max: max * factor }))
    const lower = bestFactor((factor) => errorOf({ min: min * factor, max: max * upper.factor }))
    if (!(lower.error < least)) break
    least = lower.error
    range = { min: min * lower.factor, max: max * upper.factor }
  }
  return range
}
