// What the lowering of quantized layers is built from: nodes and constants for exact integer arithmetic.
import { AppError } from '../../contract/errors/index.ts'
import { DataType, elementCount, makeNode, makeTensor, nodeLabel, tensorBytes } from '../onnx/index.ts'
import type { Graph, Node, Tensor } from '../onnx/index.ts'

/** Domain of the operators that the simulated runtime adds to ONNX Runtime. */
export const PAYLOAD_DOMAIN = 'ascendsim'

export interface DeployContext {
  path: string
  graph: Graph
  /** Results are binary16. */
  half: boolean
  /** AscendQuant computes in binary16: everywhere but on Ascend 950 (ops-nn, golden of ascend_quant). */
  quantInHalf: boolean
  fresh: (base: string) => string
  /** Adds a small constant and returns its name. */
  constant: (name: string, tensor: Tensor) => string
  dims: (name: string) => number[] | null
}

/** The largest sum of |weight| over everything that is added up for one output channel (on `axis` of the weight). */
export function largestWeightSum(weight: Tensor, axis: 0 | 1): number {
  const bytes = tensorBytes(weight)
  const values = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  const channels = weight.dims[axis] ?? 1
  const inner = elementCount(weight.dims.slice(axis + 1))
  const sums = new Float64Array(channels)
  for (let start = 0, block = 0; start < values.length; start += inner, block++) {
    let sum = 0
    for (let index = start; index < start + inner; index++) sum += Math.abs(values[index]!)
    sums[block % channels]! += sum
  }
  return sums.reduce((largest, sum) => Math.max(largest, sum), 0)
}

export class IntegerNodes {
  protected readonly context: DeployContext
  private readonly zeroPointNames = new Map<number, string>()
  private readonly centredValues = new Map<string, string>()
  private readonly floatWeights = new Map<string, string>()

  constructor(context: DeployContext) {
    this.context = context
  }

  protected refuse(node: Node, reason: string, expected: string): AppError {
    const { path } = this.context
    return new AppError('E_COMPILE_DEPLOY', {
      path,
      node: nodeLabel(node),
      opType: node.opType,
      reason,
      expected,
    })
  }

  protected custom(
    node: Node,
    opType: string,
    inputs: string[],
    attributes: Record<string, number | { float: number }>,
  ) {
    const half = opType === 'AscendQuant' ? this.context.quantInHalf : this.context.half
    return makeNode({
      opType,
      name: node.name,
      domain: PAYLOAD_DOMAIN,
      inputs,
      outputs: [node.outputs[0]!],
      attributes: { ...attributes, fp16: half ? 1 : 0 },
    })
  }

  protected plain(
    opType: string,
    name: string,
    inputs: string[],
    output: string,
    attributes: Parameters<typeof makeNode>[0]['attributes'] = {},
  ): Node {
    return makeNode({ opType, name, inputs, outputs: [output], attributes })
  }

  protected zeroPointName(zeroPoint: number): string {
    const known = this.zeroPointNames.get(zeroPoint)
    if (known) return known
    const name = this.context.fresh(`aqw.zero_point.${zeroPoint}`)
    this.context.constant(name, makeTensor(name, DataType.UINT8, [], [zeroPoint]))
    this.zeroPointNames.set(zeroPoint, name)
    return name
  }

  protected weight(node: Node): Tensor {
    const weight = this.context.graph.initializers.get(node.inputs[1]!)
    if (weight?.dataType === DataType.INT8) return weight
    throw this.refuse(node, 'its weight is not an INT8 constant', 'an INT8 weight')
  }

  /** The INT8 weight as float32; ONNX Runtime folds the Cast when it loads the payload. */
  protected floatWeight(node: Node): { nodes: Node[]; value: string } {
    const name = node.inputs[1]!
    const known = this.floatWeights.get(name)
    if (known) return { nodes: [], value: known }
    const value = this.context.fresh(`${name}.float`)
    this.floatWeights.set(name, value)
    return { nodes: [this.plain('Cast', `${name}.widen`, [name], value, { to: DataType.FLOAT })], value }
  }

  /** Adds the int32 bias along axis 1. */
  protected channelBias(node: Node, accumulator: string): Node {
    const bias = this.context.graph.initializers.get(node.inputs[2]!)
    if (bias?.dataType !== DataType.INT32)
      throw this.refuse(node, 'its bias is not an INT32 constant', 'an INT32 bias')
    const rank = this.context.dims(node.outputs[0]!)?.length ?? 4
    const shape = [elementCount(bias.dims), ...Array.from({ length: rank - 2 }, () => 1)]
    const name = `${bias.name}.per_channel`
    const shaped = this.context.constant(name, { ...bias, name, dims: shape })
    return this.plain('Add', `${node.name}.bias`, [accumulator, shaped], node.outputs[0]!)
  }

  /** float32 values of (quantized - zero point), made once per quantized value. */
  protected centred(node: Node, zeroPoint: number): { nodes: Node[]; value: string } {
    const known = this.centredValues.get(node.inputs[0]!)
    if (known) return { nodes: [], value: known }
    const wide = this.context.fresh(`${node.inputs[0]!}.float`)
    const value = this.context.fresh(`${node.inputs[0]!}.centred`)
    this.centredValues.set(node.inputs[0]!, value)
    const zero = this.context.fresh(`${node.name}.zero`)
    this.context.constant(zero, makeTensor(zero, DataType.FLOAT, [], [zeroPoint]))
    const nodes = [
      this.plain('Cast', `${node.name}.widen`, [node.inputs[0]!], wide, { to: DataType.FLOAT }),
      this.plain('Sub', `${node.name}.centre`, [wide, zero], value),
    ]
    return { nodes, value }
  }

  protected scalar(base: string, type: DataType, value: number): string {
    const name = this.context.fresh(base)
    return this.context.constant(name, makeTensor(name, type, [], [value]))
  }
}
