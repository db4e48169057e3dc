// A slow scalar reading of a deploy model as the NPU computes it, written from the definitions and sharing no arithmetic
// with the product: binary16 by search in the list of all its values, integers as whole Numbers, plain loops over
// coordinates. docs/simulator.md, "Arithmetic", is the specification.
import {
  type DataType,
  DataType as Type,
  floatAttribute,
  intAttribute,
  intsAttribute,
  type Model,
  type Node,
  stringAttribute,
  type Tensor,
  tensorBytes,
  tensorToNumbers,
} from '../../../engine/onnx/index.ts'

export interface Value {
  dims: number[]
  data: number[]
  /** Of a quantized value: what stands for zero. */
  offset?: number
}

/** All finite binary16 numbers from 0 up: 2^-24 steps below 2^-14, then 1024 steps per power of two. */
const HALVES: readonly number[] = Array.from({ length: 0x7c00 }, (_, bits) => {
  const [exponent, mantissa] = [bits >> 10, bits & 0x3ff]
  return exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25)
})

/** The nearest binary16 number, ties to the even mantissa; beyond the largest one, the largest one. */
export function half(value: number): number {
  if (Number.isNaN(value)) return value
  const magnitude = Math.abs(value)
  let [low, high] = [0, HALVES.length - 1]
  if (magnitude >= HALVES[high]!) return Math.sign(value) * HALVES[high]!
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (HALVES[middle]! <= magnitude) low = middle
    else high = middle
  }
  const [below, above] = [magnitude - HALVES[low]!, HALVES[high]! - magnitude]
  const nearest = below < above || (below === above && low % 2 === 0) ? low : high
  // The sign of a zero stays.
  return value < 0 || Object.is(value, -0) ? -HALVES[nearest]! : HALVES[nearest]!
}

/** The nearest whole number, ties to even. */
function whole(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1
}

function saturate(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value
}

const INT32 = [-(2 ** 31), 2 ** 31 - 1] as const

function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1)
}

/** Every coordinate of a box, the last axis fastest. */
function coordinates(dims: readonly number[]): number[][] {
  let all: number[][] = [[]]
  for (const size of dims) {
    all = all.flatMap((prefix) => Array.from({ length: size }, (_, place) => [...prefix, place]))
  }
  return all
}

function flat(dims: readonly number[], place: readonly number[]): number {
  return place.reduce((index, coordinate, axis) => index * dims[axis]! + coordinate, 0)
}

/** Two integers of neighbouring input channels in each byte, the first in the low four bits. */
function unpacked(stored: Value, axis: number): Value {
  const dims = stored.dims.with(axis, stored.dims[axis]! * 2)
  const data = coordinates(dims).map((place) => {
    const channel = place[axis]!
    const byte = stored.data[flat(stored.dims, place.with(axis, channel >> 1))]! & 0xff
    const bits = channel % 2 === 0 ? byte % 16 : Math.floor(byte / 16)
    return bits < 8 ? bits : bits - 16
  })
  return { dims, data }
}

interface Window {
  strides: number[]
  dilations: number[]
  begin: number[]
  end: number[]
}

function windowOf(node: Node, rank: number): Window {
  const pads = intsAttribute(node, 'pads', Array<number>(2 * rank).fill(0))
  return {
    strides: intsAttribute(node, 'strides', Array<number>(rank).fill(1)),
    dilations: intsAttribute(node, 'dilations', Array<number>(rank).fill(1)),
    begin: pads.slice(0, rank),
    end: pads.slice(rank),
  }
}

export class ScalarNpu {
  readonly #model: Model
  readonly #halfQuant: boolean
  readonly #half: boolean
  readonly #values = new Map<string, Value>()

  /** @param options `half`: floating-point results are binary16. `halfQuant`: AscendQuant computes in binary16. */
  constructor(model: Model, options: { half: boolean; halfQuant: boolean }) {
    this.#model = model
    this.#half = options.half
    this.#halfQuant = options.halfQuant
  }

  run(inputs: Record<string, Value>): Map<string, Value> {
    for (const [name, value] of Object.entries(inputs)) {
      this.#values.set(name, { ...value, data: value.data.map((x) => this.#result(x)) })
    }
    for (const node of this.#model.graph.nodes) this.#values.set(node.outputs[0]!, this.#compute(node))
    return this.#values
  }

  /** A floating-point result as it is stored. */
  #result(value: number): number {
    return this.#half ? half(value) : Math.fround(value)
  }

  #tensor(name: string, type: DataType): Tensor {
    const tensor = this.#model.graph.initializers.get(name)
    if (tensor?.dataType !== type) throw new Error(`${name} has another type`)
    return tensor
  }

  #compute(node: Node): Value {
    const x = this.#values.get(node.inputs[0]!)
    if (!x) throw new Error(`${node.name} reads something unknown`)
    switch (node.opType) {
      case 'AscendQuant':
        return this.#quant(node, x)
      case 'AscendDequant':
        return this.#dequant(node, x)
      case 'AscendAntiQuant':
        return this.#antiQuant(node, x)
      case 'Conv':
        return this.#biased(this.#conv(node, x), node.inputs[2], 1)
      case 'ConvTranspose':
        return this.#biased(this.#convTranspose(node, x), node.inputs[2], 1)
      case 'Gemm':
        return this.#biased(this.#matMul(node, x), node.inputs[2], -1)
      case 'MatMul':
        return this.#matMul(node, x)
      case 'Add':
        return this.#biased(x, node.inputs[1], -1)
      case 'AveragePool':
        return this.#averagePool(node, x)
      case 'Relu':
        return { ...x, data: x.data.map((value) => (value > 0 ? value : 0)) }
      default:
        throw new Error(`no rule for ${node.opType}`)
    }
  }

  #quant(node: Node, x: Value): Value {
    // float32 attributes; a product or sum of two float32 numbers, rounded once, is exact arithmetic in float64 first.
    const step = (value: number): number => (this.#halfQuant ? half(value) : Math.fround(value))
    const [scale, offset] = [step(floatAttribute(node, 'scale')), step(floatAttribute(node, 'offset', 0))]
    const mode = stringAttribute(node, 'round_mode', 'Round')
    const round = { Round: whole, Floor: Math.floor, Ceil: Math.ceil, Trunc: Math.trunc }[mode]
    if (!round) throw new Error(mode)
    const data = x.data.map((value) => {
      let scaled = step(step(value) * scale)
      if (intAttribute(node, 'sqrt_mode', 0) !== 0) scaled = step(scaled * scale)
      const shifted = step(scaled + offset)
      return Number.isNaN(shifted) ? 0 : round(saturate(shifted, -128, 127))
    })
    return { dims: x.dims, data, offset: floatAttribute(node, 'offset', 0) }
  }

  #antiQuant(node: Node, x: Value): Value {
    const step = (value: number): number => this.#result(value)
    const [scale, offset] = [step(floatAttribute(node, 'scale')), step(floatAttribute(node, 'offset', 0))]
    return { dims: x.dims, data: x.data.map((q) => step(step(q - offset) * scale)) }
  }

  /** The sum times the top 19 bits of the scale, in float32. */
  #dequant(node: Node, x: Value): Value {
    const bytes = tensorBytes(this.#tensor(node.inputs[1]!, Type.UINT64))
    const scales = Array.from({ length: bytes.length / 8 }, (_, index) => {
      const word = new DataView(new ArrayBuffer(4))
      for (let byte = 0; byte < 4; byte++) word.setUint8(byte, bytes[index * 8 + byte]!)
      word.setUint32(0, Math.floor(word.getUint32(0, true) / 8192) * 8192, true)
      return word.getFloat32(0, true)
    })
    const axis = this.#channelAxis(node.inputs[0]!) === 1 ? 1 : x.dims.length - 1
    const inner = product(x.dims.slice(axis + 1))
    const data = x.data.map((sum, index) => {
      const scale = scales.length === 1 ? scales[0]! : scales[Math.floor(index / inner) % scales.length]!
      let scaled = Math.fround(Math.fround(sum) * scale)
      if (intAttribute(node, 'sqrt_mode', 0) !== 0) scaled = Math.fround(scaled * scale)
      const stored = this.#result(scaled)
      return intAttribute(node, 'relu_flag', 0) !== 0 && !(stored > 0) ? 0 : stored
    })
    return { dims: x.dims, data }
  }

  #channelAxis(value: string): number {
    const layer = this.#model.graph.nodes.find((node) => node.outputs[0] === value)
    if (layer?.opType === 'Add') return this.#channelAxis(layer.inputs[0]!)
    return layer?.opType === 'Gemm' || layer?.opType === 'MatMul' ? -1 : 1
  }

  /** The int32 bias, added to the whole sum at the end; the result saturates. */
  #biased(sums: Value, name: string | undefined, axis: number): Value {
    const bias = name ? tensorToNumbers(this.#tensor(name, Type.INT32)) : undefined
    const inner = axis === 1 ? product(sums.dims.slice(2)) : 1
    const data = sums.data.map((sum, index) =>
      saturate(sum + (bias?.[Math.floor(index / inner) % bias.length] ?? 0), ...INT32),
    )
    return { dims: sums.dims, data }
  }

  #weight(node: Node, inputChannels: number): Value {
    const tensor = this.#tensor(node.inputs[1]!, Type.INT8)
    const stored = { dims: tensor.dims, data: tensorToNumbers(tensor) }
    const axis = node.opType === 'Conv' ? 1 : 0
    const expected = inputChannels / (node.opType === 'Conv' ? intAttribute(node, 'group', 1) : 1)
    return stored.dims[axis] === expected ? stored : unpacked(stored, axis)
  }

  #conv(node: Node, x: Value): Value {
    const weight = this.#weight(node, x.dims[1]!)
    const [outputs = 1, inputs = 1, ...kernel] = weight.dims
    const { strides, dilations, begin, end } = windowOf(node, kernel.length)
    const group = intAttribute(node, 'group', 1)
    const spatial = kernel.map((size, axis) => {
      const room = x.dims[axis + 2]! + begin[axis]! + end[axis]! - (dilations[axis]! * (size - 1) + 1)
      return Math.floor(room / strides[axis]!) + 1
    })
    const dims = [x.dims[0]!, outputs, ...spatial]
    const taps = coordinates([inputs, ...kernel])
    const data = coordinates(dims).map(([batch = 0, output = 0, ...place]) => {
      const first = Math.floor(output / (outputs / group)) * inputs
      let sum = 0
      for (const [input = 0, ...tap] of taps) {
        const source = place.map(
          (p, axis) => p * strides[axis]! + tap[axis]! * dilations[axis]! - begin[axis]!,
        )
        if (source.some((s, axis) => s < 0 || s >= x.dims[axis + 2]!)) continue
        const q = x.data[flat(x.dims, [batch, first + input, ...source])]! - x.offset!
        sum += q * weight.data[flat(weight.dims, [output, input, ...tap])]!
      }
      return sum
    })
    return { dims, data }
  }

  #convTranspose(node: Node, x: Value): Value {
    const weight = this.#weight(node, x.dims[1]!)
    const [inputs = 1, perGroup = 1, ...kernel] = weight.dims
    const { strides, dilations, begin, end } = windowOf(node, kernel.length)
    const group = intAttribute(node, 'group', 1)
    const extra = intsAttribute(
      node,
      'output_padding',
      kernel.map(() => 0),
    )
    const spatial = kernel.map(
      (size, axis) =>
        strides[axis]! * (x.dims[axis + 2]! - 1) +
        dilations[axis]! * (size - 1) +
        1 -
        begin[axis]! -
        end[axis]! +
        extra[axis]!,
    )
    const dims = [x.dims[0]!, perGroup * group, ...spatial]
    const data = Array<number>(product(dims)).fill(0)
    for (const [batch = 0, input = 0, ...place] of coordinates(x.dims)) {
      const q = x.data[flat(x.dims, [batch, input, ...place])]! - x.offset!
      const first = Math.floor(input / (inputs / group)) * perGroup
      for (const [output = 0, ...tap] of coordinates([perGroup, ...kernel])) {
        const target = place.map(
          (p, axis) => p * strides[axis]! + tap[axis]! * dilations[axis]! - begin[axis]!,
        )
        if (target.some((t, axis) => t < 0 || t >= spatial[axis]!)) continue
        data[flat(dims, [batch, first + output, ...target])]! +=
          q * weight.data[flat(weight.dims, [input, output, ...tap])]!
      }
    }
    return { dims, data }
  }

  #matMul(node: Node, x: Value): Value {
    const weight = this.#weight(node, x.dims.at(-1)!)
    const [depth = 1, columns = 1] = weight.dims
    const dims = [...x.dims.slice(0, -1), columns]
    const data = coordinates(dims).map((place) => {
      let sum = 0
      for (let k = 0; k < depth; k++) {
        const q = x.data[flat(x.dims, [...place.slice(0, -1), k])]! - x.offset!
        sum += q * weight.data[k * columns + place.at(-1)!]!
      }
      return sum
    })
    return { dims, data }
  }

  /** The float32 mean of the integers; the padding counts where count_include_pad says so, and holds zeros. */
  #averagePool(node: Node, x: Value): Value {
    const kernel = intsAttribute(node, 'kernel_shape')
    const { strides, begin, end } = windowOf(node, kernel.length)
    const includesPads = intAttribute(node, 'count_include_pad', 0) !== 0
    const spatial = kernel.map(
      (size, axis) => Math.floor((x.dims[axis + 2]! + begin[axis]! + end[axis]! - size) / strides[axis]!) + 1,
    )
    const dims = [...x.dims.slice(0, 2), ...spatial]
    const data = coordinates(dims).map(([batch = 0, channel = 0, ...place]) => {
      let [sum, count] = [0, 0]
      for (const tap of coordinates(kernel)) {
        const source = place.map((p, axis) => p * strides[axis]! + tap[axis]! - begin[axis]!)
        if (source.some((s, axis) => s < 0 || s >= x.dims[axis + 2]!)) continue
        sum += x.data[flat(x.dims, [batch, channel, ...source])]! - x.offset!
        count++
      }
      return Math.fround(sum / (includesPads ? product(kernel) : count))
    })
    return { dims, data }
  }
}
