// What every range method makes of one tensor, and which of them the recipe takes.
import type { MethodResult } from '../../../contract/calibration.ts'
import { activationScaleOffset } from '../grid.ts'
import { type Candidate, chooseRange, compareMethods } from '../observers/auto.ts'
import { BinnedDistribution, quantizationError } from '../observers/distribution.ts'
import type { Bins } from '../observers/histogram.ts'
import type { ClipRange, ObserverSpec } from '../observers/index.ts'
import { ACTIVATION_BITS } from '../observers/observer.ts'

export interface ComparedMethods {
  chosen: MethodResult
  best: MethodResult
  methods: MethodResult[]
}

function sqnrOrNull(sqnrDb: number): number | null {
  return Number.isFinite(sqnrDb) ? sqnrDb : null
}

/** Share of the values outside a range, exact to a histogram bin and exactly 0 for the whole range. */
function clippedShare(distribution: BinnedDistribution, { min, max }: ClipRange): number {
  const { total } = distribution
  if (total === 0) return 0
  let outside = 0
  if (min > distribution.min) {
    distribution.seek(min)
    outside += distribution.count
  }
  if (max < distribution.max) {
    distribution.seek(max)
    outside += total - distribution.count
  }
  return Math.min(1, outside / total)
}

/** A range with everything that follows from it. */
class Assessor {
  readonly #distribution: BinnedDistribution
  readonly #symmetric: boolean

  constructor(bins: Bins, symmetric: boolean) {
    this.#distribution = new BinnedDistribution(bins)
    this.#symmetric = symmetric
  }

  /** The signal to noise ratio of a range that `compareMethods` did not rate. */
  sqnrDb(range: ClipRange): number {
    const grid = { symmetric: this.#symmetric, bits: ACTIVATION_BITS }
    const error = quantizationError(this.#distribution, range, grid)
    return 10 * Math.log10(this.#distribution.square / error)
  }

  result({ method, range, sqnrDb, percentile }: Candidate): MethodResult {
    const { min, max } = range
    return {
      method,
      percentile: percentile ?? null,
      min,
      max,
      ...activationScaleOffset(min, max, this.#symmetric),
      sqnr_db: sqnrOrNull(sqnrDb),
      clipped: clippedShare(this.#distribution, range),
    }
  }
}

/**
 * @param averaged The moving average over the runs, in the order of the data set.
 * @param observed The range of the recipe's own method where the histogram gives it only nearly (IFMR, HFMG).
 */
export function compare(
  bins: Bins,
  averaged: ClipRange,
  spec: ObserverSpec,
  observed: ClipRange | undefined,
): ComparedMethods {
  const assessor = new Assessor(bins, spec.symmetric)
  const whole = { min: bins.min, max: bins.max }
  const simplest: Candidate = {
    method: spec.symmetric ? 'max_abs' : 'min_max',
    range: whole,
    // A single value lies on an end of its grid, without any error.
    sqnrDb: bins.min < bins.max ? assessor.sqnrDb(whole) : NaN,
  }
  // All values equal, or none: no grid is better than another (and no bins to search).
  const searched = bins.min === bins.max ? [simplest] : compareMethods(bins, averaged, spec)
  const candidates = searched.map((candidate) =>
    observed && candidate.method === spec.method
      ? { ...candidate, range: observed, sqnrDb: assessor.sqnrDb(observed) }
      : candidate,
  )
  const [first = simplest, ...others] = candidates
  const best = others.reduce((leader, rival) => (rival.sqnrDb > leader.sqnrDb ? rival : leader), first)
  const own = candidates.find(
    ({ method, percentile }) =>
      method === spec.method && (method !== 'percentile' || percentile === spec.percentile),
  )
  // min_max with a symmetric grid is max_abs under another name.
  const automatic = (): Candidate => (bins.min < bins.max ? chooseRange(bins, candidates, spec) : best)
  const chosen = spec.method === 'auto' ? automatic() : (own ?? { ...first, method: spec.method })
  return {
    chosen: assessor.result(chosen),
    best: assessor.result(best),
    methods: candidates.map((candidate) => assessor.result(candidate)),
  }
}
