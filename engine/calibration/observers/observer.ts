// What every observer of an activation tensor is: it sees the values sample by sample and names a range in the end.
import type { ActivationMethod } from '../../../contract/recipe.ts'

/** The range a quantization grid is laid over; values outside are clipped. */
export interface ClipRange {
  min: number
  max: number
}

/** Values of one tensor in one run of the model, all finite. */
export interface TensorValues {
  data: Float32Array
  min: number
  max: number
}

/** A fixed view of a histogram: `counts[i]` values in [low + i * width, low + (i + 1) * width). */
export interface Bins {
  low: number
  width: number
  counts: Float64Array
  /** Smallest and largest value seen, exact. */
  min: number
  max: number
  total: number
}

/**
 * What an observer has seen, as plain data that can go from one process to another. Every observer gives the parts that
 * it needs, and takes them from whoever gives more.
 */
export interface ObserverState {
  /** Ranges of the runs, in order; a single joined one where only the whole range counts. */
  runs: ClipRange[]
  /** Of all values: a growing histogram with the capacity of the observer's. */
  histogram?: Bins
  /** AMCT's histogram of HFMG, with as many bins as the observer's. */
  hfmg?: Bins
  /** All values themselves, instead of the histogram. */
  values?: Float32Array
}

export interface Observer {
  add: (values: TensorValues) => void
  /** What was seen so far. Arrays may be shared with the observer: they are not to be changed. */
  state: () => ObserverState
  /**
   * Adds what another observer of the same description saw, as if it had been added here, after what is here already.
   * Only the moving average (and what `auto` makes of it) and AMCT's histogram of HFMG depend on the order.
   */
  merge: (state: ObserverState) => void
  /** What `range` would search, for somebody who searches faster; undefined when there is nothing to search. */
  search?: () => RangeSearch | undefined
  /**
   * The chosen range; { min: 0, max: 0 } when nothing was added.
   * @param found Results of `search`; what is missing is searched here.
   */
  range: (found?: FoundRanges) => ChosenRange
}

/** Methods that search a histogram for their range, which takes a while; `weighted` is MSE with a weight on clipping. */
export type SearchingMethod = 'kl' | 'ifmr' | 'hfmg' | 'mse' | 'weighted'
export type FoundRanges = Partial<Record<SearchingMethod, ClipRange>>

export interface RangeSearch {
  bins: Bins
  grid: GridOptions
  /** Of IFMR. */
  ifmr?: IfmrOptions
  /** HFMG searches bins this many times as wide; 1 when left out. */
  hfmgFactor?: number
  /** How many times the squared error of clipped values counts for `weighted`; once when left out. */
  clippingWeight?: number
  methods: readonly SearchingMethod[]
}

export interface IfmrOptions {
  /** Share of the values that lies below the starting maximum, (0.5, 1]. */
  maxPercentile: number
  /** Share of the values that lies above the starting minimum, (0.5, 1]. */
  minPercentile: number
  /** Candidates are the starting maximum times start, start + step, ... below end. */
  searchRange: readonly [start: number, end: number]
  searchStep: number
}

/** A range that a method gives, and the SQNR on its grid. */
export interface Candidate {
  method: ActivationMethod
  range: ClipRange
  /** Signal to quantization noise of this tensor on the grid of this range. */
  sqnrDb: number
  /** Of the method `percentile`. */
  percentile?: number
}

/** A range; of `auto` with the method it came from and those it was chosen among. */
export interface ChosenRange extends ClipRange {
  method?: ActivationMethod
  candidates?: readonly Candidate[]
}

/** How the integers are laid over a range. */
export interface GridOptions {
  symmetric: boolean
  bits: number
}

/** Bits of a quantized activation (Ascend: INT8). */
export const ACTIVATION_BITS = 8

/** Values with their range; not for empty tensors. */
export function valuesWithRange(data: Float32Array): TensorValues {
  let [min, max] = [Infinity, -Infinity]
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number
    if (value < min) min = value
    if (value > max) max = value
  }
  return { data, min, max }
}

/** An empty tensor's values, or none at all. */
export const EMPTY_RANGE: Readonly<ClipRange> = { min: 0, max: 0 }
