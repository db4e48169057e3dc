// A slow, separate reading of the deploy format: plain loops over integers, written from the operators' definitions
// (AscendQuant: round(x * scale + offset), integer layer with int32 sums, AscendDequant: sum * fp32 scale), sharing no
// code with the quantizer. The offset is subtracted in the layer and padding is the quantized zero, as the Graph Engine
// arranges it when it compiles.
import {
  DataType,
  floatAttribute,
  intAttribute,
  intsAttribute,
  type Model,
  type Node,
  roundToFloat16,
  stringAttribute,
  tensorBytes,
  tensorToNumbers,
} from '../../../engine/onnx/index.ts'

export interface Value {
  dims: number[]
  data: number[]
  /** Offset of a quantized tensor. */
  offset?: number
}

function bankersRound(x: number): number {
  const floor = Math.floor(x)
  const rest = x - floor
  if (rest !== 0.5) return Math.round(x)
  return floor % 2 === 0 ? floor : floor + 1
}

function* indices(dims: readonly number[]): Generator<number[]> {
  const total = dims.reduce((product, dim) => product * dim, 1)
  for (let flat = 0; flat < total; flat++) {
    let rest = flat
    yield dims
      .toReversed()
      .map((dim) => {
        const index = rest % dim
        rest = Math.floor(rest / dim)
        return index
      })
      .reverse()
  }
}

function at(value: Value, index: readonly number[]): number {
  let flat = 0
  for (let axis = 0; axis < index.length; axis++) {
    const position = index[axis] as number
    if (position < 0 || position >= (value.dims[axis] as number)) return value.offset ?? 0
    flat = flat * (value.dims[axis] as number) + position
  }
  return value.data[flat] as number
}

function quant(node: Node, x: Value): Value {
  const [scale, offset] = [floatAttribute(node, 'scale'), floatAttribute(node, 'offset')]
  if (stringAttribute(node, 'dst_type') !== 'INT8') throw new Error('dst_type')
  const data = x.data.map((value) => {
    const scaled = Math.fround(Math.fround(value * scale) + offset)
    return Math.min(127, Math.max(-128, bankersRound(scaled)))
  })
  return { dims: x.dims, data, offset }
}

/** Two integers per byte along `axis`, the first in the low nibble, where the weight has half of the input's channels. */
function unpacked(weight: Value, axis: number, channels: number): Value {
  if ((weight.dims[axis] as number) * 2 !== channels) return weight
  const dims = weight.dims.with(axis, channels)
  const nibble = (byte: number, high: boolean): number => {
    const bits = (high ? byte >> 4 : byte) & 15
    return bits > 7 ? bits - 16 : bits
  }
  const data = [...indices(dims)].map((index) => {
    const channel = index[axis] as number
    return nibble(at(weight, index.with(axis, channel >> 1)), channel % 2 === 1)
  })
  return { dims, data }
}

/** Mean of q - offset over the window; places outside count as the quantized zero where they count at all. */
function averagePool(node: Node, x: Value): Value {
  const kernel = intsAttribute(node, 'kernel_shape')
  const rank = kernel.length
  const strides = intsAttribute(node, 'strides', Array<number>(rank).fill(1))
  const pads = intsAttribute(node, 'pads', Array<number>(2 * rank).fill(0))
  const all = intAttribute(node, 'count_include_pad', 0) === 1
  const spatial = kernel.map((size, axis) => {
    const padded = (x.dims[axis + 2] as number) + (pads[axis] as number) + (pads[axis + rank] as number)
    return Math.floor((padded - size) / (strides[axis] as number)) + 1
  })
  const dims = [...x.dims.slice(0, 2), ...spatial]
  const data = [...indices(dims)].map(([n = 0, c = 0, ...place]) => {
    let [sum, count] = [0, 0]
    for (const tap of indices(kernel)) {
      const source = tap.map(
        (k, axis) => (place[axis] as number) * (strides[axis] as number) - (pads[axis] as number) + k,
      )
      const inside = source.every((at, axis) => at >= 0 && at < (x.dims[axis + 2] as number))
      if (inside || all) count++
      sum += at(x, [n, c, ...source]) - (x.offset ?? 0)
    }
    return sum / count
  })
  return { dims, data }
}

/** Constant padding with the quantized zero. */
function pad(x: Value, amounts: readonly number[]): Value {
  const rank = x.dims.length
  const dims = x.dims.map((dim, axis) => dim + (amounts[axis] as number) + (amounts[axis + rank] as number))
  const data = [...indices(dims)].map((index) =>
    at(
      x,
      index.map((place, axis) => place - (amounts[axis] as number)),
    ),
  )
  return { dims, data, ...(x.offset !== undefined && { offset: x.offset }) }
}

/** CANN's WeightQuantBatchMatmulV2 on a matrix: x * (weight * scale), summed in float64. */
function weightOnlyProduct(x: Value, weight: Value, scale: Value): Value {
  const [rows = 0, depth = 0] = x.dims
  const [, columns = 0] = weight.dims
  const data = [...indices([rows, columns])].map(([row = 0, column = 0]) => {
    let sum = 0
    for (let k = 0; k < depth; k++) sum += at(x, [row, k]) * at(weight, [k, column])
    return sum * (scale.data[scale.data.length === 1 ? 0 : column] as number)
  })
  return { dims: [rows, columns], data }
}

function reshape(x: Value, wanted: readonly number[]): Value {
  const known = wanted.filter((dim) => dim > 0).reduce((product, dim) => product * dim, 1)
  return { dims: wanted.map((dim) => (dim > 0 ? dim : x.data.length / known)), data: x.data }
}

function convolve(node: Node, x: Value, weight: Value, bias: Value | undefined): Value {
  const rank = x.dims.length - 2
  const ones = Array<number>(rank).fill(1)
  const [strides, dilations] = [intsAttribute(node, 'strides', ones), intsAttribute(node, 'dilations', ones)]
  const pads = intsAttribute(node, 'pads', Array<number>(2 * rank).fill(0))
  const group = intAttribute(node, 'group', 1)
  const [outputs = 0, inputsPerGroup = 0, ...kernel] = weight.dims
  const spatial = kernel.map((size, axis) => {
    const padded = (x.dims[axis + 2] as number) + (pads[axis] as number) + (pads[axis + rank] as number)
    return (
      Math.floor((padded - ((size - 1) * (dilations[axis] as number) + 1)) / (strides[axis] as number)) + 1
    )
  })
  const dims = [x.dims[0] as number, outputs, ...spatial]
  const data: number[] = []
  for (const [n = 0, c = 0, ...place] of indices(dims)) {
    let sum = bias?.data[c] ?? 0
    const firstInput = Math.floor(c / (outputs / group)) * inputsPerGroup
    for (const [i = 0, ...tap] of indices([inputsPerGroup, ...kernel])) {
      const source = tap.map(
        (k, axis) =>
          (place[axis] as number) * (strides[axis] as number) -
          (pads[axis] as number) +
          k * (dilations[axis] as number),
      )
      sum += (at(x, [n, firstInput + i, ...source]) - (x.offset ?? 0)) * at(weight, [c, i, ...tap])
    }
    data.push(sum)
  }
  return { dims, data }
}

/** Scatter form, from the definition: every input element adds its kernel to the output. */
function convolveTransposed(node: Node, x: Value, weight: Value, bias: Value | undefined): Value {
  const rank = x.dims.length - 2
  const strides = intsAttribute(node, 'strides', Array<number>(rank).fill(1))
  const pads = intsAttribute(node, 'pads', Array<number>(2 * rank).fill(0))
  const group = intAttribute(node, 'group', 1)
  const [inputs = 0, outputsPerGroup = 0, ...kernel] = weight.dims
  const spatial = kernel.map(
    (size, axis) =>
      ((x.dims[axis + 2] as number) - 1) * (strides[axis] as number) +
      size -
      (pads[axis] as number) -
      (pads[axis + rank] as number),
  )
  const dims = [x.dims[0] as number, outputsPerGroup * group, ...spatial]
  const size = spatial.reduce((product, dim) => product * dim, 1)
  const data = Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, (_, flat) => {
    return bias?.data[Math.floor(flat / size) % (dims[1] as number)] ?? 0
  })
  for (const [n = 0, i = 0, ...place] of indices(x.dims)) {
    const value = at(x, [n, i, ...place]) - (x.offset ?? 0)
    const firstOutput = Math.floor(i / (inputs / group)) * outputsPerGroup
    for (const [o = 0, ...tap] of indices([outputsPerGroup, ...kernel])) {
      const target = tap.map(
        (k, axis) => (place[axis] as number) * (strides[axis] as number) - (pads[axis] as number) + k,
      )
      if (target.some((position, axis) => position < 0 || position >= (spatial[axis] as number))) continue
      const flat = target.reduce(
        (index, position, axis) => index * (spatial[axis] as number) + position,
        n * (dims[1] as number) + firstOutput + o,
      )
      data[flat] = (data[flat] as number) + value * at(weight, [i, o, ...tap])
    }
  }
  return { dims, data }
}

function multiply(x: Value, weight: Value, bias: Value | undefined): Value {
  const [depth = 0, columns = 0] = weight.dims
  const rows = x.data.length / depth
  const data: number[] = []
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = bias?.data[column] ?? 0
      for (let k = 0; k < depth; k++) {
        const q = (x.data[row * depth + k] as number) - (x.offset ?? 0)
        sum += q * (weight.data[k * columns + column] as number)
      }
      data.push(sum)
    }
  }
  return { dims: [...x.dims.slice(0, -1), columns], data }
}

function dequant(x: Value, bits: BigUint64Array): Value {
  const scales = Array.from(bits, (value) => {
    if (value >> 32n !== 0n) throw new Error('high half of a dequantization parameter is not zero')
    return new Float32Array(Uint32Array.of(Number(value)).buffer)[0] as number
  })
  const inner = x.dims.slice(2).reduce((product, dim) => product * dim, 1)
  const data = x.data.map((value, flat) => {
    const channel = scales.length === 1 ? 0 : Math.floor(flat / inner) % scales.length
    return Math.fround(value * (scales[channel] as number))
  })
  return { dims: x.dims, data }
}

/** Runs a deploy model of quantized layers, weight-only products, Relu, Add of equal shapes and nothing else. Throws on float weights in integer layers. */
export function runDeployModel(model: Model, inputs: Record<string, Value>): Map<string, Value> {
  const values = new Map(Object.entries(inputs))
  const { initializers } = model.graph
  const constant = (name: string, type: DataType): Value => {
    const tensor = initializers.get(name)
    if (tensor?.dataType !== type)
      throw new Error(`${name}: expected data type ${type}, found ${tensor?.dataType}`)
    return { dims: tensor.dims, data: tensorToNumbers(tensor) }
  }
  for (const node of model.graph.nodes) {
    const [first = '', second = '', third = ''] = node.inputs
    const x = values.get(first) as Value
    const operand = (type: DataType): Value => values.get(second) ?? constant(second, type)
    const weight = (axis: number, groups = 1): Value => {
      const channels = x.dims[axis === 0 && node.opType !== 'ConvTranspose' ? x.dims.length - 1 : 1] as number
      return unpacked(constant(second, DataType.INT8), axis, channels / groups)
    }
    const integerBias = third !== '' && initializers.get(third)?.dataType === DataType.INT32
    const bias = integerBias ? constant(third, DataType.INT32) : undefined
    const results: Record<string, () => Value> = {
      AscendQuant: () => quant(node, x),
      AscendDequant: () =>
        dequant(x, new BigUint64Array(tensorBytes(initializers.get(second)!).slice().buffer)),
      AscendAntiQuant: () => {
        const [scale, offset] = [floatAttribute(node, 'scale'), floatAttribute(node, 'offset')]
        return { dims: x.dims, data: x.data.map((value) => Math.fround((value - offset) * scale)) }
      },
      Conv: () => convolve(node, x, weight(1, intAttribute(node, 'group', 1)), bias),
      ConvTranspose: () => convolveTransposed(node, x, weight(0), bias),
      Gemm: () => multiply(x, weight(0), bias),
      MatMul: () => multiply(x, weight(0), undefined),
      Relu: () => ({ dims: x.dims, data: x.data.map((value) => Math.max(value, 0)) }),
      AveragePool: () => averagePool(node, x),
      Pad: () => pad(x, constant(second, DataType.INT64).data),
      NPUWeightQuantBatchMatmulV2: () =>
        weightOnlyProduct(x, constant(second, DataType.INT8), constant(third, DataType.FLOAT16)),
      Cast: () => {
        const half = intAttribute(node, 'to') === DataType.FLOAT16
        return half ? { dims: x.dims, data: [...roundToFloat16(Float32Array.from(x.data))] } : x
      },
      Reshape: () => reshape(x, operand(DataType.INT64).data),
      Shape: () => ({ dims: [x.dims.length], data: x.dims }),
      Slice: () => ({ dims: [x.data.length - 1], data: x.data.slice(0, -1) }),
      Concat: () => {
        const data = [...x.data, ...operand(DataType.INT64).data]
        return { dims: [data.length], data }
      },
      Add: () => {
        const float = initializers.get(second)?.dataType === DataType.FLOAT
        const added = values.get(second) ?? constant(second, float ? DataType.FLOAT : DataType.INT32)
        return {
          dims: x.dims,
          data: x.data.map((value, flat) => value + (added.data[flat % added.data.length] as number)),
        }
      },
    }
    const run = results[node.opType]
    if (!run) throw new Error(`no rule for ${node.opType}`)
    values.set(node.outputs[0] as string, run())
  }
  return values
}
