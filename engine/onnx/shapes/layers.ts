// Shape rules of layers with weights: convolutions, matrix products, normalisations, recurrent layers; and of pooling.
import { floatsAttribute, stringAttribute } from '../attributes.ts'
import { DataType } from '../model.ts'
import { unpackedDims } from '../packed-int4.ts'
import { broadcast, dimsText } from './context.ts'
import type { Dim, Dims, OpContext, ShapeRule } from './context.ts'

const QUANTIZED: ReadonlySet<DataType> = new Set<DataType>([
  DataType.INT4,
  DataType.UINT4,
  DataType.INT8,
  DataType.UINT8,
  DataType.INT16,
])

/** Layers of an Ascend deploy model take integers and accumulate in int32 (AMCT; AscendDequant reads int32). */
function accumulatorType(input: DataType): DataType {
  return QUANTIZED.has(input) ? DataType.INT32 : input
}

/** Dimensions of a weight; INT4 ones of a deploy model are stored in pairs. */
function weightDims(context: OpContext, index: number): Dims {
  const dims = context.dims(index)
  const packable = context.type(0) === DataType.INT8 && context.type(index) === DataType.INT8
  return dims && packable ? unpackedDims(context.node, dims, context.dims(0)) : dims
}

interface Window {
  kernel: number[]
  strides: number[]
  dilations: number[]
  pads: number[]
  autoPad: string
}

function windowOf(context: OpContext, kernel: number[]): Window {
  const rank = kernel.length
  const { node } = context
  const sized = (name: string, length: number, fallback: number): number[] => {
    const values = context.ints(name) ?? new Array<number>(length).fill(fallback)
    if (values.length !== length)
      throw context.fail(`${name} has ${values.length} values, expected ${length}`)
    return values
  }
  const strides = sized('strides', rank, 1)
  if (strides.some((stride) => stride < 1)) throw context.fail(`strides are ${dimsText(strides)}`)
  return {
    kernel,
    strides,
    dilations: sized('dilations', rank, 1),
    pads: sized('pads', rank * 2, 0),
    autoPad: stringAttribute(node, 'auto_pad', 'NOTSET'),
  }
}

/** Output size of a sliding window along one axis. */
function slide(context: OpContext, size: Dim, axis: number, window: Window, ceil: boolean): Dim {
  if (size === null) return null
  const stride = window.strides[axis]!
  if (window.autoPad.startsWith('SAME')) return Math.ceil(size / stride)
  const padded =
    window.autoPad === 'VALID' ? [0, 0] : [window.pads[axis]!, window.pads[axis + window.kernel.length]!]
  const reach = (window.kernel[axis]! - 1) * window.dilations[axis]! + 1
  const room = size + padded[0]! + padded[1]! - reach
  if (room < 0) throw context.fail(`a window of ${reach} does not fit into ${size} (padded ${room + reach})`)
  if (!ceil) return Math.floor(room / stride) + 1
  const steps = Math.ceil(room / stride) + 1
  // A window that would start in the padding at the end is left out (onnx PR 5741).
  return (steps - 1) * stride >= size + padded[0]! ? steps - 1 : steps
}

function slideAll(context: OpContext, spatial: Dim[], window: Window, ceil: boolean): Dim[] {
  if (spatial.length !== window.kernel.length) {
    throw context.fail(`the kernel has ${window.kernel.length} dimensions, the input ${spatial.length}`)
  }
  return spatial.map((size, axis) => slide(context, size, axis, window, ceil))
}

function kernelOf(context: OpContext, weight: Dims): number[] | null {
  const given = context.ints('kernel_shape')
  if (given) return given
  const spatial = weight?.slice(2)
  return spatial?.every((dim) => dim !== null) ? (spatial as number[]) : null
}

function convDims(context: OpContext, x: Dims, weight: Dims): Dims {
  if (!x) return null
  if (x.length < 3) throw context.fail(`the input is ${dimsText(x)}, expected at least 3 dimensions`)
  const kernel = kernelOf(context, weight)
  const channels = weight?.[0] ?? null
  if (!kernel) return [x[0]!, channels, ...new Array<null>(x.length - 2).fill(null)]
  const groups = context.int('group', 1)
  const [given, expected] = [x[1]!, weight?.[1] ?? null]
  if (given !== null && expected !== null && given !== expected * groups) {
    throw context.fail(`the input has ${given} channels, the weight needs ${expected * groups}`)
  }
  return [x[0]!, channels, ...slideAll(context, x.slice(2), windowOf(context, kernel), false)]
}

/** Input indices of data and weight and the output type, for the integer forms of Conv. */
function convolution(weightIndex: number, outputType: (context: OpContext) => DataType): ShapeRule {
  return (context) => {
    context.set(0, outputType(context), convDims(context, context.dims(0), weightDims(context, weightIndex)))
  }
}

const convTranspose: ShapeRule = (context) => {
  const [x, weight] = [context.dims(0), context.dims(1)]
  const type = accumulatorType(context.type(0))
  const kernel = kernelOf(context, weight)
  if (!x || !kernel) return context.set(0, type, null)
  const channels = weight?.[1] ?? null
  const output = context.ints('output_shape')
  const window = windowOf(context, kernel)
  const extra = context.ints('output_padding') ?? kernel.map(() => 0)
  const spatial = x.slice(2).map((size, axis) => {
    if (output) return output.at(axis - kernel.length) ?? null
    if (size === null) return null
    const stride = window.strides[axis]!
    if (window.autoPad.startsWith('SAME')) return size * stride
    const reach = (kernel[axis]! - 1) * window.dilations[axis]! + 1
    const pads = window.autoPad === 'VALID' ? 0 : window.pads[axis]! + window.pads[axis + kernel.length]!
    return stride * (size - 1) + extra[axis]! + reach - pads
  })
  const outChannels = channels === null ? null : channels * context.int('group', 1)
  context.set(0, type, [x[0]!, outChannels, ...spatial])
}

function pool(outputType: (context: OpContext) => DataType): ShapeRule {
  return (context) => {
    const x = context.dims(0)
    const kernel = context.ints('kernel_shape')
    if (!kernel) throw context.fail('kernel_shape is missing')
    const spatial =
      x && slideAll(context, x.slice(2), windowOf(context, kernel), context.int('ceil_mode', 0) === 1)
    const dims = x && spatial && [...x.slice(0, 2), ...spatial]
    context.set(0, outputType(context), dims)
    if (context.node.outputs.length > 1) context.set(1, DataType.INT64, dims)
  }
}

const globalPool: ShapeRule = (context) => {
  const x = context.dims(0)
  context.set(0, context.type(0), x && [...x.slice(0, 2), ...x.slice(2).map(() => 1)])
}

/** NumPy matmul on shapes. */
function matmulDims(context: OpContext, a: Dims, b: Dims): Dims {
  if (!a || !b) return null
  if (a.length === 0 || b.length === 0) throw context.fail('a scalar cannot be multiplied as a matrix')
  const left = a.length === 1 ? [1, a[0]!] : a
  const right = b.length === 1 ? [b[0]!, 1] : b
  context.same(left.at(-1)!, right.at(-2)!, `inner sizes of ${dimsText(a)} x ${dimsText(b)}`)
  const batch = broadcast(context, [left.slice(0, -2), right.slice(0, -2)])
  const rows = a.length === 1 ? [] : [left.at(-2)!]
  const columns = b.length === 1 ? [] : [right.at(-1)!]
  return batch && [...batch, ...rows, ...columns]
}

function matmul(bIndex: number, outputType: (context: OpContext) => DataType): ShapeRule {
  return (context) => {
    context.set(0, outputType(context), matmulDims(context, context.dims(0), weightDims(context, bIndex)))
  }
}

function transposedIf(dims: Dims, flag: number): Dims {
  return dims && flag ? [...dims].reverse() : dims
}

const gemm: ShapeRule = (context) => {
  const a = transposedIf(context.dims(0), context.int('transA', 0))
  const b = transposedIf(weightDims(context, 1), context.int('transB', 0))
  if (a && a.length !== 2) throw context.fail(`A is ${dimsText(a)}, expected 2 dimensions`)
  if (b && b.length !== 2) throw context.fail(`B is ${dimsText(b)}, expected 2 dimensions`)
  if (a && b) context.same(a[1]!, b[0]!, 'inner sizes')
  context.set(0, accumulatorType(context.type(0)), [a?.[0] ?? null, b?.[1] ?? null])
}

const batchNormalization: ShapeRule = (context) => {
  context.set(0, context.type(0), context.dims(0))
  for (let index = 1; index < context.node.outputs.length; index++)
    context.set(index, context.type(3), context.dims(3))
}

const layerNormalization: ShapeRule = (context) => {
  const dims = context.dims(0)
  context.set(0, context.type(0), dims)
  const axis = dims && context.axis(context.int('axis', -1), dims.length)
  const statistics = dims && dims.map((dim, index) => (index >= axis! ? 1 : dim))
  const type = context.int('stash_type', DataType.FLOAT) as DataType
  for (let index = 1; index < context.node.outputs.length; index++) context.set(index, type, statistics)
}

/** RNN, GRU, LSTM: X is [sequence, batch, input], or [batch, sequence, input] with layout 1. */
const recurrent: ShapeRule = (context) => {
  const x = context.dims(0)
  const hidden = context.int('hidden_size', 0) || (context.dims(2)?.[2] ?? null)
  const directions = stringAttribute(context.node, 'direction', 'forward') === 'bidirectional' ? 2 : 1
  const batchFirst = context.int('layout', 0) === 1
  const [sequence, batch] = batchFirst ? [x?.[1] ?? null, x?.[0] ?? null] : [x?.[0] ?? null, x?.[1] ?? null]
  const type = context.type(0)
  context.set(
    0,
    type,
    batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden],
  )
  const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]
  context.set(1, type, state)
  if (context.node.opType === 'LSTM') context.set(2, type, state)
}

const dropout: ShapeRule = (context) => {
  context.set(0, context.type(0), context.dims(0), context.values(0))
  if (context.node.outputs.length > 1) {
    context.set(1, context.opset >= 10 ? DataType.BOOL : context.type(0), context.dims(0))
  }
}

/** Resize (10+: scales or sizes as inputs) and Upsample (7: scales attribute, 9: input). */
const resize: ShapeRule = (context) => {
  const x = context.dims(0)
  const type = context.type(0)
  if (!x) return context.set(0, type, null)
  const { scales, sizes } = resizeTargets(context)
  const axes = context.ints('axes')?.map((axis) => context.axis(axis, x.length)) ?? x.map((_, axis) => axis)
  const dims: Dim[] = [...x]
  const aspect = stringAttribute(context.node, 'keep_aspect_ratio_policy', 'stretch')
  const common = sizes && aspect !== 'stretch' ? commonScale(x, axes, sizes, aspect) : undefined
  axes.forEach((axis, position) => {
    const size = x[axis]!
    if (common !== undefined)
      dims[axis] = size === null || common === null ? null : roundHalfUp(size * common)
    else if (sizes) dims[axis] = sizes[position] ?? null
    else if (scales)
      dims[axis] = size === null ? null : Math.floor(Math.fround(size * Math.fround(scales[position] ?? 1)))
    else dims[axis] = null
  })
  context.set(0, type, dims)
}

function resizeTargets(context: OpContext): {
  scales?: number[] | undefined
  sizes?: (number | null)[] | undefined
} {
  const { node } = context
  if (node.attributes.some((attribute) => attribute.name === 'scales'))
    return { scales: floatsAttribute(node, 'scales') }
  if (node.inputs.length === 2) return { scales: context.known(1) }
  const sizes = context.has(3) ? context.values(3) : undefined
  if (context.has(3)) return { sizes: sizes && [...sizes] }
  return { scales: context.known(2) }
}

function commonScale(x: readonly Dim[], axes: number[], sizes: Dim[], policy: string): number | null {
  const ratios = axes.map((axis, position) => {
    const [from, to] = [x[axis]!, sizes[position] ?? null]
    return from === null || to === null ? null : to / from
  })
  if (ratios.includes(null)) return null
  return policy === 'not_larger' ? Math.min(...(ratios as number[])) : Math.max(...(ratios as number[]))
}

function roundHalfUp(value: number): number {
  return Math.floor(value + 0.5)
}

/** The type of the first input. */
const inputType = (context: OpContext): DataType => context.type(0)

/** Matrix product of two inputs that stays in the type of the first. */
export const plainProduct: ShapeRule = matmul(1, inputType)

export const layerRules: Readonly<Record<string, ShapeRule>> = {
  Conv: convolution(1, (context) => accumulatorType(context.type(0))),
  ConvInteger: convolution(1, () => DataType.INT32),
  QLinearConv: convolution(3, (context) => context.type(7)),
  ConvTranspose: convTranspose,
  MaxPool: pool(inputType),
  AveragePool: pool((context) => accumulatorType(context.type(0))),
  LpPool: pool(inputType),
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  MatMul: matmul(1, (context) => accumulatorType(context.type(0))),
  MatMulInteger: matmul(1, () => DataType.INT32),
  QLinearMatMul: matmul(3, (context) => context.type(7)),
  Gemm: gemm,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Dropout: dropout,
  Resize: resize,
  Upsample: resize,
}
