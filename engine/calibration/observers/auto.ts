// The best method for a tensor: every method's range from the same histogram; the one of least quantization error wins,
// clipped values counting more than rounded ones.
import type { ActivationMethod } from '../../../contract/recipe.ts'
import { BinnedDistribution, quantizationError } from './distribution.ts'
import { hfmgRange } from './hfmg.ts'
import { type Bins, coarser, GrowingHistogram } from './histogram.ts'
import { ifmrRange } from './ifmr.ts'
import { klRange } from './kl.ts'
import { MovingAverageObserver } from './extremes.ts'
import { mseRange, weightedError } from './mse.ts'
import {
  ACTIVATION_BITS,
  type Candidate,
  type ChosenRange,
  type ClipRange,
  type FoundRanges,
  type GridOptions,
  type Observer,
  type ObserverState,
  type RangeSearch,
  type TensorValues,
} from './observer.ts'
import { percentileRange } from './percentile.ts'
import type { ObserverSpec } from './spec.ts'

export type { Candidate } from './observer.ts'

/** Percentiles tried besides the recipe's. */
const PERCENTILES = [99.9, 99.999]

/**
 * Rounding errors are independent and average out in the sums of a layer; clipping errors have one sign, come together, and
 * grow on data that calibration did not see. Counted once, the choice lost up to 0.9 dB against plain min-max on unseen
 * samples (docs/quantization.md); with this weight it gains on all sample models.
 */
const CLIPPING_WEIGHT = 8

/** AMCT's search takes one step per bin; a sixteenth of them places the ends to 1/512 of the range. */
const HFMG_FACTOR = 16

/**
 * Every method's range with its SQNR; earlier entries are the simpler methods.
 * @param averaged The moving average over the runs.
 * @param found Ranges that are known already.
 */
export function compareMethods(
  bins: Bins,
  averaged: ClipRange,
  spec: ObserverSpec,
  found: FoundRanges = {},
): Candidate[] {
  const grid: GridOptions = { symmetric: spec.symmetric, bits: ACTIVATION_BITS }
  const distribution = BinnedDistribution.of(bins)
  const percentiles = [spec.percentile, ...PERCENTILES]
  const ranges: [ActivationMethod, ClipRange, number?][] = [
    [spec.symmetric ? 'max_abs' : 'min_max', { min: bins.min, max: bins.max }],
    ['moving_average', averaged],
    ...percentiles.map((percentile): [ActivationMethod, ClipRange, number] => [
      'percentile',
      percentileRange(distribution, percentile, spec.symmetric),
      percentile,
    ]),
    ['kl', found.kl ?? klRange(bins, grid)],
    ['ifmr', found.ifmr ?? ifmrRange(distribution, spec.ifmr, grid)],
    ['hfmg', found.hfmg ?? hfmgRange(coarser(bins, HFMG_FACTOR), grid)],
    ['mse', found.mse ?? mseRange(distribution, grid)],
  ]
  return ranges.map(([method, range, percentile]) => {
    const error = quantizationError(distribution, range, grid)
    const sqnrDb = 10 * Math.log10(distribution.square / error)
    return { method, range, sqnrDb, ...(percentile !== undefined && { percentile }) }
  })
}

/**
 * The best of the compared ranges, and of a least-squares search with the same weight on clipping.
 * @param candidates What compareMethods gave for the same bins; the first is the whole range.
 * @param found Ranges that are known already.
 */
export function chooseRange(
  bins: Bins,
  candidates: readonly Candidate[],
  spec: ObserverSpec,
  found: FoundRanges = {},
): Candidate {
  const grid: GridOptions = { symmetric: spec.symmetric, bits: ACTIVATION_BITS }
  const distribution = BinnedDistribution.of(bins)
  const range = found.weighted ?? mseRange(distribution, grid, CLIPPING_WEIGHT)
  const sqnrDb = 10 * Math.log10(distribution.square / quantizationError(distribution, range, grid))
  const rated = [...candidates, { method: 'mse', range, sqnrDb } as const].map((candidate) => ({
    candidate,
    error: weightedError(distribution, candidate.range, grid, CLIPPING_WEIGHT),
  }))
  return rated.reduce((leader, rival) => (rival.error < leader.error ? rival : leader)).candidate
}

/** Chooses the method tensor by tensor. */
export class AutoObserver implements Observer {
  readonly #spec: ObserverSpec
  readonly #histogram: GrowingHistogram
  readonly #average: MovingAverageObserver

  constructor(spec: ObserverSpec) {
    this.#spec = spec
    this.#histogram = new GrowingHistogram(spec.bins)
    this.#average = new MovingAverageObserver(spec.averagingConstant)
  }

  add(values: TensorValues): void {
    this.#histogram.add(values)
    this.#average.add(values)
  }

  state(): ObserverState {
    return { ...this.#average.state(), histogram: this.#histogram.bins() }
  }

  merge(state: ObserverState): void {
    if (state.histogram) this.#histogram.merge(state.histogram)
    this.#average.merge(state)
  }

  search(): RangeSearch | undefined {
    const bins = this.#histogram.bins()
    if (bins.min === bins.max) return undefined
    const { symmetric, ifmr } = this.#spec
    const grid = { symmetric, bits: ACTIVATION_BITS }
    return {
      bins,
      grid,
      ifmr,
      hfmgFactor: HFMG_FACTOR,
      clippingWeight: CLIPPING_WEIGHT,
      methods: ['kl', 'ifmr', 'hfmg', 'mse', 'weighted'],
    }
  }

  range(found: FoundRanges = {}): ChosenRange {
    const bins = this.#histogram.bins()
    const { min, max } = bins
    const method = this.#spec.symmetric ? 'max_abs' : 'min_max'
    // All zeros, or nothing: no grid is better than another.
    if (min === max) return { min, max, method }
    const candidates = compareMethods(bins, this.#average.range(), this.#spec, found)
    const best = chooseRange(bins, candidates, this.#spec, found)
    return { ...best.range, method: best.method, candidates }
  }
}
