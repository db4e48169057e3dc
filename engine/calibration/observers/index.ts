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
  type FoundRanges,
  type GridOptions,
  type Observer,
  type ObserverState,
  type RangeSearch,
  type SearchingMethod,
  type TensorValues,
} from './observer.ts'
import { percentileRange } from './percentile.ts'
import type { ObserverSpec } from './spec.ts'

export { GrowingHistogram } from './histogram.ts'
export { valuesWithRange } from './observer.ts'
export type {
  Bins,
  Candidate,
  ChosenRange,
  ClipRange,
  FoundRanges,
  Observer,
  ObserverState,
  RangeSearch,
  TensorValues,
} from './observer.ts'
export { needsValues, observerKey, observerSpec } from './spec.ts'
export type { ObserverSpec } from './spec.ts'

interface HistogramMethod {
  grid: GridOptions
  /** Set where the range takes a search. */
  searching?: SearchingMethod
  rangeOf: (bins: Bins, grid: GridOptions) => ClipRange
}

/** Fills a histogram and derives the range from it in the end. */
class HistogramObserver implements Observer {
  readonly #histogram: GrowingHistogram
  readonly #method: HistogramMethod

  constructor(capacity: number, method: HistogramMethod) {
    this.#histogram = new GrowingHistogram(capacity)
    this.#method = method
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

  search(): RangeSearch | undefined {
    const { grid, searching } = this.#method
    return searching && { bins: this.#histogram.bins(), grid, methods: [searching] }
  }

  range(found: FoundRanges = {}): ClipRange {
    const { grid, searching, rangeOf } = this.#method
    return (searching && found[searching]) ?? rangeOf(this.#histogram.bins(), grid)
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
      return new HistogramObserver(spec.bins, {
        grid,
        rangeOf: (bins) => percentileRange(new BinnedDistribution(bins), spec.percentile, spec.symmetric),
      })
    case 'kl':
      return new HistogramObserver(spec.bins, { grid, searching: 'kl', rangeOf: klRange })
    case 'mse':
      return new HistogramObserver(spec.bins, {
        grid,
        searching: 'mse',
        rangeOf: (bins) => mseRange(new BinnedDistribution(bins), grid),
      })
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
