// The best method for a tensor: every method's range from the same histogram, the one of least quantization error wins.
import type { ActivationMethod } from '../../../contract/recipe.ts'
import { BinnedDistribution, quantizationError } from './distribution.ts'
import { hfmgRange } from './hfmg.ts'
import { type Bins, coarser, GrowingHistogram } from './histogram.ts'
import { ifmrRange } from './ifmr.ts'
import { klRange } from './kl.ts'
import { MovingAverageObserver } from './extremes.ts'
import { mseRange } from './mse.ts'
import {
  ACTIVATION_BITS,
  type Candidate,
  type ChosenRange,
  type ClipRange,
  type GridOptions,
  type Observer,
  type ObserverState,
  type TensorValues,
} from './observer.ts'
import { percentileRange } from './percentile.ts'
import type { ObserverSpec } from './spec.ts'

export type { Candidate } from './observer.ts'

/** Percentiles tried besides the recipe's. */
const PERCENTILES = [99.9, 99.999]

/** Every method's range with its SQNR; earlier entries are the simpler methods. */
export function compareMethods(bins: Bins, averaged: ClipRange, spec: ObserverSpec): Candidate[] {
  const grid: GridOptions = { symmetric: spec.symmetric, bits: ACTIVATION_BITS }
  const distribution = new BinnedDistribution(bins)
  const percentiles = [spec.percentile, ...PERCENTILES]
  const ranges: [ActivationMethod, ClipRange, number?][] = [
    [spec.symmetric ? 'max_abs' : 'min_max', { min: bins.min, max: bins.max }],
    ['moving_average', averaged],
    ...percentiles.map((percentile): [ActivationMethod, ClipRange, number] => [
      'percentile',
      percentileRange(distribution, percentile, spec.symmetric),
      percentile,
    ]),
    ['kl', klRange(bins, grid)],
    ['ifmr', ifmrRange(distribution, spec.ifmr, grid)],
    // AMCT's search takes one step per bin; an eighth of them places the ends to a thousandth of the range.
    ['hfmg', hfmgRange(coarser(bins, 8), grid)],
    ['mse', mseRange(distribution, grid)],
  ]
  return ranges.map(([method, range, percentile]) => {
    const error = quantizationError(distribution, range, grid)
    const sqnrDb = 10 * Math.log10(distribution.square / error)
    return { method, range, sqnrDb, ...(percentile !== undefined && { percentile }) }
  })
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

  range(): ChosenRange {
    const bins = this.#histogram.bins()
    const { min, max } = bins
    const method = this.#spec.symmetric ? 'max_abs' : 'min_max'
    // All zeros, or nothing: no grid is better than another.
    if (min === max) return { min, max, method }
    const candidates = compareMethods(bins, this.#average.range(), this.#spec)
    const best = candidates.reduce((leader, rival) => (rival.sqnrDb > leader.sqnrDb ? rival : leader))
    return { ...best.range, method: best.method, candidates }
  }
}
