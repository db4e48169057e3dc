// Lowers the Ascend* nodes of a deploy model to operators that the simulated runtime executes exactly: integer
// convolutions and products, int32 bias, dequantisation with the scale as the hardware reads it.
import { IntegerNodes, largestWeightSum } from './integer-nodes.ts'
import { MOVE_OPS, FREE_OPS } from '../cost/op-classes.ts'
import {
  DataType,
  elementCount,
  findAttribute,
  floatAttribute,
  intAttribute,
  makeTensor,
  stringAttribute,
  tensorBytes,
} from '../onnx/index.ts'
import type { Node } from '../onnx/index.ts'

/** Low 13 bits of a dequantisation scale are not read by the hardware (s19 format). */
const S19_MASK = 0xffffe000

/** float32 holds integers exactly up to here. */
const EXACT_FLOAT_INTEGER = 2 ** 24
const MAX_UINT8 = 255
/** Largest magnitude of the high and the low half of a centred value. */
const HALF_BYTE = 16

/** Uint8 values are the int8 ones + 128: ONNX Runtime's integer kernels are fast with uint8 activations only. */
const UNSIGNED_SHIFT = 128

/** Kinds of integer results that wait for their AscendDequant. */
type Accumulator = { channelAxis: number; float: boolean }

export class DeployLowering extends IntegerNodes {
  /** Zero point (uint8) of each quantized value. */
  private readonly zeroPoints = new Map<string, number>()
  private readonly accumulators = new Map<string, Accumulator>()

  /** Payload nodes for a node, or null when it stays as it is. @throws E_COMPILE_DEPLOY */
  lower(node: Node): Node[] | null {
    if (node.domain !== '') return null
    switch (node.opType) {
      case 'AscendQuant':
        return this.quant(node)
      case 'AscendDequant':
        return this.dequant(node)
      case 'AscendAntiQuant':
        return this.antiQuant(node)
    }
    const zeroPoint = this.zeroPoints.get(node.inputs[0] ?? '')
    if (zeroPoint === undefined) return this.passAccumulator(node)
    switch (node.opType) {
      case 'Conv':
        return this.conv(node, zeroPoint)
      case 'ConvTranspose':
        return this.convTranspose(node, zeroPoint)
      case 'MatMul':
        return this.product(node, zeroPoint, node.outputs[0]!)
      case 'Gemm':
        return this.gemm(node, zeroPoint)
      case 'AveragePool':
        return this.averagePool(node, zeroPoint)
      case 'Pad':
        return this.pad(node, zeroPoint)
    }
    if (!MOVE_OPS.has(node.opType) && !FREE_OPS.has(node.opType) && node.opType !== 'MaxPool') {
      throw this.refuse(
        node,
        'it cannot compute on quantized values',
        'AscendQuant -> layer -> AscendDequant',
      )
    }
    for (const output of node.outputs) this.zeroPoints.set(output, zeroPoint)
    return null
  }

  private checkInt8(node: Node): void {
    const type = findAttribute(node, 'dst_type') ? stringAttribute(node, 'dst_type') : 'INT8'
    if (type !== 'INT8') throw this.refuse(node, `dst_type ${type} is not simulated`, 'dst_type INT8')
    if (intAttribute(node, 'sqrt_mode', 0) !== 0) throw this.refuse(node, 'sqrt_mode is set', 'sqrt_mode 0')
  }

  private quant(node: Node): Node[] {
    this.checkInt8(node)
    const scale = floatAttribute(node, 'scale')
    const offset = floatAttribute(node, 'offset', 0)
    if (!Number.isInteger(offset) || offset < -128 || offset > 127) {
      throw this.refuse(node, `offset ${offset} is not an int8 value`, 'a whole offset from -128 to 127')
    }
    this.zeroPoints.set(node.outputs[0]!, UNSIGNED_SHIFT + offset)
    return [
      this.custom(node, 'AscendQuant', [node.inputs[0]!], {
        scale: { float: scale },
        offset: { float: offset },
      }),
    ]
  }

  private antiQuant(node: Node): Node[] {
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

  private dequant(node: Node): Node[] {
    this.checkInt8(node)
    const accumulator = this.accumulators.get(node.inputs[0]!)
    if (!accumulator)
      throw this.refuse(node, 'its input is not an integer layer', 'layer -> [Add bias] -> AscendDequant')
    const scales = this.dequantScales(node)
    const scaleName = `${node.inputs[1]!}.s19`
    const relu = intAttribute(node, 'relu_flag', 0) === 1
    const output = node.outputs[0]!
    const result = relu ? this.context.fresh(`${output}.dequant`) : output
    const nodes: Node[] = []
    const scale = this.context.constant(
      scaleName,
      makeTensor(scaleName, DataType.FLOAT, [scales.length], scales),
    )
    if (accumulator.float) {
      nodes.push(this.plain('Mul', `${node.name}.scale`, [node.inputs[0]!, scale], result))
    } else {
      const dequant = this.custom(node, 'AscendDequant', [node.inputs[0]!, scale], {
        axis: accumulator.channelAxis,
      })
      nodes.push({ ...dequant, outputs: [result] })
    }
    if (relu) nodes.push(this.plain('Relu', `${node.name}.relu`, [result], output))
    return nodes
  }

  /**
   * float32 convolution of whole numbers is exact while no partial sum can reach 2^24, in any order, and ONNX Runtime
   * computes it several times faster than ConvInteger. Larger layers use ConvInteger.
   */
  private conv(node: Node, zeroPoint: number): Node[] {
    const weight = this.weight(node)
    const output = node.outputs[0]!
    const accumulator = node.inputs[2] ? this.context.fresh(`${output}.accumulator`) : output
    this.accumulators.set(output, { channelAxis: 1, float: false })
    const reach = Math.max(zeroPoint, MAX_UINT8 - zeroPoint)
    const nodes: Node[] =
      reach * largestWeightSum(weight, 0) < EXACT_FLOAT_INTEGER
        ? this.floatConv(node, zeroPoint, accumulator)
        : [
            {
              ...node,
              opType: 'ConvInteger',
              inputs: [node.inputs[0]!, node.inputs[1]!, this.zeroPointName(zeroPoint)],
              outputs: [accumulator],
            },
          ]
    return node.inputs[2] ? [...nodes, this.channelBias(node, accumulator)] : nodes
  }

  private floatConv(node: Node, zeroPoint: number, accumulator: string): Node[] {
    const { nodes, value } = this.centred(node, zeroPoint)
    const weight = this.floatWeight(node)
    const sum = this.context.fresh(`${node.outputs[0]!}.sum`)
    const conv: Node = { ...node, inputs: [value, weight.value], outputs: [sum] }
    const cast = this.plain('Cast', `${node.name}.cast`, [sum], accumulator, { to: DataType.INT32 })
    return [...nodes, ...weight.nodes, conv, cast]
  }

  private product(node: Node, zeroPoint: number, output: string): Node[] {
    this.weight(node)
    this.accumulators.set(node.outputs[0]!, { channelAxis: -1, float: false })
    const inputs = [node.inputs[0]!, node.inputs[1]!, this.zeroPointName(zeroPoint)]
    return [this.plain('MatMulInteger', node.name, inputs, output)]
  }

  private gemm(node: Node, zeroPoint: number): Node[] {
    const scaled =
      floatAttribute(node, 'alpha', 1) !== 1 || (node.inputs[2] && floatAttribute(node, 'beta', 1) !== 1)
    if (scaled || intAttribute(node, 'transA', 0) !== 0 || intAttribute(node, 'transB', 0) !== 0) {
      throw this.refuse(
        node,
        'alpha, beta, transA or transB is set',
        'Gemm with alpha = beta = 1 and no transpose',
      )
    }
    const output = node.outputs[0]!
    if (!node.inputs[2]) return this.product(node, zeroPoint, output)
    const accumulator = this.context.fresh(`${output}.accumulator`)
    const nodes = this.product(node, zeroPoint, accumulator)
    return [...nodes, this.plain('Add', `${node.name}.bias`, [accumulator, node.inputs[2]], output)]
  }

  /**
   * ONNX has no integer ConvTranspose: a float32 one on whole numbers is exact while every partial sum stays below
   * 2^24. Larger layers split the input into x = 16 * high + low, whose two results are added as int32.
   */
  private convTranspose(node: Node, zeroPoint: number): Node[] {
    const weightSum = largestWeightSum(this.weight(node), 1)
    const { nodes, value } = this.centred(node, zeroPoint)
    const weight = this.floatWeight(node)
    nodes.push(...weight.nodes)
    const output = node.outputs[0]!
    const target = node.inputs[2] ? this.context.fresh(`${output}.accumulator`) : output
    const transpose = (input: string, part: string): { nodes: Node[]; value: string } => {
      const float = this.context.fresh(`${output}.${part}`)
      const integer = this.context.fresh(`${output}.${part}.int32`)
      const float32: Node = {
        ...node,
        name: `${node.name}.${part}`,
        inputs: [input, weight.value],
        outputs: [float],
      }
      const to = { to: DataType.INT32 }
      return {
        nodes: [float32, this.plain('Cast', `${node.name}.${part}.cast`, [float], integer, to)],
        value: integer,
      }
    }
    if (Math.max(zeroPoint, MAX_UINT8 - zeroPoint) * weightSum < EXACT_FLOAT_INTEGER) {
      const whole = transpose(value, 'sum')
      whole.nodes.at(-1)!.outputs[0] = target
      nodes.push(...whole.nodes)
    } else {
      if (HALF_BYTE * weightSum >= EXACT_FLOAT_INTEGER) {
        throw this.refuse(
          node,
          'its sums are too large to be computed exactly',
          'a layer with fewer input channels',
        )
      }
      nodes.push(...this.splitTranspose(node, value, target, transpose))
    }
    this.accumulators.set(output, { channelAxis: 1, float: false })
    return node.inputs[2] ? [...nodes, this.channelBias(node, target)] : nodes
  }

  private splitTranspose(
    node: Node,
    value: string,
    target: string,
    transpose: (input: string, part: string) => { nodes: Node[]; value: string },
  ): Node[] {
    const sixteenth = this.scalar(`${node.name}.sixteenth`, DataType.FLOAT, 1 / 16)
    const sixteen = this.scalar(`${node.name}.sixteen`, DataType.FLOAT, 16)
    const sixteenInt = this.scalar(`${node.name}.sixteen_int32`, DataType.INT32, 16)
    const [scaled, high, shifted, low, weighted] = ['scaled', 'high', 'shifted', 'low', 'weighted'].map(
      (part) => this.context.fresh(`${node.outputs[0]!}.${part}`),
    ) as [string, string, string, string, string]
    const highResult = transpose(high, 'high_sum')
    const lowResult = transpose(low, 'low_sum')
    return [
      this.plain('Mul', `${node.name}.split`, [value, sixteenth], scaled),
      this.plain('Floor', `${node.name}.high`, [scaled], high),
      this.plain('Mul', `${node.name}.shift`, [high, sixteen], shifted),
      this.plain('Sub', `${node.name}.low`, [value, shifted], low),
      ...highResult.nodes,
      ...lowResult.nodes,
      this.plain('Mul', `${node.name}.weight_high`, [highResult.value, sixteenInt], weighted),
      this.plain('Add', `${node.name}.join`, [weighted, lowResult.value], target),
    ]
  }

  /** AMCT quantizes average pooling with weight scale 1: mean of (q - offset), then the activation's scale. */
  private averagePool(node: Node, zeroPoint: number): Node[] {
    const { nodes, value } = this.centred(node, zeroPoint)
    this.accumulators.set(node.outputs[0]!, { channelAxis: 1, float: true })
    return [...nodes, { ...node, inputs: [value] }]
  }

  /** Padding between AscendQuant and its layer pads with the quantized zero. */
  private pad(node: Node, zeroPoint: number): Node[] {
    this.zeroPoints.set(node.outputs[0]!, zeroPoint)
    const inputs = [node.inputs[0]!, node.inputs[1]!, this.zeroPointName(zeroPoint), ...node.inputs.slice(3)]
    return [{ ...node, inputs }]
  }

  /** The int32 bias addition of a MatMul, and reshapes, stand between a layer and its AscendDequant. */
  private passAccumulator(node: Node): null {
    for (const input of node.inputs) {
      const accumulator = this.accumulators.get(input)
      if (accumulator && (node.opType === 'Add' || FREE_OPS.has(node.opType))) {
        this.accumulators.set(node.outputs[0]!, accumulator)
      }
    }
    return null
  }
}
