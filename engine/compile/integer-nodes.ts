// What the lowering of quantized layers is built from: nodes and constants for exact integer arithmetic.
import { AppError } from '../../contract/errors/index.ts'
import {
  DataType,
  elementCount,
  makeNode,
  makeTensor,
  nodeLabel,
  packedInt4Axis,
  tensorBytes,
} from '../onnx/index.ts'
import type { Graph, Node, Tensor } from '../onnx/index.ts'
import { unpackInt4 } from '../quantization/int4.ts'

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

/** Behind the name of an INT4 weight that the payload holds in pairs. */
export const PACKED_SUFFIX = '.packed'

/** INT4 values by their four bits. */
const INT4_VALUES = Int8Array.from({ length: 16 }, (_, bits) => (bits < 8 ? bits : bits - 16))

/** The integers of a layer, one per byte in `values`, and the name under which the payload has them. */
export interface IntegerWeight {
  name: string
  dims: readonly number[]
  values: () => Int8Array
  /** Nodes to put before the first layer that reads the weight. */
  nodes: Node[]
}

/** The largest sum of |weight| over everything that is added up for one output channel (on `axis` of the weight). */
export function largestWeightSum({ values, dims }: IntegerWeight, axis: 0 | 1): number {
  const integers = values()
  const channels = dims[axis] ?? 1
  const inner = elementCount(dims.slice(axis + 1))
  const sums = new Float64Array(channels)
  for (let start = 0, block = 0; start < integers.length; start += inner, block++) {
    let sum = 0
    for (let index = start; index < start + inner; index++) sum += Math.abs(integers[index]!)
    sums[block % channels]! += sum
  }
  return sums.reduce((largest, sum) => Math.max(largest, sum), 0)
}

export class IntegerNodes {
  protected readonly context: DeployContext
  private readonly zeroPointNames = new Map<number, string>()
  private readonly centredValues = new Map<string, string>()
  private readonly floatWeights = new Map<string, string>()
  private readonly unpackedWeights = new Map<string, string>()

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

  /** Rounds to binary16 where the device does. @returns the name of the rounded value */
  protected half(input: string, nodes: Node[]): string {
    const output = this.context.fresh(`${input}.half`)
    const spec = { name: output, inputs: [input], outputs: [output] }
    nodes.push(makeNode({ opType: 'RoundFp16', domain: PAYLOAD_DOMAIN, ...spec }))
    return output
  }

  protected weight(node: Node): IntegerWeight {
    const stored = this.context.graph.initializers.get(node.inputs[1]!)
    if (stored?.dataType !== DataType.INT8) {
      throw this.refuse(node, 'its weight is not an INT8 constant', 'an INT8 weight')
    }
    const axis = packedInt4Axis(node, stored.dims, this.context.dims(node.inputs[0]!))
    if (axis === undefined) {
      const values = (): Int8Array => {
        const bytes = tensorBytes(stored)
        return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      }
      return { name: stored.name, dims: stored.dims, values, nodes: [] }
    }
    const dims = stored.dims.with(axis, 2 * stored.dims[axis]!)
    const values = (): Int8Array => unpackInt4(tensorBytes(stored), dims, axis)
    const known = this.unpackedWeights.get(stored.name)
    if (known) return { name: known, dims, values, nodes: [] }
    const name = this.context.fresh(`${stored.name}.unpacked`)
    this.unpackedWeights.set(stored.name, name)
    return { name, dims, values, nodes: this.unpack(stored, dims, axis, name) }
  }

  /** The file keeps two integers per byte; ONNX Runtime unpacks them once, when it loads the payload. */
  private unpack(stored: Tensor, dims: readonly number[], axis: number, output: string): Node[] {
    const { context } = this
    const nodes: Node[] = []
    const step = (opType: string, part: string, inputs: string[], attributes = {}): string => {
      const value = context.fresh(`${stored.name}.${part}`)
      nodes.push(this.plain(opType, value, inputs, value, attributes))
      return value
    }
    const shape = (part: string, sizes: readonly number[]): string => {
      const name = context.fresh(`${stored.name}.${part}`)
      return context.constant(name, makeTensor(name, DataType.INT64, [sizes.length], sizes.map(BigInt)))
    }
    const packed = context.fresh(`${stored.name}${PACKED_SUFFIX}`)
    context.constant(packed, { ...stored, name: packed, dataType: DataType.UINT8 })
    const four = this.scalar(`${stored.name}.nibble`, DataType.UINT8, 4)
    const table = context.fresh(`${stored.name}.int4_values`)
    context.constant(table, makeTensor(table, DataType.INT8, [INT4_VALUES.length], INT4_VALUES))
    const pairs = [
      elementCount(dims.slice(0, axis)) * (dims[axis]! / 2),
      1,
      elementCount(dims.slice(axis + 1)),
    ]
    const pairShape = shape('pairs', pairs)
    const lifted = step('BitShift', 'lifted', [packed, four], { direction: 'LEFT' })
    const halves = [lifted, packed].map((source, half) => {
      const bits = step('BitShift', `bits${half}`, [source, four], { direction: 'RIGHT' })
      const index = step('Cast', `index${half}`, [bits], { to: DataType.INT32 })
      const value = step('Gather', `int4_${half}`, [table, index], { axis: 0 })
      return step('Reshape', `half${half}`, [value, pairShape])
    })
    const joined = step('Concat', 'joined', halves, { axis: 1 })
    nodes.push(this.plain('Reshape', output, [joined, shape('shape', dims)], output))
    return nodes
  }

  /** The integer weight as float32; ONNX Runtime folds the Cast when it loads the payload. */
  protected floatWeight(weight: IntegerWeight): { nodes: Node[]; value: string } {
    const { name, nodes } = weight
    const known = this.floatWeights.get(name)
    if (known) return { nodes, value: known }
    const value = this.context.fresh(`${name}.float`)
    this.floatWeights.set(name, value)
    return {
      nodes: [...nodes, this.plain('Cast', `${name}.widen`, [name], value, { to: DataType.FLOAT })],
      value,
    }
  }

  /** Adds an int32 bias per channel; the sum saturates. */
  protected bias(node: Node, accumulator: string, name: string, axis: number, output: string): Node {
    const bias = this.context.graph.initializers.get(name)
    if (bias?.dataType !== DataType.INT32)
      throw this.refuse(node, 'its bias is not an INT32 constant', 'an INT32 bias')
    return makeNode({
      opType: 'AscendBias',
      domain: PAYLOAD_DOMAIN,
      name: `${node.name}.bias`,
      inputs: [accumulator, name],
      outputs: [output],
      attributes: { axis },
    })
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
