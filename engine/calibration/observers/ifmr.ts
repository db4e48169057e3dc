// IFMR, Input Feature Map Reconstruction: the range, near a trimmed maximum, that reconstructs the data best.
// After AMCT, custom_op/ifmr/ifmr_impl.py.
import { FLOAT32_EPSILON, roundHalfEven } from '../grid.ts'
import { BinnedDistribution, type Distribution, SampleDistribution } from './distribution.ts'
import { GrowingHistogram } from './histogram.ts'
import {
  type ClipRange,
  EMPTY_RANGE,
  type FoundRanges,
  type GridOptions,
  type IfmrOptions,
  type Observer,
  type ObserverState,
  type RangeSearch,
  type TensorValues,
  valuesWithRange,
} from './observer.ts'

/** Rank counted from the end of the data: 1 is the extreme value itself. */
function trimmedRank(total: number, percentile: number): number {
  return 1 - percentile < FLOAT32_EPSILON ? 1 : Math.max(1, total - Math.trunc(percentile * total))
}

/** torch.arange(start, end, step) in float32: the end is left out. */
function searchFactors({ searchRange: [start, end], searchStep }: IfmrOptions): number[] {
  // What binary fractions add to (end - start) / step must not add a candidate.
  const count = Math.max(1, Math.ceil((end - start) / searchStep - 1e-6))
  return Array.from({ length: count }, (_, index) => Math.fround(start + index * searchStep))
}

/** Scale of a candidate and the lowest value kept; the highest is the candidate itself. */
function candidateGrid(
  candidate: number,
  min: number,
  negative: boolean,
  { symmetric, bits }: GridOptions,
): { scale: number; low: number } {
  const half = 2 ** (bits - 1)
  const scale = symmetric
    ? Math.fround(candidate / (negative ? half : half - 1))
    : Math.fround(Math.fround(candidate - min) / (2 ** bits - 1))
  return { scale: scale < FLOAT32_EPSILON ? 1 : scale, low: symmetric ? -candidate : min }
}

/** AMCT's loss: the offset plays no part in it, so both ends of the range are rounded to whole steps. */
function reconstructionError(distribution: Distribution, low: number, high: number, scale: number): number {
  const first = roundHalfEven(Math.fround(low / scale))
  const last = roundHalfEven(Math.fround(high / scale))
  return distribution.cellError((first - 0.5) * scale, scale, last - first + 1)
}

/** Searches the range as AMCT does: only the upper end moves, or both together when symmetric. */
export function ifmrRange(distribution: Distribution, options: IfmrOptions, grid: GridOptions): ClipRange {
  const { total } = distribution
  if (total === 0) return EMPTY_RANGE
  const highest = distribution.orderStatistic(total + 1 - trimmedRank(total, options.maxPercentile))
  const lowest = distribution.orderStatistic(trimmedRank(total, options.minPercentile))
  const min = Math.min(0, lowest)
  const positive = Math.max(0, highest)
  const negative = grid.symmetric && positive < -min
  const start = grid.symmetric ? Math.max(positive, -min) : positive
  let best: ClipRange = EMPTY_RANGE
  let leastError = Infinity
  for (const factor of searchFactors(options)) {
    const candidate = Math.fround(start * factor)
    const { scale, low } = candidateGrid(candidate, min, negative, grid)
    const error = reconstructionError(distribution, low, candidate, scale)
    if (error < leastError) {
      leastError = error
      // The larger magnitude is the negative one: the rule of the scale then divides by 2^(bits-1).
      best = negative ? { min: -candidate, max: positive * factor } : { min: low, max: candidate }
    }
  }
  return best
}

/** Exact while the values fit `budget`; from a histogram of them beyond it. */
export class IfmrObserver implements Observer {
  readonly #options: IfmrOptions
  readonly #grid: GridOptions
  readonly #budget: number
  readonly #histogram: GrowingHistogram
  #kept: TensorValues[] = []
  #count = 0

  /** @param budget Values kept at most, 4 bytes each. */
  constructor(options: IfmrOptions, grid: GridOptions, bins: number, budget: number) {
    this.#options = options
    this.#grid = grid
    this.#budget = budget
    this.#histogram = new GrowingHistogram(bins)
  }

  get exact(): boolean {
    return this.#count <= this.#budget
  }

  add(values: TensorValues): void {
    this.#count += values.data.length
    if (this.exact) {
      this.#kept.push({ ...values, data: values.data.slice() })
      return
    }
    this.#giveUp()
    this.#histogram.add(values)
  }

  state(): ObserverState {
    return this.exact ? { runs: [], values: this.#values() } : { runs: [], histogram: this.#histogram.bins() }
  }

  merge({ values, histogram }: ObserverState): void {
    if (values && values.length > 0) this.add(valuesWithRange(values))
    else if (histogram) {
      this.#count += histogram.total
      this.#giveUp()
      this.#histogram.merge(histogram)
    }
  }

  search(): RangeSearch | undefined {
    if (this.exact) return undefined
    const bins = this.#histogram.bins()
    return { bins, grid: this.#grid, ifmr: this.#options, methods: ['ifmr'] }
  }

  range(found: FoundRanges = {}): ClipRange {
    return found.ifmr ?? ifmrRange(this.#distribution(), this.#options, this.#grid)
  }

  #distribution(): Distribution {
    return this.exact
      ? new SampleDistribution(this.#values())
      : new BinnedDistribution(this.#histogram.bins())
  }

  #values(): Float32Array {
    const values = new Float32Array(this.#count)
    let offset = 0
    for (const { data } of this.#kept) {
      values.set(data, offset)
      offset += data.length
    }
    return values
  }

  /** The values kept so far become counts. */
  #giveUp(): void {
    for (const kept of this.#kept) this.#histogram.add(kept)
    this.#kept = []
  }
}
