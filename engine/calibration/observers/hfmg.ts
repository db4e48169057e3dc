// HFMG, Histogram Feature Map Glutton: a histogram of the data, from whose ends bins are greedily given up; the window
// with the least quantization error wins. After AMCT, custom_op/hfmg/hfmg_impl.py.
import { FLOAT32_EPSILON } from '../grid.ts'
import { BinnedDistribution } from './distribution.ts'
import type { Bins } from './histogram.ts'
import {
  type ClipRange,
  EMPTY_RANGE,
  type FoundRanges,
  type GridOptions,
  type Observer,
  type ObserverState,
  type RangeSearch,
  type TensorValues,
} from './observer.ts'

/** The search ends when this fraction of the bins is left (AMCT, MIN_BIN_RATIO). */
const LEFT_OVER = 4
/** Each step gives up at least this fraction of the values (AMCT, STEP_DIVISOR). */
const STEP_DIVISOR = 100_000
/** Relative difference below which two ends of a range are the same, that of AMCT's comparison. */
const SAME_END = FLOAT32_EPSILON

/** torch.histc: equal bins from min to max, the last one closed, positions in float32. */
function histc({ data }: TensorValues, min: number, max: number, bins: number): Float64Array {
  const counts = new Float64Array(bins)
  const extent = Math.fround(max - min)
  if (!(extent > 0)) {
    counts[bins >> 1] = data.length
    return counts
  }
  for (let index = 0; index < data.length; index++) {
    const distance = Math.fround((data[index] as number) - min)
    const position = Math.trunc(Math.fround(Math.fround(distance * bins) / extent))
    const bin = position < bins ? position : bins - 1
    ;(counts[bin] as number)++
  }
  return counts
}

function sameEnd(a: number, b: number): boolean {
  return Math.abs(a - b) <= SAME_END * Math.max(1, Math.abs(a), Math.abs(b))
}

/** Moves the counts of bins over one range into bins over a wider one; a bin that spans two is split evenly. */
function moveCounts(from: Bins, to: Bins): void {
  const last = to.counts.length - 1
  const add = (bin: number, count: number): void => {
    to.counts[bin] = (to.counts[bin] as number) + count
  }
  from.counts.forEach((count, index) => {
    if (count === 0) return
    const begin = from.low + index * from.width
    const end = begin + from.width
    const low = Math.min(last, Math.max(0, Math.floor((begin - to.low) / to.width)))
    const high = Math.max(low, Math.min(last, Math.floor((end - to.low) / to.width)))
    if (low === high) {
      add(low, count)
      return
    }
    const border = to.low + (low + 1) * to.width
    const inLow = from.width > 0 ? Math.trunc((count * (border - begin)) / from.width) : count
    add(low, inLow)
    add(high, count - inLow)
  })
}

/** Adds the counts of a histogram to one of as many bins over the same range or a wider one. */
function addCounts(from: Bins, to: Bins): void {
  if (!sameEnd(from.min, to.min) || !sameEnd(from.max, to.max)) {
    moveCounts(from, to)
    return
  }
  from.counts.forEach((count, index) => {
    to.counts[index] = (to.counts[index] as number) + count
  })
}

/** The windows that the greedy search looks at; the whole histogram is not among them, as in AMCT. */
function searchWindows(counts: Float64Array, total: number): [left: number, right: number][] {
  const step = Math.max(Math.ceil(total / STEP_DIVISOR), 1)
  const enough = Math.ceil(counts.length / LEFT_OVER)
  const windows: [number, number][] = []
  let [left, right] = [0, counts.length - 1]
  while (right - left > enough) {
    let [nextLeft, nextRight] = [left, right]
    for (let sum = 0; nextLeft < right && sum < step; nextLeft++) sum += counts[nextLeft] as number
    for (let sum = 0; nextRight > left && sum < step; nextRight--) sum += counts[nextRight] as number
    if (nextLeft - left > right - nextRight) left = nextLeft
    else right = nextRight
    windows.push([left, right])
  }
  return windows
}

/** The best window of a histogram as a range. */
export function hfmgRange(bins: Bins, { bits }: GridOptions): ClipRange {
  const { counts, low, width, total } = bins
  if (total === 0) return EMPTY_RANGE
  if (!(width > 0)) return { min: bins.min, max: bins.max }
  const distribution = new BinnedDistribution(bins)
  let best = [0, counts.length - 1] as [left: number, right: number]
  let leastError = Infinity
  for (const [left, right] of searchWindows(counts, total)) {
    const step = (width * (right - left + 1)) / 2 ** bits
    const error = step < FLOAT32_EPSILON ? 0 : distribution.cellError(low + left * width, step, 2 ** bits)
    if (error < leastError) {
      leastError = error
      best = [left, right]
    }
  }
  // In float32, as AMCT: the last bit of the scale depends on it.
  const edge = (bin: number): number => Math.fround(low + Math.fround(bin * Math.fround(width)))
  return { min: edge(best[0]), max: edge(best[1] + 1) }
}

/** AMCT's running histogram: over the range seen so far, every batch of values counted on the joined range. */
export class HfmgObserver implements Observer {
  readonly #bins: number
  readonly #grid: GridOptions
  #histogram: Bins | undefined

  constructor(bins: number, grid: GridOptions) {
    this.#bins = bins
    this.#grid = grid
  }

  /** The histogram now; undefined before the first values. */
  get histogram(): Readonly<Bins> | undefined {
    return this.#histogram
  }

  add(values: TensorValues): void {
    if (values.data.length === 0) return
    const old = this.#histogram
    const min = Math.min(values.min, old?.min ?? Infinity)
    const max = Math.max(values.max, old?.max ?? -Infinity)
    const counts = histc(values, min, max, this.#bins)
    const total = values.data.length + (old?.total ?? 0)
    const joined: Bins = { low: min, width: (max - min) / this.#bins, counts, min, max, total }
    if (old) addCounts(old, joined)
    this.#histogram = joined
  }

  state(): ObserverState {
    return { runs: [], ...(this.#histogram && { hfmg: this.#histogram }) }
  }

  /** Bins that span two of the joined histogram are split evenly, as AMCT does when its own range grows. */
  merge({ hfmg: other }: ObserverState): void {
    const old = this.#histogram
    if (!other) return
    if (!old) {
      this.#histogram = { ...other, counts: other.counts.slice() }
      return
    }
    const min = Math.min(old.min, other.min)
    const max = Math.max(old.max, other.max)
    const counts = new Float64Array(this.#bins)
    const joined: Bins = {
      low: min,
      width: (max - min) / this.#bins,
      counts,
      min,
      max,
      total: old.total + other.total,
    }
    for (const part of [old, other]) addCounts(part, joined)
    this.#histogram = joined
  }

  search(): RangeSearch | undefined {
    const bins = this.#histogram
    return bins && { bins, grid: this.#grid, methods: ['hfmg'] }
  }

  range({ hfmg }: FoundRanges = {}): ClipRange {
    if (hfmg) return hfmg
    return this.#histogram ? hfmgRange(this.#histogram, this.#grid) : EMPTY_RANGE
  }
}
