// Weight scales that are searched for: AMCT's divergence search over the largest magnitude, and least squared error.
import { symmetricScale } from '../calibration/grid.ts'

/** Bins of the histogram from -max|w| to max|w| (AMCT, HIST_BINS). */
const HISTOGRAM_BINS = 512
/** Bins given up at either end, at most (AMCT, NUM_SEARCH). */
const SEARCH_STEPS = 20
/** Count given to an empty bin, taken from the others (AMCT, _condition_histogram). */
const EMPTY_BIN_COUNT = 1e-4
/** Adding and subtracting 1.5 * 2^52 leaves the nearest integer, ties to even. */
const ROUNDING_CONSTANT = 1.5 * 2 ** 52
/** Smallest share of the range that least squared error clips to: INT4 gains from more clipping than INT8. */
const SMALLEST_SHARE = { 8: 0.5, 4: 0.25 }
const COARSE_STEP = 1 / 32
const FINE_STEP = 1 / 128

/** torch.histc over [-limit, limit]: positions in float32, the last bin closed. */
function symmetricHistogram(values: Float32Array, limit: number): Float64Array {
  const counts = new Float64Array(HISTOGRAM_BINS)
  const extent = Math.fround(2 * limit)
  for (let index = 0; index < values.length; index++) {
    const distance = Math.fround((values[index] as number) + limit)
    const position = Math.trunc(Math.fround(Math.fround(distance * HISTOGRAM_BINS) / extent))
    const bin = position < HISTOGRAM_BINS ? position : HISTOGRAM_BINS - 1
    ;(counts[bin] as number)++
  }
  return counts
}

/** The window that leaves out `cut` bins at either end, what lies there counted in its outermost bins. */
function foldedWindow(histogram: Float64Array, cut: number): Float64Array {
  const window = histogram.slice(cut, histogram.length - cut)
  const last = window.length - 1
  for (let bin = 0; bin < cut; bin++) {
    window[0] = (window[0] as number) + (histogram[bin] as number)
    window[last] = (window[last] as number) + (histogram[histogram.length - 1 - bin] as number)
  }
  return window
}

/** The window as `levels` bins would show it: counts spread evenly over the non-empty bins of each level. */
function quantizedWindow(window: Float64Array, levels: number): Float64Array {
  const spread = new Float64Array(window.length)
  const width = window.length / levels
  for (let level = 0; level < levels; level++) {
    const start = Math.ceil(level * width)
    const end = level === levels - 1 ? window.length : Math.ceil((level + 1) * width)
    let sum = 0
    let filled = 0
    for (let bin = start; bin < end; bin++) {
      sum += window[bin] as number
      if (window[bin] !== 0) filled++
    }
    for (let bin = start; bin < end; bin++) if (window[bin] !== 0) spread[bin] = sum / filled
  }
  return spread
}

/** Empty bins get a small count and the others a little more (AMCT, _condition_histogram). Returns the new total. */
function smooth(counts: Float64Array): number {
  const empty = counts.reduce((count, value) => (value === 0 ? count + 1 : count), 0)
  const extra = (EMPTY_BIN_COUNT * empty) / (counts.length - empty)
  let total = 0
  for (let bin = 0; bin < counts.length; bin++) {
    const value = counts[bin] as number
    if (extra < 1) counts[bin] = value === 0 ? EMPTY_BIN_COUNT : value + extra
    total += counts[bin] as number
  }
  return total
}

/** Kullback-Leibler divergence of the window from its quantized image. */
function divergence(window: Float64Array, levels: number): number {
  const image = quantizedWindow(window, levels)
  const [total, imageTotal] = [smooth(window), smooth(image)]
  let sum = 0
  for (let bin = 0; bin < window.length; bin++) {
    const p = (window[bin] as number) / total
    sum += p * Math.log(p / ((image[bin] as number) / imageTotal))
  }
  return sum
}

/**
 * Scale of the window of least divergence (AMCT, find_scale_and_offset_by_kl): at most 19 of 512 bins are cut off at
 * either end, and the divisor is 2^(bits-1) whatever the sign of the largest value. 1 for all zeros.
 */
export function klScale(values: Float32Array, bits: number): number {
  const limit = values.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0)
  if (limit === 0) return 1
  const histogram = symmetricHistogram(values, limit)
  const width = Math.fround(Math.fround(2 * limit) / HISTOGRAM_BINS)
  let best = Infinity
  let scale = 1
  for (let cut = 0; cut < SEARCH_STEPS; cut++) {
    const found = divergence(foldedWindow(histogram, cut), 2 ** bits - 1)
    if (!(found < best)) continue
    best = found
    const low = Math.fround(-limit + Math.fround(cut * width))
    scale = Math.fround(low / -(2 ** (bits - 1)))
  }
  return scale
}

/** Sum of squared differences between values and their integers times `scale`. */
function squaredError(values: Float32Array, scale: number, lowest: number, highest: number): number {
  const step = 1 / scale
  let sum = 0
  for (let index = 0; index < values.length; index++) {
    const x = values[index] as number
    const rounded = Math.fround(x * step) + ROUNDING_CONSTANT - ROUNDING_CONSTANT
    const error = x - (rounded > highest ? highest : rounded < lowest ? lowest : rounded) * scale
    sum += error * error
  }
  return sum
}

/**
 * Scale of least squared error: the symmetric scale of the largest magnitude, its counterpart with the other divisor
 * (2^(bits-1) or one less) and smaller ones, coarsely and then finely. Never worse than the first.
 * @param largest The scale of the largest magnitude.
 */
export function mseScale(values: Float32Array, bits: 8 | 4, largest: number): number {
  const half = 2 ** (bits - 1)
  const limit = values.reduce((found, x) => Math.max(found, Math.abs(x)), 0)
  if (limit === 0) return symmetricScale(0, 0, bits)
  let best = { scale: largest, error: squaredError(values, largest, -half, half - 1) }
  const consider = (candidate: number): void => {
    const scale = Math.fround(candidate)
    const error = squaredError(values, scale, -half, half - 1)
    if (error < best.error) best = { scale, error }
  }
  consider(limit / half)
  consider(limit / (half - 1))
  for (let share = 1 - COARSE_STEP; share >= SMALLEST_SHARE[bits]; share -= COARSE_STEP) {
    consider(share * largest)
  }
  const coarse = best.scale
  for (let shift = FINE_STEP; shift < COARSE_STEP; shift += FINE_STEP) {
    consider(coarse - shift * largest)
    consider(coarse + shift * largest)
  }
  return best.scale
}
