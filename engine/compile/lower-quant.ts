// Lowers AscendQuant, AscendAntiQuant, AscendDequant and CANN's weight-only product of a deploy model: what stands around
// the integer layers. docs/simulator.md, "Arithmetic", states every choice.
import { IntegerNodes } from './integer-nodes.ts'
import {
  DataType,
  elementCount,
  floatAttribute,
  intAttribute,
  makeTensor,
  stringAttribute,
  tensorBytes,
} from '../onnx/index.ts'
import type { Node } from '../onnx/index.ts'

/** Low 13 bits of a dequantisation scale are not read by the hardware (s19 format). */
const S19_MASK = 0xffffe000

/** Uint8 values are the int8 ones + 128: ONNX Runtime's integer kernels are fast with uint8 activations only. */
const UNSIGNED_SHIFT = 128

/** An integer result that waits for its AscendDequant. */
export interface Accumulator {
  channelAxis: number
  /** A mean of integers (AveragePool), held in float32. */
  float: boolean
}

export class QuantLowering extends IntegerNodes {
  /** Zero point (uint8) of each quantized value. */
  protected readonly zeroPoints = new Map<string, number>()
  protected readonly accumulators = new Map<string, Accumulator>()

  protected quant(node: Node): Node[] {
    const type = stringAttribute(node, 'dst_type', 'INT8')
    if (type !== 'INT8') throw this.refuse(node, `dst_type ${type} is not simulated`, 'dst_type INT8')
    const scale = floatAttribute(node, 'scale')
    const offset = floatAttribute(node, 'offset', 0)
    if (!Number.isInteger(offset) || offset < -128 || offset > 127) {
      throw this.refuse(node, `offset ${offset} is not an int8 value`, 'a whole offset from -128 to 127')
    }
    this.zeroPoints.set(node.outputs[0]!, UNSIGNED_SHIFT + offset)
    const mode = stringAttribute(node, 'round_mode', 'Round')
    if (mode === 'Round' && intAttribute(node, 'sqrt_mode', 0) === 0) {
      return [this.quantNode(node, node.inputs[0]!, scale, offset)]
    }
    return this.steppedQuant(node, mode, scale, offset)
  }

  private quantNode(node: Node, input: string, scale: number, offset: number): Node {
    return this.custom(node, 'AscendQuant', [input], { scale: { float: scale }, offset: { float: offset } })
  }

  /** AscendQuant with sqrt_mode or another rounding, step by step; the last one saturates. */
  private steppedQuant(node: Node, mode: string, scale: number, offset: number): Node[] {
    const nodes: Node[] = []
    const rounded = (value: string): string => (this.context.quantInHalf ? this.half(value, nodes) : value)
    const step = (opType: string, inputs: string[]): string => {
      const value = this.context.fresh(`${node.name}.${opType}`)
      nodes.push(this.plain(opType, value, inputs, value))
      return value
    }
    const constant = (label: string, value: number): string =>
      rounded(this.scalar(`${node.name}.${label}`, DataType.FLOAT, value))
    const factor = constant('scale', scale)
    let value = rounded(step('Mul', [rounded(node.inputs[0]!), factor]))
    if (intAttribute(node, 'sqrt_mode', 0) !== 0) value = rounded(step('Mul', [value, factor]))
    if (mode === 'Round') return [...nodes, this.quantNode(node, value, 1, offset)]
    value = rounded(step('Add', [value, constant('offset', offset)]))
    switch (mode) {
      case 'Floor':
      case 'Ceil':
        value = step(mode, [value])
        break
      case 'Trunc':
        value = step('Mul', [step('Sign', [value]), step('Floor', [step('Abs', [value])])])
        break
      default:
        throw this.refuse(node, `round_mode ${mode} is unknown`, 'Round, Floor, Ceil or Trunc')
    }
    return [...nodes, this.quantNode(node, value, 1, 0)]
  }

  protected antiQuant(node: Node): Node[] {
    if (!this.zeroPoints.has(node.inputs[0]!))
      throw this.refuse(node, 'its input is not quantized', 'AscendQuant')
    const attributes = {
      scale: { float: floatAttribute(node, 'scale') },
      offset: { float: floatAttribute(node, 'offset', 0) },
    }
    return [this.custom(node, 'AscendAntiQuant', [node.inputs[0]!], attributes)]
  }

  /** fp32 bits in the low half of each uint64, as the hardware reads them. */
  private dequantScales(node: Node): Float32Array {
    const parameter = this.context.graph.initializers.get(node.inputs[1] ?? '')
    if (!parameter || parameter.dataType !== DataType.UINT64) {
      throw this.refuse(node, 'its scale is not a UINT64 constant', 'a constant of fp32 bits in UINT64')
    }
    const bytes = tensorBytes(parameter)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const bits = new Uint32Array(elementCount(parameter.dims))
    for (let index = 0; index < bits.length; index++) bits[index] = view.getUint32(index * 8, true) & S19_MASK
    return new Float32Array(bits.buffer)
  }

  protected dequant(node: Node): Node[] {
    const accumulator = this.accumulators.get(node.inputs[0]!)
    if (!accumulator)
      throw this.refuse(node, 'its input is not an integer layer', 'layer -> [Add bias] -> AscendDequant')
    const scales = this.dequantScales(node)
    this.checkChannels(node, accumulator, scales.length)
    const scaleName = `${node.inputs[1]!}.s19`
    const scale = this.context.constant(
      scaleName,
      makeTensor(scaleName, DataType.FLOAT, [scales.length], scales),
    )
    const plain =
      !accumulator.float &&
      intAttribute(node, 'relu_flag', 0) === 0 &&
      intAttribute(node, 'sqrt_mode', 0) === 0
    if (!plain) return this.steppedDequant(node, accumulator, scale, scales.length)
    const attributes = { axis: accumulator.channelAxis }
    return [this.custom(node, 'AscendDequant', [node.inputs[0]!, scale], attributes)]
  }

  /**
   * AscendDequant step by step in float32: the sum, limited to zero and above with relu_flag, times the scale, with
   * sqrt_mode twice. The caller of the lowering rounds the result.
   */
  private steppedDequant(
    node: Node,
    { channelAxis, float }: Accumulator,
    scale: string,
    count: number,
  ): Node[] {
    const nodes: Node[] = []
    let value = node.inputs[0]!
    const step = (opType: string, part: string, inputs: string[], attributes = {}): void => {
      value = this.context.fresh(`${node.name}.${part}`)
      nodes.push(this.plain(opType, value, inputs, value, attributes))
    }
    const rank = this.context.dims(value)?.length ?? 0
    const behind = channelAxis < 0 ? 0 : Math.max(0, rank - channelAxis - 1)
    if (!float) step('Cast', 'float', [value], { to: DataType.FLOAT })
    if (intAttribute(node, 'relu_flag', 0) !== 0) step('Relu', 'relu', [value])
    const shaped =
      count === 1 || behind === 0
        ? scale
        : this.reshaped(scale, [count, ...Array<number>(behind).fill(1)], nodes)
    if (intAttribute(node, 'sqrt_mode', 0) !== 0) step('Mul', 'scaled', [value, shaped])
    nodes.push(this.plain('Mul', node.name, [value, shaped], node.outputs[0]!))
    return nodes
  }

  private reshaped(value: string, dims: readonly number[], nodes: Node[]): string {
    const shape = this.context.fresh(`${value}.shape`)
    this.context.constant(shape, makeTensor(shape, DataType.INT64, [dims.length], dims.map(BigInt)))
    const output = this.context.fresh(`${value}.shaped`)
    nodes.push(this.plain('Reshape', output, [value, shape], output))
    return output
  }

  /** One scale, or one per channel of the layer's result. */
  private checkChannels(node: Node, { channelAxis }: Accumulator, count: number): void {
    const channels = this.context.dims(node.inputs[0]!)?.at(channelAxis)
    if (count === 1 || channels === undefined || channels === count) return
    throw this.refuse(
      node,
      `it has ${count} scales for ${channels} channels`,
      'one scale, or one per channel of the result',
    )
  }

  /**
   * x * (weight * scale) with an INT8 weight [K, N]: the vector unit makes a binary16 weight, the cube multiplies it.
   * The weight stays INT8 in the file.
   */
  protected weightOnlyProduct(node: Node): Node[] {
    const [input = '', weight = '', scale = '', ...rest] = node.inputs
    const isInt8 = this.context.graph.initializers.get(weight)?.dataType === DataType.INT8
    if (!isInt8 || intAttribute(node, 'antiquant_group_size', 0) !== 0 || rest.some((name) => name !== '')) {
      throw this.refuse(
        node,
        'its weight is not INT8, or it has groups, offsets or a bias',
        'inputs x, INT8 weight and antiquant_scale',
      )
    }
    const wide = this.context.fresh(`${weight}.float`)
    const scaled = this.context.fresh(`${weight}.scaled`)
    const nodes = [
      this.plain('Cast', wide, [weight], wide, { to: DataType.FLOAT }),
      this.plain('Mul', scaled, [wide, scale], scaled),
    ]
    const value = this.context.half ? this.half(scaled, nodes) : scaled
    return [...nodes, this.plain('MatMul', node.name, [input, value], node.outputs[0]!)]
  }
}
