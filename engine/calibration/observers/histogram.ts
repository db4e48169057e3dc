// A histogram whose range grows with the data and never loses a count: bins are [k w, (k + 1) w) with w a power of two,
// so a wider range merges whole bins. What it holds depends on the values alone, not on their order or on how they were
// split between histograms.
import type { Bins, TensorValues } from './observer.ts'

export type { Bins } from './observer.ts'

/** Exponent of the narrowest bin: 2^-149 is the smallest float32 above zero. */
const SMALLEST_EXPONENT = -149
/** Bins narrower than a float32 step of the largest value tell nothing more. */
const MANTISSA_BITS = 24

/** floor(log2(x)) for x > 0, exactly: the logarithm of a number just below a power of two rounds up to it. */
function binaryExponent(x: number): number {
  const exponent = Math.floor(Math.log2(x))
  return 2 ** exponent > x ? exponent - 1 : exponent
}

/** The smallest power of two with which [min, max] fits into `capacity` aligned bins. */
export function binWidth(min: number, max: number, capacity: number): number {
  const largest = Math.max(Math.abs(min), Math.abs(max))
  const exponent = Math.max(
    SMALLEST_EXPONENT,
    binaryExponent((max - min) / capacity),
    binaryExponent(largest) - MANTISSA_BITS,
  )
  let width = 2 ** exponent
  while (Math.floor(max / width) - Math.floor(min / width) + 1 > capacity) width *= 2
  return width
}

/** Counts are doubles: whole numbers up to 2^53, where 32 bits would overflow on long calibrations. */
export class GrowingHistogram {
  readonly capacity: number
  /** As many as the capacity while values are counted; those in use of another one after a merge. */
  #counts: Float64Array = new Float64Array()
  /** Index of the first bin: it starts at #first * #width. */
  #first = 0
  #width = 0
  #min = Infinity
  #max = -Infinity
  #total = 0
  /** What bins() gave, until more values come. */
  #view: Bins | undefined

  /** @param capacity Bins at most; at least half of them span the range of the data. */
  constructor(capacity: number) {
    this.capacity = capacity
  }

  get total(): number {
    return this.#total
  }

  add({ data, min, max }: TensorValues): void {
    if (data.length === 0) return
    const counts = this.#openFor(min, max)
    const perWidth = 1 / this.#width
    const first = this.#first
    for (let index = 0; index < data.length; index++) {
      // Exact: a float32 times a power of two. The floor comes before the subtraction, which could round.
      const bin = Math.floor((data[index] as number) * perWidth) - first
      ;(counts[bin] as number)++
    }
    this.#total += data.length
  }

  /** Adds all counts of another histogram of the same capacity, as if it had seen the same values itself. */
  merge(other: Bins): void {
    if (other.total === 0) return
    const first = Math.round(other.low / other.width)
    if (this.#total === 0) {
      // Nothing to add to: the other's counts are ours until more come.
      this.#counts = other.counts
      this.#view = other
      ;[this.#first, this.#width, this.#min, this.#max] = [first, other.width, other.min, other.max]
    } else {
      this.#openFor(other.min, other.max)
      this.#take(other.counts, first, other.width)
    }
    this.#total += other.total
  }

  /** The bins in use: a copy, the same one until more values come. */
  bins(): Bins {
    if (this.#view) return this.#view
    const { width } = this
    const used = this.#total === 0 ? 0 : Math.floor(this.#max / width) - this.#first + 1
    this.#view = {
      low: this.#first * width,
      width,
      counts: this.#counts.slice(0, used),
      min: this.#total === 0 ? 0 : this.#min,
      max: this.#total === 0 ? 0 : this.#max,
      total: this.#total,
    }
    return this.#view
  }

  /** Width of a bin now; grows with the range. */
  get width(): number {
    return this.#width
  }

  /** Room for values in a range that are about to be counted. */
  #openFor(min: number, max: number): Float64Array {
    this.#view = undefined
    if (this.#counts.length < this.capacity) {
      const counts = new Float64Array(this.capacity)
      counts.set(this.#counts)
      this.#counts = counts
    }
    this.#cover(min, max)
    return this.#counts
  }

  #cover(min: number, max: number): void {
    if (min >= this.#min && max <= this.#max) return
    this.#min = Math.min(min, this.#min)
    this.#max = Math.max(max, this.#max)
    const [counts, first, width] = [this.#counts, this.#first, this.#width]
    this.#width = binWidth(this.#min, this.#max, this.capacity)
    this.#first = Math.floor(this.#min / this.#width)
    if (this.#total === 0) return
    if (first === this.#first && width === this.#width) return
    this.#counts = new Float64Array(this.capacity)
    this.#take(counts, first, width)
  }

  /** Bins of a width that divides ours move whole into the bin that holds them. */
  #take(counts: Float64Array, first: number, width: number): void {
    const ratio = this.#width / width
    for (let index = 0; index < counts.length; index++) {
      const count = counts[index] as number
      if (count === 0) continue
      const target = Math.floor((first + index) / ratio) - this.#first
      this.#counts[target] = (this.#counts[target] as number) + count
    }
  }
}

/** The same counts in bins `factor` times as wide, aligned like the first ones. */
export function coarser(bins: Bins, factor: number): Bins {
  if (factor <= 1) return bins
  const width = bins.width * factor
  const shift = Math.round(bins.low / bins.width)
  const first = Math.floor(shift / factor)
  const used = Math.floor((shift + bins.counts.length - 1) / factor) - first + 1
  const counts = new Float64Array(used)
  bins.counts.forEach((count, index) => {
    const target = Math.floor((shift + index) / factor) - first
    counts[target] = (counts[target] as number) + count
  })
  return { ...bins, low: first * width, width, counts }
}
