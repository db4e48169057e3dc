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

/** Runs a deploy model of quantized layers, Relu, Add and nothing else. Throws on float weights in integer layers. */
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
    const bias = third === '' ? undefined : constant(third, DataType.INT32)
    const results: Record<string, () => Value> = {
      AscendQuant: () => quant(node, x),
      AscendDequant: () =>
        dequant(x, new BigUint64Array(tensorBytes(initializers.get(second)!).slice().buffer)),
      Conv: () => convolve(node, x, constant(second, DataType.INT8), bias),
      ConvTranspose: () => convolveTransposed(node, x, constant(second, DataType.INT8), bias),
      Gemm: () => multiply(x, constant(second, DataType.INT8), bias),
      MatMul: () => multiply(x, constant(second, DataType.INT8), undefined),
      Relu: () => ({ dims: x.dims, data: x.data.map((value) => Math.max(value, 0)) }),
      Add: () => {
        const added = constant(second, DataType.INT32)
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
