// The model for the host CPU: the deploy model's arithmetic with the integer kernels of ONNX Runtime. Same scales, same
// integer weights, exact integer sums, results in float32; only AscendQuant's rounding and dequantization are float32,
// as in the runnable twin. Products and convolutions become MatMulIntegerToFloat (domain com.microsoft, in every stock
// build of ONNX Runtime); layers that gain nothing by it compute in float32 on the quantized values.
import { FreshNames } from '../calibration/fresh-names.ts'
import {
  cloneModel,
  DataType,
  elementCount,
  floatAttribute,
  inferShapes,
  type InferredShape,
  intAttribute,
  makeNode,
  makeScalar,
  makeTensor,
  type Model,
  type Node,
  packedInt4Axis,
  removeUnusedInitializers,
  type Tensor,
  tensorBytes,
  tensorToFloat32,
  tensorToNumbers,
  unpackedDims,
} from '../onnx/index.ts'
import {
  addPatches,
  type PatchBuilder,
  productWeight,
  productWindow,
  type Window,
} from './host-cpu-products.ts'
import { unpackInt4 } from './int4.ts'
import { WEIGHT_ONLY_PRODUCT } from './weight-only.ts'
import type { WeightSpill } from './weight-spill.ts'

/** int8 -> uint8: the same grid, shifted. */
const UINT8_SHIFT = 128
const CONTRIB_DOMAIN = 'com.microsoft'

/** A quantized value: names of its scale and zero point. */
interface Quantized {
  scale: string
  zeroPoint: string
  step: number
}

/** An integer layer on the way to its AscendDequant. */
interface PendingLayer {
  node: Node
  input: Quantized
  bias?: Tensor
}

/** Operators that may stand between AscendQuant and its layer: they move values or choose among them. */
const MOVING = new Set([
  'Pad',
  'Reshape',
  'Transpose',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'MaxPool',
  'Identity',
])

class HostCpuWriter {
  readonly #model: Model
  readonly #spill: WeightSpill
  readonly #names: FreshNames
  readonly #types: ReadonlyMap<string, InferredShape>
  readonly #nodes: Node[] = []
  readonly #quantized = new Map<string, Quantized>()
  readonly #pending = new Map<string, PendingLayer>()
  /** Rows of patches and float32 values of quantized ones, shared by the layers that read them. */
  readonly #derived = new Map<string, string>()

  constructor(deploy: Model, spill: WeightSpill) {
    this.#model = cloneModel(deploy)
    this.#spill = spill
    this.#names = new FreshNames(this.#model)
    this.#types = inferShapes(deploy)
  }

  build(): Model {
    const { graph, opsetImports } = this.#model
    for (const node of graph.nodes) this.#write(node)
    graph.nodes = this.#nodes
    const integers = new Set([...this.#quantized.keys(), ...this.#pending.keys()])
    graph.valueInfo = graph.valueInfo.filter((info) => !integers.has(info.name))
    removeUnusedInitializers(graph)
    opsetImports.push({ domain: CONTRIB_DOMAIN, version: 1 })
    return this.#model
  }

  #write(node: Node): void {
    const input = node.inputs[0] ?? ''
    if (node.domain === '' && node.opType === 'AscendQuant') return this.#quantize(node)
    if (node.domain === '' && node.opType === 'AscendDequant') return this.#finish(node)
    if (node.domain === '' && node.opType === WEIGHT_ONLY_PRODUCT) return this.#weightOnly(node)
    if (this.#pending.has(input) || this.#pending.has(node.inputs[1] ?? '')) return this.#addBias(node)
    const quantized = this.#quantized.get(input)
    if (!quantized) this.#nodes.push(node)
    else if (MOVING.has(node.opType)) this.#move(node, quantized)
    else if (node.opType === 'AscendAntiQuant') this.#antiQuantize(node, quantized)
    else this.#start(node, quantized)
  }

  #isHalf(value: string): boolean {
    return this.#types.get(value)?.dataType === DataType.FLOAT16
  }

  #put(tensor: Tensor): string {
    this.#model.graph.initializers.set(tensor.name, tensor)
    return tensor.name
  }

  #add(
    opType: string,
    name: string,
    inputs: string[],
    output: string,
    attributes: Record<string, number | number[]> = {},
    domain = '',
  ): string {
    this.#nodes.push(makeNode({ opType, name, inputs, outputs: [output], attributes, domain }))
    return output
  }

  /** The quantization of one tensor, for all its readers. */
  #quantize(node: Node): void {
    const { name } = node
    const [input = ''] = node.inputs
    const [output = ''] = node.outputs
    const step = Math.fround(1 / floatAttribute(node, 'scale'))
    const scale = this.#put(makeScalar(this.#names.take(`${name}.scale`), DataType.FLOAT, step))
    const offset = floatAttribute(node, 'offset', 0) + UINT8_SHIFT
    const zeroPoint = this.#put(makeScalar(this.#names.take(`${name}.zero_point`), DataType.UINT8, offset))
    this.#quantized.set(output, { scale, zeroPoint, step })
    const wide = this.#isHalf(input)
      ? this.#add('Cast', `${name}.cast`, [input], this.#names.take(`${name}.float32`), {
          to: DataType.FLOAT,
        })
      : input
    this.#add('QuantizeLinear', name, [wide, scale, zeroPoint], output)
  }

  #antiQuantize(node: Node, quantized: Quantized): void {
    const [output = ''] = node.outputs
    const inputs = [node.inputs[0] ?? '', quantized.scale, quantized.zeroPoint]
    const half = this.#isHalf(output)
    const value = half ? this.#names.take(`${node.name}.float32`) : output
    this.#add('DequantizeLinear', node.name, inputs, value)
    if (half) this.#add('Cast', `${node.name}.cast`, [value], output, { to: DataType.FLOAT16 })
  }

  /** Padding between AscendQuant and its layer pads with the quantized zero. */
  #move(node: Node, quantized: Quantized): void {
    for (const output of node.outputs) this.#quantized.set(output, quantized)
    if (node.opType === 'Pad')
      node.inputs = [node.inputs[0]!, node.inputs[1]!, quantized.zeroPoint, ...node.inputs.slice(3)]
    this.#nodes.push(node)
  }

  #start(node: Node, input: Quantized): void {
    const bias =
      node.opType === 'MatMul' ? undefined : this.#model.graph.initializers.get(node.inputs[2] ?? '')
    this.#pending.set(node.outputs[0] ?? '', { node, input, ...(bias && { bias }) })
  }

  /** The int32 bias behind a MatMul. */
  #addBias(node: Node): void {
    const from = node.inputs.find((input) => this.#pending.has(input)) as string
    const other = node.inputs.find((input) => input !== from) ?? ''
    const bias = this.#model.graph.initializers.get(other)
    const layer = this.#pending.get(from)
    if (node.opType !== 'Add' || !bias || !layer)
      throw new Error(`${node.name}: not a layer of a deploy model`)
    this.#pending.set(node.outputs[0] ?? '', { ...layer, bias })
  }

  /** Writes a layer at its AscendDequant, where everything about it is known. */
  #finish(dequant: Node): void {
    const layer = this.#pending.get(dequant.inputs[0] ?? '')
    const parameter = this.#model.graph.initializers.get(dequant.inputs[1] ?? '')
    if (!layer || !parameter) throw new Error(`${dequant.name}: not a layer of a deploy model`)
    const scales = dequantScales(parameter)
    const [output = ''] = dequant.outputs
    const half = this.#isHalf(output)
    const relu = intAttribute(dequant, 'relu_flag', 0) !== 0
    const name = layer.node.name
    const computed = half || relu ? this.#names.take(`${name}.float32`) : output
    const written = this.#layer(layer, scales, computed)
    if (!relu && !half) return
    const positive = relu
      ? this.#add('Relu', `${name}.relu`, [written], half ? this.#names.take(`${name}.relu`) : output)
      : written
    if (half) this.#add('Cast', `${name}.cast`, [positive], output, { to: DataType.FLOAT16 })
  }

  #layer(layer: PendingLayer, scales: Float32Array, output: string): string {
    const { node } = layer
    if (node.opType === 'MatMul' || node.opType === 'Gemm') {
      const weight = this.#weight(node)
      return this.#product(layer, node.inputs[0] ?? '', this.#put(weight), scales, output)
    }
    const window = node.opType === 'Conv' ? productWindow(node, this.#weight(node).dims) : undefined
    return window ? this.#convolution(layer, window, scales, output) : this.#float(layer, scales, output)
  }

  /** The INT8 weight; INT4 ones are unpacked. */
  #weight(node: Node): Tensor {
    const stored = this.#model.graph.initializers.get(node.inputs[1] ?? '')
    if (stored?.dataType !== DataType.INT8) throw new Error(`${node.name}: its weight is not INT8`)
    const input = this.#types.get(node.inputs[0] ?? '')?.dims ?? null
    const axis = packedInt4Axis(node, stored.dims, input)
    if (axis === undefined) return stored
    const name = this.#once(`${stored.name}|unpacked`, () => {
      const dims = unpackedDims(node, stored.dims, input)
      const data = this.#spill.put(unpackInt4(tensorBytes(stored), dims, axis))
      const unpacked = this.#names.take(`${stored.name}.unpacked`)
      return this.#put({ name: unpacked, dataType: DataType.INT8, dims, data })
    })
    return this.#model.graph.initializers.get(name) as Tensor
  }

  /**
   * CANN's weight-only product: a float32 product with the weight that ONNX Runtime makes when it loads the model. A
   * DequantizeLinear would become MatMulNBits there, which quantizes the activation, too.
   */
  #weightOnly(node: Node): void {
    const [input = '', weight = '', scale = ''] = node.inputs
    const [output = ''] = node.outputs
    const { name } = node
    const half = this.#model.graph.initializers.get(scale)
    if (!half) throw new Error(`${name}: its scale is not a constant`)
    const values = tensorToFloat32(half)
    const dims = values.length === 1 ? [] : [values.length]
    const step = this.#put(makeTensor(this.#names.take(`${scale}.float32`), DataType.FLOAT, dims, values))
    const value = (part: string): string => this.#names.take(`${name}.${part}`)
    const wide = this.#add('Cast', `${name}.input_float32`, [input], value('input_float32'), {
      to: DataType.FLOAT,
    })
    const integers = this.#add('Cast', `${name}.weight`, [weight], value('weight'), { to: DataType.FLOAT })
    const real = this.#add('Mul', `${name}.weight_scale`, [integers, step], value('weight_float32'))
    const product = this.#add('MatMul', name, [wide, real], value('float32'))
    this.#add('Cast', `${name}.cast`, [product], output, { to: DataType.FLOAT16 })
  }

  /** float32 bias: whole numbers of accumulator steps, as the device adds them. */
  #bias(bias: Tensor, scales: Float32Array): string {
    const steps = tensorToNumbers(bias).map(
      (value, channel) => value * scales[scales.length === 1 ? 0 : channel]!,
    )
    const name = this.#names.take(`${bias.name}.float32`)
    return this.#put(makeTensor(name, DataType.FLOAT, [steps.length], Float32Array.from(steps)))
  }

  /** rows (uint8) x weight (int8, [K, N]) -> float32, with scale and bias per column. */
  #product(layer: PendingLayer, rows: string, weight: string, scales: Float32Array, output: string): string {
    const { node, input, bias } = layer
    const { name } = node
    const count = scales.length
    // The scale of the dequantization already holds the activation's.
    const one = this.#shared('one', () => makeScalar('', DataType.FLOAT, 1))
    const scale = this.#put(makeTensor(this.#names.take(`${name}.scale`), DataType.FLOAT, [count], scales))
    const inputs = [rows, this.#ownWeight(weight), one, scale, input.zeroPoint, '']
    if (bias) inputs.push(this.#bias(bias, scales))
    return this.#add('MatMulIntegerToFloat', name, inputs, output, {}, CONTRIB_DOMAIN)
  }

  /** A weight that no other product reads: ONNX Runtime's exact mode for processors without VNNI rewrites it in place. */
  #ownWeight(name: string): string {
    const taken = `${name}|taken`
    if (!this.#derived.has(taken)) return this.#once(taken, () => name)
    const weight = this.#model.graph.initializers.get(name) as Tensor
    return this.#put({ ...weight, name: this.#names.take(`${name}.copy`) })
  }

  #convolution(layer: PendingLayer, window: Window, scales: Float32Array, output: string): string {
    const { node, input } = layer
    const { name } = node
    const rank = window.kernel.length
    const value = node.inputs[0] ?? ''
    const dims = this.#types.get(value)?.dims ?? [null, this.#weight(node).dims[1] ?? null]
    const rows = this.#once(JSON.stringify([value, window]), () =>
      addPatches(this.#patchBuilder(name), value, dims, window, input.zeroPoint),
    )
    const weight = this.#productWeight(node)
    const product = this.#product(layer, rows, weight, scales, this.#names.take(`${name}.channels_last`))
    const spatial = window.kernel.map((_, axis) => axis + 1)
    return this.#add('Transpose', `${name}.channels_first`, [product], output, {
      perm: [0, rank + 1, ...spatial],
    })
  }

  #productWeight(node: Node): string {
    const weight = this.#weight(node)
    return this.#once(`${weight.name}|product`, () => {
      const bytes = tensorBytes(weight)
      const values = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      const [outputs = 1, ...rest] = weight.dims
      const name = this.#names.take(`${weight.name}.product`)
      const data = this.#spill.put(productWeight(values, weight.dims))
      return this.#put({ name, dataType: DataType.INT8, dims: [elementCount(rest), outputs], data })
    })
  }

  /** The layer in float32 on the quantized values: what gains nothing from integers, or has no integer kernel. */
  #float(layer: PendingLayer, scales: Float32Array, output: string): string {
    const { node, input, bias } = layer
    const value = node.inputs[0] ?? ''
    const dequantized = this.#once(`${value}|float`, () =>
      this.#add(
        'DequantizeLinear',
        this.#names.take(`${value}.dequantize`),
        [value, input.scale, input.zeroPoint],
        this.#names.take(`${value}.dequantized`),
      ),
    )
    const weight = node.opType === 'AveragePool' ? [] : [this.#floatWeight(layer, scales)]
    node.inputs = [dequantized, ...weight, ...(bias ? [this.#bias(bias, scales)] : [])]
    node.outputs = [output]
    this.#nodes.push(node)
    return output
  }

  /** Values of the integer weight in units of the quantized input, so that the sums come out at their real size. */
  #floatWeight({ node, input }: PendingLayer, scales: Float32Array): string {
    const weight = this.#weight(node)
    const bytes = tensorBytes(weight)
    const steps = Float64Array.from(scales, (scale) => scale / input.step)
    const values = new Float32Array(bytes.length)
    const [first = 1, second = 1] = weight.dims
    const transposed = node.opType === 'ConvTranspose'
    const perGroup = first / (transposed ? intAttribute(node, 'group', 1) : first)
    const inner = bytes.length / (transposed ? first * second : first)
    for (let index = 0; index < bytes.length; index++) {
      const row = Math.floor(index / inner)
      const channel = transposed
        ? Math.floor(Math.floor(row / second) / perGroup) * second + (row % second)
        : row
      values[index] = ((bytes[index]! << 24) >> 24) * steps[steps.length === 1 ? 0 : channel]!
    }
    const name = this.#names.take(`${weight.name}.float32`)
    return this.#put({ name, dataType: DataType.FLOAT, dims: weight.dims, data: this.#spill.put(values) })
  }

  /** What `make` returns, once per key. */
  #once(key: string, make: () => string): string {
    const known = this.#derived.get(key)
    if (known !== undefined) return known
    const made = make()
    this.#derived.set(key, made)
    return made
  }

  /** A constant that several layers read. */
  #shared(label: string, make: () => Tensor): string {
    return this.#once(`constant|${label}`, () =>
      this.#put({ ...make(), name: this.#names.take(`host_cpu.${label}`) }),
    )
  }

  #patchBuilder(layer: string): PatchBuilder {
    return {
      node: (opType, inputs, label, attributes = {}) => {
        const name = this.#names.take(`${layer}.${label}`)
        return this.#add(opType, name, inputs, name, attributes)
      },
      integers: (values) =>
        this.#shared(`int64.${values.join('_')}`, () =>
          makeTensor('', DataType.INT64, [values.length], BigInt64Array.from(values, BigInt)),
        ),
      indices: (label, dims, make) =>
        this.#shared(label, () => makeTensor('', DataType.INT32, [...dims], make())),
    }
  }
}

/**
 * Builds the model for the host CPU from a deploy model of this quantizer. The deploy model is not changed; rearranged
 * weights wait in `spill`, which must outlive the saving of the result.
 */
export function buildHostCpuModel(deploy: Model, spill: WeightSpill): Model {
  return new HostCpuWriter(deploy, spill).build()
}

/** fp32 bits in the low half of each uint64. */
function dequantScales(parameter: Tensor): Float32Array {
  const bytes = tensorBytes(parameter)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float32Array.from({ length: elementCount(parameter.dims) }, (_, index) =>
    view.getFloat32(index * 8, true),
  )
}
