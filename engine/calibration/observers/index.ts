// Observers of activation values by the method a recipe names.
import { AutoObserver } from './auto.ts'
import { BinnedDistribution } from './distribution.ts'
import { HfmgObserver } from './hfmg.ts'
import { type Bins, GrowingHistogram } from './histogram.ts'
import { IfmrObserver } from './ifmr.ts'
import { klRange } from './kl.ts'
import { ExtremesObserver, MovingAverageObserver } from './extremes.ts'
import { mseRange } from './mse.ts'
import {
  ACTIVATION_BITS,
  type ClipRange,
  type Observer,
  type ObserverState,
  type TensorValues,
} from './observer.ts'
import { percentileRange } from './percentile.ts'
import type { ObserverSpec } from './spec.ts'

export { GrowingHistogram } from './histogram.ts'
export { valuesWithRange } from './observer.ts'
export type { Bins, Candidate, ClipRange, Observer, ObserverState, TensorValues } from './observer.ts'
export { needsValues, observerKey, observerSpec } from './spec.ts'
export type { ObserverSpec } from './spec.ts'

/** Fills a histogram and derives the range from it in the end. */
class HistogramObserver implements Observer {
  readonly #histogram: GrowingHistogram
  readonly #choose: (bins: Bins) => ClipRange

  constructor(capacity: number, choose: (bins: Bins) => ClipRange) {
    this.#histogram = new GrowingHistogram(capacity)
    this.#choose = choose
  }

  add(values: TensorValues): void {
    this.#histogram.add(values)
  }

  state(): ObserverState {
    return { runs: [], histogram: this.#histogram.bins() }
  }

  merge({ histogram }: ObserverState): void {
    if (histogram) this.#histogram.merge(histogram)
  }

  range(): ClipRange {
    return this.#choose(this.#histogram.bins())
  }
}

/**
 * The observer of a method.
 * @param ifmrBudget Values of the tensor that IFMR may keep to stay exact.
 */
export function createObserver(spec: ObserverSpec, ifmrBudget: number): Observer {
  const grid = { symmetric: spec.symmetric, bits: ACTIVATION_BITS }
  switch (spec.method) {
    case 'percentile':
      return new HistogramObserver(spec.bins, (bins) =>
        percentileRange(new BinnedDistribution(bins), spec.percentile, spec.symmetric),
      )
    case 'kl':
      return new HistogramObserver(spec.bins, (bins) => klRange(bins, grid))
    case 'mse':
      return new HistogramObserver(spec.bins, (bins) => mseRange(new BinnedDistribution(bins), grid))
    case 'ifmr':
      return new IfmrObserver(spec.ifmr, grid, spec.bins, ifmrBudget)
    case 'hfmg':
      return new HfmgObserver(spec.bins, grid)
    case 'auto':
      return new AutoObserver(spec)
    case 'moving_average':
      return new MovingAverageObserver(spec.averagingConstant)
    case 'min_max':
    case 'max_abs':
      return new ExtremesObserver()
  }
}
