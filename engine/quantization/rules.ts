// The arithmetic of AMCT's quantization: scales, offsets, integer weights and biases, dequantization parameters.
// Single-precision where AMCT (PyTorch float32) is: Math.fround after every step keeps the last bit the same.

import type { WeightMethod } from '../../contract/recipe.ts'
import { FLOAT32_EPSILON, roundHalfEven, symmetricScale } from '../calibration/grid.ts'
import { roundToFloat16 } from '../onnx/index.ts'
import { klScale, mseScale } from './weight-search.ts'

export {
  activationScaleOffset,
  asymmetricScaleOffset,
  FLOAT32_EPSILON,
  roundHalfEven,
  symmetricScale,
} from '../calibration/grid.ts'
export type { ScaleOffset } from '../calibration/grid.ts'

const INT8_MIN = -128
const INT8_MAX = 127
const INT32_MIN = -(2 ** 31)
const INT32_MAX = 2 ** 31 - 1
const LARGEST_FLOAT16 = 65_504
/** Adding and subtracting 1.5 * 2^52 leaves the nearest integer, ties to even, for |x| < 2^51. */
const ROUNDING_CONSTANT = 1.5 * 2 ** 52

/** AscendQuant's `scale` attribute: the float32 reciprocal of the step (AMCT, InsertQuantPass). */
export function quantAttributeScale(scale: number): number {
  return Math.fround(1 / scale)
}

/** clamp(round(x / scale) + offset) with the division in float32, as AMCT quantizes weights and calibrates. */
export function quantizeToInt8(x: number, scale: number, offset: number): number {
  const q = roundHalfEven(Math.fround(Math.fround(x / scale) + offset))
  return Math.min(INT8_MAX, Math.max(INT8_MIN, q))
}

/**
 * How the elements of a weight belong to output channels: the flat array is `blocks` runs, each of `channels` rows of
 * `inner` elements; row c of block b belongs to channel `b * channels + c` when `blocksAreGroups`, else to channel c.
 */
export interface ChannelLayout {
  blocks: number
  channels: number
  inner: number
  /** Blocks that share their channels, such as the input channels of one group of a ConvTranspose; 0 when all do. */
  blocksPerGroup: number
}

/** Layout of one scale for the whole tensor. */
export function tensorLayout(elements: number): ChannelLayout {
  return { blocks: 1, channels: 1, inner: elements, blocksPerGroup: 0 }
}

/** Conv weight [Cout, Cin/group, k...]: channel = first dimension. */
export function convLayout(dims: readonly number[]): ChannelLayout {
  const channels = dims[0] ?? 1
  return { blocks: 1, channels, inner: product(dims.slice(1)), blocksPerGroup: 0 }
}

/** ConvTranspose weight [Cin, Cout/group, k...]: channel = group * Cout/group + second dimension. */
export function convTransposeLayout(dims: readonly number[], group: number): ChannelLayout {
  const [inputs = 1, channels = 1] = dims
  return { blocks: inputs, channels, inner: product(dims.slice(2)), blocksPerGroup: inputs / group }
}

function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1)
}

/** MatMul weight [K, N] with a scale per column, or per column and `group` rows; the last group may be shorter. */
export function columnLayout(dims: readonly number[], group = 0): ChannelLayout {
  const [blocks = 1, channels = 1] = dims
  return { blocks, channels, inner: 1, blocksPerGroup: group }
}

/** Number of scales a layout has. */
export function scaleCount(layout: ChannelLayout): number {
  const groups = layout.blocksPerGroup === 0 ? 1 : Math.ceil(layout.blocks / layout.blocksPerGroup)
  return groups * layout.channels
}

/** The channel of a block's first row. */
function firstChannel(layout: ChannelLayout, block: number): number {
  return layout.blocksPerGroup === 0 ? 0 : Math.floor(block / layout.blocksPerGroup) * layout.channels
}

/** The elements of one channel, in order; a view where they are contiguous. */
function channelValues(weight: Float32Array, layout: ChannelLayout, channel: number): Float32Array {
  const { blocks, channels, inner, blocksPerGroup } = layout
  const row = channel % channels
  const firstBlock = Math.floor(channel / channels) * blocksPerGroup
  const count = blocksPerGroup === 0 ? blocks : Math.min(blocksPerGroup, blocks - firstBlock)
  const at = (block: number): number => (block * channels + row) * inner
  if (count === 1) return weight.subarray(at(firstBlock), at(firstBlock) + inner)
  const values = new Float32Array(count * inner)
  for (let block = 0; block < count; block++) {
    const start = at(firstBlock + block)
    for (let index = 0; index < inner; index++)
      values[block * inner + index] = weight[start + index] as number
  }
  return values
}

export type WeightBits = 8 | 4

/** How the scale of a weight is found. */
export interface WeightGrid {
  bits: WeightBits
  method: WeightMethod
  /** Scales are rounded to FLOAT16, the type that the weight-only product of CANN reads them in. */
  float16Scales?: boolean
}

const INT8_GRID: WeightGrid = { bits: 8, method: 'max_abs' }

/** Widens the extremes of consecutive rows of `inner` elements. */
function widenRows(
  weight: Float32Array,
  lows: Float32Array,
  highs: Float32Array,
  start: number,
  inner: number,
): void {
  let index = start
  for (let row = 0; row < lows.length; row++) {
    let low = lows[row] as number
    let high = highs[row] as number
    // Math.min and Math.max compile to single instructions without branches, and keep a NaN.
    for (const end = index + inner; index < end; index++) {
      const x = weight[index] as number
      low = Math.min(low, x)
      high = Math.max(high, x)
    }
    lows[row] = low
    highs[row] = high
  }
}

/** widenRows for rows of one element, without the inner loop. */
function widenColumns(weight: Float32Array, lows: Float32Array, highs: Float32Array, start: number): void {
  for (let column = 0; column < lows.length; column++) {
    const x = weight[start + column] as number
    lows[column] = Math.min(lows[column] as number, x)
    highs[column] = Math.max(highs[column] as number, x)
  }
}

/** Smallest and largest value of each channel, zero included; NaN or infinite where the channel holds such. */
function channelExtremes(
  weight: Float32Array,
  layout: ChannelLayout,
): { lows: Float32Array; highs: Float32Array } {
  const { blocks, channels, inner } = layout
  const lows = new Float32Array(scaleCount(layout))
  const highs = new Float32Array(lows.length)
  for (let block = 0; block < blocks; block++) {
    const first = firstChannel(layout, block)
    const low = lows.subarray(first, first + channels)
    const high = highs.subarray(first, first + channels)
    const start = block * channels * inner
    if (inner === 1) widenColumns(weight, low, high, start)
    else widenRows(weight, low, high, start, inner)
  }
  return { lows, highs }
}

function searchedScale(values: Float32Array, grid: WeightGrid, largest: number): number {
  return grid.method === 'kl' ? klScale(values, grid.bits) : mseScale(values, grid.bits, largest)
}

/** The nearest FLOAT16; scales are never below 2^-23, so none vanishes. */
function float16Scale(scale: number): number {
  return Math.min(roundToFloat16(Float32Array.of(scale))[0] as number, LARGEST_FLOAT16)
}

/**
 * Symmetric weight scales: by the largest magnitude (AMCT, ARQ), by AMCT's divergence search, or by least squared error.
 * `nonFinite` is the flat index of the first NaN or infinity, else -1.
 */
export function weightScales(
  weight: Float32Array,
  layout: ChannelLayout,
  grid: WeightGrid = INT8_GRID,
): { scales: Float32Array; nonFinite: number } {
  const { lows, highs } = channelExtremes(weight, layout)
  const scales = new Float32Array(lows.length)
  for (let channel = 0; channel < scales.length; channel++) {
    scales[channel] = symmetricScale(lows[channel] as number, highs[channel] as number, grid.bits)
  }
  const damaged = lows.some((low, channel) => !Number.isFinite(low) || !Number.isFinite(highs[channel]))
  if (damaged) return { scales, nonFinite: weight.findIndex((x) => !Number.isFinite(x)) }
  if (grid.method !== 'max_abs') {
    for (let channel = 0; channel < scales.length; channel++) {
      const values = channelValues(weight, layout, channel)
      const scale = searchedScale(values, grid, scales[channel] as number)
      scales[channel] = scale < FLOAT32_EPSILON ? 1 : scale
    }
  }
  return { scales: grid.float16Scales ? scales.map(float16Scale) : scales, nonFinite: -1 }
}

/**
 * Rounds consecutive rows of `inner` elements, a step for each. Inlined roundHalfEven: this loop runs once per parameter of
 * the model. A function of its own, with limits known to be floats: captured or integer ones double its time.
 */
function roundRows(
  weight: Float32Array,
  steps: Float64Array,
  quantized: Int8Array,
  start: number,
  inner: number,
  bits: WeightBits,
): void {
  const highest = Math.fround(2 ** (bits - 1) - 1)
  const lowest = Math.fround(-(2 ** (bits - 1)))
  let index = start
  for (let row = 0; row < steps.length; row++) {
    const step = steps[row] as number
    for (const end = index + inner; index < end; index++) {
      const q = Math.fround((weight[index] as number) * step) + ROUNDING_CONSTANT - ROUNDING_CONSTANT
      quantized[index] = q > highest ? highest : q < lowest ? lowest : q
    }
  }
}

/** roundRows for rows of one element, without the inner loop. */
function roundColumns(
  weight: Float32Array,
  steps: Float64Array,
  quantized: Int8Array,
  start: number,
  bits: WeightBits,
): void {
  const highest = Math.fround(2 ** (bits - 1) - 1)
  const lowest = Math.fround(-(2 ** (bits - 1)))
  for (let column = 0; column < steps.length; column++) {
    const scaled = Math.fround((weight[start + column] as number) * (steps[column] as number))
    const q = scaled + ROUNDING_CONSTANT - ROUNDING_CONSTANT
    quantized[start + column] = q > highest ? highest : q < lowest ? lowest : q
  }
}

/** Integer weights, same element order as the input, one per byte: clamp(round(w / scale)). */
export function quantizeWeight(
  weight: Float32Array,
  layout: ChannelLayout,
  scales: Float32Array,
  bits: WeightBits = 8,
): Int8Array {
  const { blocks, channels, inner } = layout
  const quantized = new Int8Array(weight.length)
  // float32(w * (1 / s)) with a float64 reciprocal is float32(w / s) to the last bit: the quotient of two 24-bit numbers
  // is never a tie of float32 and lies at least 2^-49 away from one, while the product errs by less than 2^-51.
  const steps = new Float64Array(scales.length)
  for (let channel = 0; channel < scales.length; channel++) steps[channel] = 1 / (scales[channel] as number)
  for (let block = 0; block < blocks; block++) {
    const first = firstChannel(layout, block)
    const rowSteps = steps.subarray(first, first + channels)
    if (inner === 1) roundColumns(weight, rowSteps, quantized, block * channels, bits)
    else roundRows(weight, rowSteps, quantized, block * channels * inner, inner, bits)
  }
  return quantized
}

export interface BiasOverflow {
  channel: number
  value: number
}

/**
 * int32 bias: round(b / (scale_d * scale_w)), one per output channel. `overflow` names the first value that does not
 * fit; clipping it would silently move the output (AMCT refuses too).
 */
export function quantizeBias(
  bias: Float32Array,
  activationScale: number,
  scales: Float32Array,
): { values: Int32Array; overflow?: BiasOverflow } {
  const values = new Int32Array(bias.length)
  for (let channel = 0; channel < bias.length; channel++) {
    const step = dequantScale(activationScale, scales[scales.length === 1 ? 0 : channel] as number)
    const value = roundHalfEven(Math.fround((bias[channel] as number) / step))
    if (!(value >= INT32_MIN && value <= INT32_MAX)) return { values, overflow: { channel, value } }
    values[channel] = value
  }
  return { values }
}

/** Real value of one unit of the int32 accumulator: scale_d * scale_w in float32. */
export function dequantScale(activationScale: number, weightScale: number): number {
  return Math.fround(activationScale * weightScale)
}

/**
 * AscendDequant's parameter: the float32 bits of scale_d * scale_w in the low half of a uint64, the weight offset
 * (always 0) above (AMCT, InsertDequantPass).
 */
export function packDequantScale(scale: number): bigint {
  return BigInt(new Uint32Array(Float32Array.of(scale).buffer)[0] as number)
}

/** What the hardware keeps of a dequantization scale: the top 19 bits of the float32 (sign, exponent, 10 of mantissa). */
export function truncateToS19(scale: number): number {
  const bits = new Uint32Array(Float32Array.of(scale).buffer)
  bits[0] = ((bits[0] as number) & 0xffffe000) >>> 0
  return new Float32Array(bits.buffer)[0] as number
}
