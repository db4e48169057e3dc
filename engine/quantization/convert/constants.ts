// Quantized constants in the forms exporters write them: integers behind DequantizeLinear, floats behind a pair of Q and DQ,
// and the multiplied-out form of grouped ConvTranspose weights in our own twin.
import {
  DataType,
  elementCount,
  findAttribute,
  type Graph,
  type GraphIndex,
  intAttribute,
  intsAttribute,
  type Node,
  type Tensor,
  tensorBytes,
  tensorToFloat32,
  tensorToNumbers,
} from '../../onnx/index.ts'
import { roundHalfEven } from '../rules.ts'

/** An integer constant and how it becomes floating point. */
export interface QuantizedConstant {
  /** The constant that holds the integers (or the floats they are made from). */
  name: string
  dims: number[]
  /** Undefined until asked for: reading a large weight takes time and memory. */
  integers(): Int8Array
  /** The constant itself where it already holds these very integers as INT8. */
  stored?: Tensor
  /** One, or as many as the dimension `axis`, or one per group and channel for `axis: 'groups'`. */
  scales: Float32Array
  axis?: number | 'groups'
  /** The reader sees the matrix transposed. */
  transposed: boolean
  bits: 8 | 4
  /** Why Ascend cannot take it: a zero point, a type. */
  refused?: string
}

interface IntegerRange {
  minimum: number
  maximum: number
}

const RANGES: Partial<Record<DataType, IntegerRange>> = {
  [DataType.INT8]: { minimum: -128, maximum: 127 },
  [DataType.UINT8]: { minimum: 0, maximum: 255 },
  [DataType.INT4]: { minimum: -8, maximum: 7 },
  [DataType.UINT4]: { minimum: 0, maximum: 15 },
  [DataType.INT16]: { minimum: -32768, maximum: 32767 },
  [DataType.UINT16]: { minimum: 0, maximum: 65535 },
}

/** More hops than exporters write between a constant and its reader. */
const MAX_HOPS = 8

/** The tensor of an initializer or of a Constant node. */
export function storedConstant(graph: Graph, index: GraphIndex, name: string): Tensor | undefined {
  const stored = graph.initializers.get(name)
  if (stored) return stored
  const producer = index.producers.get(name)
  const value = producer?.opType === 'Constant' ? findAttribute(producer, 'value') : undefined
  return value?.type === 'tensor' ? { ...value.value, name } : undefined
}

export function isPair(node: Node | undefined): boolean {
  return node?.domain === '' && (node.opType === 'QuantizeLinear' || node.opType === 'DequantizeLinear')
}

function isMatrixTranspose(node: Node): boolean {
  return node.opType === 'Transpose' && intsAttribute(node, 'perm', [1, 0]).join() === '1,0'
}

/** Values of a zero point tensor; one zero when there is none. */
function zeroPoints(tensor: Tensor | undefined): number[] {
  return tensor ? tensorToNumbers(tensor) : [0]
}

/** Stored integers without a copy where they are bytes. */
function stored8(tensor: Tensor): ArrayLike<number> {
  if (tensor.dataType !== DataType.INT8 && tensor.dataType !== DataType.UINT8) return tensorToNumbers(tensor)
  const bytes = tensorBytes(tensor)
  return tensor.dataType === DataType.UINT8
    ? bytes
    : new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What is wrong with a zero point, and what to take from the stored values to make it 0. */
function shiftOf(dataType: DataType, points: readonly number[]): { shift: number } | { refused: string } {
  const unsigned = dataType === DataType.UINT8 || dataType === DataType.UINT4
  const middle = dataType === DataType.UINT8 ? 128 : 8
  const shift = unsigned ? middle : 0
  const stray = points.find((point) => point !== shift)
  if (stray === undefined) return { shift }
  return { refused: `its weight has the zero point ${stray}` }
}

/** The dimension that several scales lie on. */
function axisOf(node: Node, scales: Float32Array, dims: readonly number[]): number | undefined {
  if (scales.length === 1 || dims.length === 0) return undefined
  return (intAttribute(node, 'axis', 1) + dims.length) % dims.length
}

/** Index of the scale of every element. */
function scaleIndex(dims: readonly number[], axis: number | undefined): (flat: number) => number {
  if (axis === undefined) return () => 0
  const inner = elementCount(dims.slice(axis + 1))
  const count = dims[axis] ?? 1
  return (flat) => Math.floor(flat / inner) % count
}

/** Finds quantized constants of a graph. Valid until the graph is changed. */
export class ConstantReader {
  readonly #graph: Graph
  readonly #index: GraphIndex

  constructor(graph: Graph, index: GraphIndex) {
    this.#graph = graph
    this.#index = index
  }

  stored(name: string | undefined): Tensor | undefined {
    return name === undefined || name === '' ? undefined : storedConstant(this.#graph, this.#index, name)
  }

  /** The DequantizeLinear of a constant, directly or behind a QuantizeLinear of one. */
  isConstantDequantize(node: Node): boolean {
    if (node.opType !== 'DequantizeLinear') return false
    const input = node.inputs[0] ?? ''
    if (this.stored(input)) return true
    const quantize = this.#index.producers.get(input)
    return quantize?.opType === 'QuantizeLinear' && this.stored(quantize.inputs[0]) !== undefined
  }

  /** What a value is, when it comes from a constant that is quantized; looks through transposes and the like. */
  find(value: string): QuantizedConstant | undefined {
    let transposed = false
    let current = value
    for (let hop = 0; hop < MAX_HOPS; hop++) {
      const producer = this.#index.producers.get(current)
      if (!producer || producer.domain !== '') return undefined
      if (producer.opType === 'DequantizeLinear') {
        const constant = this.dequantized(producer)
        return constant && { ...constant, transposed: constant.transposed !== transposed }
      }
      if (producer.opType === 'Reshape') return this.#grouped(producer)
      if (isMatrixTranspose(producer)) transposed = !transposed
      else if (producer.opType !== 'Identity') return undefined
      current = producer.inputs[0] ?? ''
    }
    return undefined
  }

  /** The constant behind a DequantizeLinear. */
  dequantized(node: Node): QuantizedConstant | undefined {
    const [input = '', scaleName = '', pointName = ''] = node.inputs
    const scaleTensor = this.stored(scaleName)
    if (!scaleTensor) return undefined
    const scales = tensorToFloat32(scaleTensor)
    const quantize = this.#index.producers.get(input)
    const source = this.stored(input)
    const floats = source ? undefined : this.stored(quantize?.inputs[0])
    const tensor = source ?? floats
    if (!tensor || (!source && quantize?.opType !== 'QuantizeLinear')) return undefined
    const points = this.stored(pointName)
    const dataType = source?.dataType ?? points?.dataType ?? DataType.UINT8
    const axis = axisOf(node, scales, tensor.dims)
    const blocked = intAttribute(node, 'block_size', 0) !== 0
    const common = {
      name: tensor.name,
      dims: [...tensor.dims],
      scales,
      ...(axis !== undefined && { axis }),
      transposed: false,
      bits: dataType === DataType.INT4 || dataType === DataType.UINT4 ? (4 as const) : (8 as const),
    }
    const refuse = (refused: string): QuantizedConstant => ({
      ...common,
      refused,
      integers: () => new Int8Array(),
    })
    if (blocked) return refuse('its weight has scales per block')
    if (axis !== undefined && tensor.dims[axis] !== scales.length) {
      return refuse(`its weight has ${scales.length} scales for ${tensor.dims[axis]} channels`)
    }
    if (dataType === DataType.INT32)
      return { ...common, integers: () => new Int8Array(), refused: 'it is INT32' }
    const shift = shiftOf(dataType, zeroPoints(points))
    if ('refused' in shift) return refuse(shift.refused)
    const range = RANGES[dataType]
    if (!range || range.maximum > 255) return refuse(`its weight is not of 8 or 4 bits`)
    const integers = (): Int8Array =>
      source
        ? Int8Array.from(stored8(source), (x) => x - shift.shift)
        : quantizedFloats(tensor, scales, axis, shift.shift, range)
    return { ...common, integers, ...(source?.dataType === DataType.INT8 && { stored: source }) }
  }

  /** The floats that the DequantizeLinear of a constant gives, whatever its integers; undefined for scales per block. */
  floats(node: Node): { values: Float32Array; dims: number[] } | undefined {
    const [input = '', scaleName = '', pointName = ''] = node.inputs
    const scaleTensor = this.stored(scaleName)
    const source = this.stored(input)
    const floats = source ? undefined : this.stored(this.#index.producers.get(input)?.inputs[0])
    const tensor = source ?? floats
    if (!scaleTensor || !tensor || intAttribute(node, 'block_size', 0) !== 0) return undefined
    const scales = tensorToFloat32(scaleTensor)
    const point = this.stored(pointName)
    const points = zeroPoints(point)
    const { dims } = tensor
    const axis = axisOf(node, scales, dims)
    const scaleOf = scaleIndex(dims, axis)
    const pointOf = (flat: number): number => points[points.length === 1 ? 0 : scaleOf(flat)] ?? 0
    const { minimum, maximum } = RANGES[point?.dataType ?? DataType.UINT8] ?? { minimum: 0, maximum: 255 }
    const integers = source
      ? stored8(source)
      : tensorToFloat32(tensor).map((x, flat) => {
          const q = roundHalfEven(Math.fround(x / (scales[scaleOf(flat)] as number))) + pointOf(flat)
          return Math.min(maximum, Math.max(minimum, q))
        })
    const values = Float32Array.from(
      integers,
      (q, flat) => (q - pointOf(flat)) * (scales[scaleOf(flat)] as number),
    )
    return { values, dims: [...dims] }
  }

  /** Cast, Reshape, Mul, Reshape: scales on two axes, as our twin writes grouped ConvTranspose weights. */
  #grouped(join: Node): QuantizedConstant | undefined {
    const multiply = this.#index.producers.get(join.inputs[0] ?? '')
    const split = this.#index.producers.get(multiply?.inputs[0] ?? '')
    const cast = this.#index.producers.get(split?.inputs[0] ?? '')
    const types = [multiply?.opType, split?.opType, cast?.opType].join()
    const scales = this.stored(multiply?.inputs[1])
    const stored = this.stored(cast?.inputs[0])
    if (types !== 'Mul,Reshape,Cast' || !scales || stored?.dataType !== DataType.INT8) return undefined
    const [groups = 1, ones, perGroup = 1] = scales.dims
    if (ones !== 1 || perGroup !== stored.dims[1] || elementCount(scales.dims) !== groups * perGroup)
      return undefined
    return {
      name: stored.name,
      dims: [...stored.dims],
      scales: tensorToFloat32(scales),
      axis: 'groups',
      transposed: false,
      bits: 8,
      stored,
      integers: () => Int8Array.from(stored8(stored)),
    }
  }
}

/** QuantizeLinear of a constant: saturate(round(x / scale) + zero point), here with the zero point taken off again. */
function quantizedFloats(
  tensor: Tensor,
  scales: Float32Array,
  axis: number | undefined,
  zeroPoint: number,
  range: IntegerRange,
): Int8Array {
  const scaleOf = scaleIndex(tensor.dims, axis)
  return Int8Array.from(tensorToFloat32(tensor), (x, flat) => {
    const q = roundHalfEven(Math.fround(x / (scales[scaleOf(flat)] as number))) + zeroPoint
    return Math.min(range.maximum, Math.max(range.minimum, q)) - zeroPoint
  })
}
