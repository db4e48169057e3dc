// Lowers the Ascend* nodes of a deploy model to operators that the simulated runtime executes exactly: integer
// convolutions and products, int32 bias, dequantisation with the scale as the hardware reads it.
import { largestWeightSum } from './integer-nodes.ts'
import { QuantLowering } from './lower-quant.ts'
import { MOVE_OPS, FREE_OPS } from '../cost/op-classes.ts'
import { DataType, floatAttribute, intAttribute, stringAttribute } from '../onnx/index.ts'
import type { Node } from '../onnx/index.ts'

/** float32 holds integers exactly up to here. */
const EXACT_FLOAT_INTEGER = 2 ** 24
const MAX_UINT8 = 255
/** Largest magnitude of the high and the low half of a centred value. */
const HALF_BYTE = 16

/** Whether a node only moves elements or chooses among them, so that it works on integers as it does on floats. */
function movesValues(node: Node): boolean {
  if (node.opType === 'Resize' || node.opType === 'Upsample')
    return stringAttribute(node, 'mode', 'nearest') === 'nearest'
  return MOVE_OPS.has(node.opType) || FREE_OPS.has(node.opType) || node.opType === 'MaxPool'
}

export class DeployLowering extends QuantLowering {
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
      case 'NPUWeightQuantBatchMatmulV2':
        return this.weightOnlyProduct(node)
    }
    const zeroPoint = this.quantizedInput(node)
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
    if (!movesValues(node)) {
      throw this.refuse(
        node,
        'it cannot compute on quantized values',
        'AscendQuant -> layer -> AscendDequant',
      )
    }
    for (const output of node.outputs) this.zeroPoints.set(output, zeroPoint)
    return null
  }

  /** The zero point of what a node reads, if that is quantized; then everything it joins must be, in the same way. */
  private quantizedInput(node: Node): number | undefined {
    const zeroPoint = node.inputs
      .map((input) => this.zeroPoints.get(input))
      .find((point) => point !== undefined)
    if (zeroPoint === undefined) return undefined
    const joined = node.opType === 'Concat' ? node.inputs : node.inputs.slice(0, 1)
    if (joined.every((input) => this.zeroPoints.get(input) === zeroPoint)) return zeroPoint
    throw this.refuse(
      node,
      'not all of its inputs are quantized with the same offset',
      'inputs of one AscendQuant, or of several with equal scale and offset',
    )
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
        ? this.floatConv(node, this.floatWeight(weight), zeroPoint, accumulator)
        : [
            ...weight.nodes,
            {
              ...node,
              opType: 'ConvInteger',
              inputs: [node.inputs[0]!, weight.name, this.zeroPointName(zeroPoint)],
              outputs: [accumulator],
            },
          ]
    return node.inputs[2] ? [...nodes, this.bias(node, accumulator, node.inputs[2], 1, output)] : nodes
  }

  private floatConv(
    node: Node,
    weight: { nodes: Node[]; value: string },
    zeroPoint: number,
    accumulator: string,
  ): Node[] {
    const { nodes, value } = this.centred(node, zeroPoint)
    const sum = this.context.fresh(`${node.outputs[0]!}.sum`)
    const conv: Node = { ...node, inputs: [value, weight.value], outputs: [sum] }
    const cast = this.plain('Cast', `${node.name}.cast`, [sum], accumulator, { to: DataType.INT32 })
    return [...nodes, ...weight.nodes, conv, cast]
  }

  private product(node: Node, zeroPoint: number, output: string): Node[] {
    const weight = this.weight(node)
    this.accumulators.set(node.outputs[0]!, { channelAxis: -1, float: false })
    const inputs = [node.inputs[0]!, weight.name, this.zeroPointName(zeroPoint)]
    return [...weight.nodes, this.plain('MatMulInteger', node.name, inputs, output)]
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
    return [...nodes, this.bias(node, accumulator, node.inputs[2], -1, output)]
  }

  /**
   * ONNX has no integer ConvTranspose: a float32 one on whole numbers is exact while every partial sum stays below
   * 2^24. Larger layers split the input into x = 16 * high + low, whose two results are added as int32.
   */
  private convTranspose(node: Node, zeroPoint: number): Node[] {
    const integers = this.weight(node)
    const weightSum = largestWeightSum(integers, 1)
    const { nodes, value } = this.centred(node, zeroPoint)
    const weight = this.floatWeight(integers)
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
    return node.inputs[2] ? [...nodes, this.bias(node, target, node.inputs[2], 1, output)] : nodes
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
  private passAccumulator(node: Node): Node[] | null {
    const input = node.inputs.find((name) => this.accumulators.has(name))
    const accumulator = input === undefined ? undefined : this.accumulators.get(input)
    if (input === undefined || !accumulator) return null
    const output = node.outputs[0]!
    this.accumulators.set(output, accumulator)
    if (FREE_OPS.has(node.opType)) return null
    const other = node.inputs.find((name) => name !== input)
    if (node.opType !== 'Add' || other === undefined || accumulator.float) {
      throw this.refuse(node, 'it cannot compute on integer sums', 'layer -> [Add bias] -> AscendDequant')
    }
    return [this.bias(node, input, other, accumulator.channelAxis, output)]
  }
}
