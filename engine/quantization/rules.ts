// The arithmetic of AMCT's quantization: scales, offsets, integer weights and biases, dequantization parameters.
// Single-precision where AMCT (PyTorch float32) is: Math.fround after every step keeps the last bit the same.

import type { WeightMethod } from '../../contract/recipe.ts'
import { roundHalfEven, symmetricScale } from '../calibration/grid.ts'

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
  /** For grouped ConvTranspose: blocks per group (input channels of one group). 0 when blocks share the channels. */
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

/** Number of scales a layout has. */
export function scaleCount(layout: ChannelLayout): number {
  const groups = layout.blocksPerGroup === 0 ? 1 : layout.blocks / layout.blocksPerGroup
  return groups * layout.channels
}

/** Calls `visit` for every contiguous run of elements that share a scale. */
function forEachRun(
  layout: ChannelLayout,
  visit: (channel: number, start: number, end: number) => void,
): void {
  for (let block = 0; block < layout.blocks; block++) {
    const group = layout.blocksPerGroup === 0 ? 0 : Math.floor(block / layout.blocksPerGroup)
    for (let row = 0; row < layout.channels; row++) {
      const start = (block * layout.channels + row) * layout.inner
      visit(group * layout.channels + row, start, start + layout.inner)
    }
  }
}

export type WeightBits = 8 | 4

/** How the scale of a weight is found. */
export interface WeightGrid {
  bits: WeightBits
  method: WeightMethod
}

const INT8_GRID: WeightGrid = { bits: 8, method: 'max_abs' }

/** Symmetric weight scales (AMCT, ARQ). `nonFinite` is the flat index of the first NaN or infinity, else -1. */
export function weightScales(
  weight: Float32Array,
  layout: ChannelLayout,
  grid: WeightGrid = INT8_GRID,
): { scales: Float32Array; nonFinite: number } {
  const count = scaleCount(layout)
  const lows = new Float32Array(count)
  const highs = new Float32Array(count)
  let nonFinite = -1
  forEachRun(layout, (channel, start, end) => {
    let low = lows[channel] ?? 0
    let high = highs[channel] ?? 0
    for (let index = start; index < end; index++) {
      const x = weight[index] as number
      if (x - x !== 0 && nonFinite < 0) nonFinite = index
      if (x < low) low = x
      if (x > high) high = x
    }
    lows[channel] = low
    highs[channel] = high
  })
  const scales = lows.map((low, channel) => symmetricScale(low, highs[channel] ?? 0, grid.bits))
  return { scales, nonFinite }
}

/** Integer weights, same element order as the input, one per byte: clamp(round(w / scale)). */
export function quantizeWeight(
  weight: Float32Array,
  layout: ChannelLayout,
  scales: Float32Array,
  bits: WeightBits = 8,
): Int8Array {
  const quantized = new Int8Array(weight.length)
  const highest = 2 ** (bits - 1) - 1
  const lowest = -highest - 1
  forEachRun(layout, (channel, start, end) => {
    const scale = scales[channel] as number
    for (let index = start; index < end; index++) {
      // Inlined roundHalfEven: this loop runs once per parameter of the model.
      const q = Math.fround((weight[index] as number) / scale) + ROUNDING_CONSTANT - ROUNDING_CONSTANT
      quantized[index] = q > highest ? highest : q < lowest ? lowest : q
    }
  })
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
