// Values of a tensor as something quantization error can be computed of: exact samples, or a histogram whose values lie
// evenly within each bin. One formula serves both, so a candidate grid costs 2^bits look-ups, not a pass over the data.
import { activationScaleOffset } from '../grid.ts'
import type { Bins } from './histogram.ts'
import type { ClipRange, GridOptions } from './observer.ts'

/** Moments of all values below a point; `square` is the sum of squares of all. */
export interface Distribution {
  readonly total: number
  readonly sum: number
  readonly square: number
  readonly min: number
  readonly max: number
  /** Sets `count` and `partial` to the number and the sum of the values below x. */
  seek: (x: number) => void
  readonly count: number
  readonly partial: number
  /** The rank-th smallest value, rank from 1 to total; within one bin for a histogram. */
  orderStatistic: (rank: number) => number
  /**
   * Sum of squared differences when every value becomes the centre of its cell: cell k is [low + k step, low + (k + 1)
   * step), the first and the last one reach to infinity.
   */
  cellError: (low: number, step: number, cells: number) => number
}

/** A histogram as a distribution. */
export class BinnedDistribution implements Distribution {
  static readonly #known = new WeakMap<Bins, BinnedDistribution>()
  readonly total: number
  readonly sum: number
  readonly square: number
  readonly min: number
  readonly max: number
  count = 0
  partial = 0
  readonly #bins: Bins
  readonly #counts: Float64Array
  readonly #sums: Float64Array

  /** The distribution of bins that do not change; made once for each. */
  static of(bins: Bins): BinnedDistribution {
    const known = BinnedDistribution.#known.get(bins)
    if (known) return known
    const made = new BinnedDistribution(bins)
    BinnedDistribution.#known.set(bins, made)
    return made
  }

  constructor(bins: Bins) {
    const { counts, low, width } = bins
    this.#bins = bins
    this.#counts = new Float64Array(counts.length + 1)
    this.#sums = new Float64Array(counts.length + 1)
    let [below, sum, square] = [0, 0, 0]
    for (let index = 0; index < counts.length; index++) {
      const count = counts[index] as number
      const centre = low + (index + 0.5) * width
      below += count
      sum += count * centre
      this.#counts[index + 1] = below
      this.#sums[index + 1] = sum
      // Mean square of an even spread over the bin: centre^2 + width^2 / 12.
      square += count * (centre * centre + (width * width) / 12)
    }
    this.total = bins.total
    this.sum = sum
    this.square = square
    this.min = bins.min
    this.max = bins.max
  }

  seek(x: number): void {
    const { low, width, counts } = this.#bins
    const position = (x - low) / width
    const index = Math.floor(position)
    if (index < 0) {
      this.count = 0
      this.partial = 0
    } else if (index >= counts.length) {
      this.count = this.total
      this.partial = this.sum
    } else {
      const inside = (counts[index] as number) * (position - index)
      this.count = (this.#counts[index] as number) + inside
      this.partial = (this.#sums[index] as number) + inside * 0.5 * (low + index * width + x)
    }
  }

  orderStatistic(rank: number): number {
    if (rank <= 1) return this.min
    if (rank >= this.total) return this.max
    let [from, to] = [0, this.#bins.counts.length - 1]
    while (from < to) {
      const middle = (from + to) >> 1
      if ((this.#counts[middle + 1] as number) >= rank) to = middle
      else from = middle + 1
    }
    const { low, width, counts } = this.#bins
    const share = (rank - 0.5 - (this.#counts[from] as number)) / (counts[from] as number)
    return Math.min(this.max, Math.max(this.min, low + (from + share) * width))
  }

  /** Hot: thousands of candidate grids per tensor. Boundaries advance in bins, and nothing is called inside. */
  cellError(low: number, step: number, cells: number): number {
    const { low: origin, width, counts } = this.#bins
    const below = this.#counts
    const sums = this.#sums
    const bins = counts.length
    const perWidth = 1 / width
    const total = this.total
    const whole = this.sum
    let count = 0
    let sum = 0
    let error = this.square
    for (let cell = 0; cell < cells; cell++) {
      const boundary = low + (cell + 1) * step
      const position = (boundary - origin) * perWidth
      if (position <= 0 && cell < cells - 1) continue
      let nextCount = total
      let nextSum = whole
      if (position < bins && cell < cells - 1) {
        const index = Math.floor(position)
        const inside = (counts[index] as number) * (position - index)
        nextCount = (below[index] as number) + inside
        nextSum = (sums[index] as number) + inside * 0.5 * (origin + index * width + boundary)
      }
      const centre = boundary - 0.5 * step
      // sum (x - c)^2 = sum x^2 - 2 c sum x + n c^2; the first term is the same for every grid.
      error += centre * (centre * (nextCount - count) - 2 * (nextSum - sum))
      count = nextCount
      sum = nextSum
      if (position >= bins) break
    }
    return Math.max(0, error)
  }
}

/** All values themselves, sorted. */
export class SampleDistribution implements Distribution {
  readonly total: number
  readonly sum: number
  readonly square: number
  readonly min: number
  readonly max: number
  count = 0
  partial = 0
  readonly #sorted: Float32Array
  readonly #sums: Float64Array

  /** @param values Is sorted in place. */
  constructor(values: Float32Array) {
    this.#sorted = values.sort()
    this.#sums = new Float64Array(values.length + 1)
    let [sum, square] = [0, 0]
    for (let index = 0; index < values.length; index++) {
      const value = values[index] as number
      sum += value
      square += value * value
      this.#sums[index + 1] = sum
    }
    this.total = values.length
    this.sum = sum
    this.square = square
    this.min = values[0] ?? 0
    this.max = values.at(-1) ?? 0
  }

  seek(x: number): void {
    let [from, to] = [0, this.total]
    while (from < to) {
      const middle = (from + to) >> 1
      if ((this.#sorted[middle] as number) < x) from = middle + 1
      else to = middle
    }
    this.count = from
    this.partial = this.#sums[from] as number
  }

  orderStatistic(rank: number): number {
    return this.#sorted[Math.min(this.total, Math.max(1, rank)) - 1] ?? 0
  }

  cellError(low: number, step: number, cells: number): number {
    let [count, sum, error] = [0, 0, this.square]
    for (let cell = 0; cell < cells; cell++) {
      this.seek(cell === cells - 1 ? Infinity : low + (cell + 1) * step)
      const centre = low + (cell + 0.5) * step
      error += centre * (centre * (this.count - count) - 2 * (this.partial - sum))
      count = this.count
      sum = this.partial
    }
    return Math.max(0, error)
  }
}

/** Sum of squared quantization errors of a range's grid, clipping and the rounded zero point included. */
export function quantizationError(
  distribution: Distribution,
  range: ClipRange,
  { symmetric, bits }: GridOptions,
): number {
  const { scale, offset } = activationScaleOffset(range.min, range.max, symmetric, bits)
  const lowest = -(2 ** (bits - 1)) - offset
  return distribution.cellError((lowest - 0.5) * scale, scale, 2 ** bits)
}

/**
 * The part of it that clipping causes, from the number and the mean of the clipped values at either end: at least this
 * much, since how they spread around their mean is not known.
 */
export function clippingError(
  distribution: Distribution,
  range: ClipRange,
  { symmetric, bits }: GridOptions,
): number {
  const { scale, offset } = activationScaleOffset(range.min, range.max, symmetric, bits)
  const low = (-(2 ** (bits - 1)) - offset) * scale
  const high = low + (2 ** bits - 1) * scale
  const squared = (count: number, excess: number): number => (count > 0 ? excess ** 2 / count : 0)
  distribution.seek(low)
  const below = squared(distribution.count, distribution.count * low - distribution.partial)
  distribution.seek(high)
  const count = distribution.total - distribution.count
  return below + squared(count, distribution.sum - distribution.partial - count * high)
}
