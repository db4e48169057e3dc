// The integer weight and bias of a layer as Ascend takes them: scales on the output channels of convolutions, one scale for
// products, INT32 biases on the grid of the accumulator.
import { intAttribute, type Node, type TensorData } from '../../onnx/index.ts'
import {
  quantizeBias,
  quantizeWeight,
  type BiasOverflow,
  dequantScale,
  tensorLayout,
  weightScales,
} from '../rules.ts'
import type { QuantizedConstant } from './constants.ts'

export interface IntegerWeight {
  dims: number[]
  data: TensorData
  scales: Float32Array
  bits: 8 | 4
  /** Products have one scale: how many there were, and the largest change of a weight in steps of the new one. */
  requantized?: { count: number; error: number }
}

export function bytesOf(integers: Int8Array): TensorData {
  return {
    kind: 'bytes',
    bytes: new Uint8Array(integers.buffer, integers.byteOffset, integers.byteLength),
  }
}

/** A matrix of integers, turned. */
export function transpose(integers: Int8Array, rows: number, columns: number): Int8Array {
  const result = new Int8Array(integers.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = integers[row * columns + column] as number
    }
  }
  return result
}

/** One scale for all: rounds again what several scales had made. `axis` is that of the scales. */
function withOneScale(
  integers: Int8Array,
  dims: readonly number[],
  scales: Float32Array,
  axis: number,
  bits: 8 | 4,
): { integers: Int8Array; scale: number; error: number } {
  const columns = dims[1] ?? 1
  const floats = Float32Array.from(integers, (q, flat) => {
    const channel = axis === 0 ? Math.floor(flat / columns) : flat % columns
    return q * (scales[channel] as number)
  })
  const layout = tensorLayout(floats.length)
  const found = weightScales(floats, layout, { bits, method: 'max_abs' })
  const scale = found.scales[0] as number
  const rounded = quantizeWeight(floats, layout, found.scales, bits)
  const error = rounded.reduce(
    (worst, q, flat) => Math.max(worst, Math.abs(q - (floats[flat] as number) / scale)),
    0,
  )
  return { integers: rounded, scale, error }
}

function product(weight: QuantizedConstant): IntegerWeight {
  const [rows = 1, columns = 1] = weight.dims
  const { scales, axis, bits } = weight
  const single = scales.length === 1
  if (single && weight.stored && !weight.transposed) {
    return { dims: [rows, columns], data: weight.stored.data, scales, bits }
  }
  const joined = single
    ? { integers: weight.integers(), scale: scales[0] as number, error: 0 }
    : withOneScale(weight.integers(), weight.dims, scales, axis === 0 ? 0 : 1, bits)
  const integers = weight.transposed ? transpose(joined.integers, rows, columns) : joined.integers
  return {
    dims: weight.transposed ? [columns, rows] : [rows, columns],
    data: bytesOf(integers),
    scales: Float32Array.of(joined.scale),
    bits,
    ...(!single && { requantized: { count: scales.length, error: joined.error } }),
  }
}

/** Scales by output channel; undefined when they lie on another dimension. */
function channelScales(node: Node, weight: QuantizedConstant): Float32Array | undefined {
  const { scales, axis, dims } = weight
  if (scales.length === 1) return scales
  const groups = intAttribute(node, 'group', 1)
  if (node.opType === 'Conv') return axis === 0 ? scales : undefined
  if (axis === 'groups') return scales.length === groups * (dims[1] ?? 1) ? scales : undefined
  if (axis !== 1) return undefined
  // The same scales for every group.
  return Float32Array.from(
    { length: groups * scales.length },
    (_, channel) => scales[channel % scales.length] as number,
  )
}

/** INT4 is packed in pairs of input channels of one group; integers of other layers are written as INT8. */
function packable(node: Node, dims: readonly number[]): boolean {
  const inputs = node.opType === 'Conv' ? dims[1] : dims[0]
  return intAttribute(node, 'group', 1) === 1 && (inputs ?? 1) % 2 === 0
}

/**
 * @param weight As its reader sees it, Gemm's transB applied.
 * @returns undefined when the scales of a convolution lie on another dimension than its output channels
 */
export function integerWeight(node: Node, weight: QuantizedConstant): IntegerWeight | undefined {
  const four = (found: IntegerWeight): IntegerWeight => ({
    ...found,
    bits: found.bits === 4 && packable(node, found.dims) ? 4 : 8,
  })
  if (node.opType === 'Gemm' || node.opType === 'MatMul') return four(product(weight))
  const scales = channelScales(node, weight)
  if (!scales) return undefined
  const data = weight.stored?.data ?? bytesOf(weight.integers())
  return four({ dims: [...weight.dims], data, scales, bits: weight.bits })
}

/** A constant bias: floats, or integers on a grid of their own. */
export type ConstantBias = { floats: Float32Array } | { integers: Int32Array; steps: Float32Array }

export interface IntegerBias {
  values: Int32Array
  overflow?: BiasOverflow
  /** Largest change of a value, where the integers had to be rounded again. */
  error?: number
}

/** Grids this close are the same one, computed in another order. */
const SAME_STEP = 1e-6

/** The bias on the grid of the accumulator. */
export function integerBias(bias: ConstantBias, activationScale: number, scales: Float32Array): IntegerBias {
  if ('floats' in bias) return quantizeBias(bias.floats, activationScale, scales)
  const { integers, steps } = bias
  const stepOf = (channel: number): number => steps[steps.length === 1 ? 0 : channel] as number
  const gridOf = (channel: number): number =>
    dequantScale(activationScale, scales[scales.length === 1 ? 0 : channel] as number)
  const same = integers.every((_, channel) => Math.abs(stepOf(channel) / gridOf(channel) - 1) <= SAME_STEP)
  if (same) return { values: integers }
  const floats = Float32Array.from(integers, (q, channel) => q * stepOf(channel))
  const rounded = quantizeBias(floats, activationScale, scales)
  const error = rounded.values.reduce(
    (worst, q, channel) => Math.max(worst, Math.abs(q * gridOf(channel) - (floats[channel] as number))),
    0,
  )
  return { ...rounded, error }
}
