// What is integer in a deploy model, ours or that of another writer: AMCT's (attributes complete), older AMCT's
// (AscendWeightQuant), msmodelslim's (AscendQuant without dst_type, AscendDequant without attributes).
import { AppError } from '../../../contract/errors/index.ts'
import {
  DataType,
  dataTypeName,
  findAttribute,
  floatAttribute,
  type Graph,
  type GraphIndex,
  indexGraph,
  type InferredShape,
  inferShapes,
  intAttribute,
  type Model,
  type Node,
  nodeLabel,
  packedInt4Axis,
  stringAttribute,
  type Tensor,
  tensorBytes,
  tensorToNumbers,
} from '../../onnx/index.ts'
import { unpackInt4 } from '../int4.ts'
import { storedConstant } from './constants.ts'
import { bytesOf, transpose } from './layer-weights.ts'

/** Step and offset of an AscendQuant. */
export interface QuantGrid {
  scale: number
  offset: number
}

export interface DeployWeight {
  name: string
  tensor: Tensor
  bits: 8 | 4
  /** The tensor holds other bytes than the stored one of that name. */
  rewritten: boolean
}

/** An integer layer up to its AscendDequant. */
export interface DeployLayer {
  node: Node
  grid: QuantGrid
  /** Absent for AveragePool. */
  weight?: DeployWeight
  bias?: Tensor
  /** The Add behind a MatMul that holds its bias. */
  add?: Node
  dequant: Node
  /** scale_d * scale_w, one or one per channel. */
  steps: Float32Array
  relu: boolean
  float16: boolean
}

/** Operators between AscendQuant and its reader. */
const MOVING = new Set([
  'Concat',
  'DepthToSpace',
  'Flatten',
  'Gather',
  'Identity',
  'MaxPool',
  'Pad',
  'Reshape',
  'Slice',
  'SpaceToDepth',
  'Split',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
])
const LAYERS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'AveragePool']

/** A matrix of integers, turned. */
function transposed(tensor: Tensor): Tensor {
  const [rows = 1, columns = 1] = tensor.dims
  const source = tensorBytes(tensor)
  const values = transpose(new Int8Array(source.buffer, source.byteOffset, source.byteLength), rows, columns)
  return { ...tensor, dims: [columns, rows], data: bytesOf(values) }
}

export class AscendLayers {
  readonly graph: Graph
  readonly index: GraphIndex
  readonly #path: string
  readonly #shapes: ReadonlyMap<string, InferredShape>

  constructor(model: Model) {
    this.graph = model.graph
    this.index = indexGraph(model.graph)
    this.#path = model.path ?? 'the model'
    this.#shapes = inferShapes(model)
  }

  refuse(node: Node, reason: string, expected: string): AppError {
    return new AppError('E_CONVERT_LAYER', {
      path: this.#path,
      opType: node.opType,
      layer: nodeLabel(node),
      reason,
      expected,
    })
  }

  /** @throws E_CONVERT_LAYER for anything but INT8 */
  grid(node: Node): QuantGrid {
    const type = findAttribute(node, 'dst_type') ? stringAttribute(node, 'dst_type') : 'INT8'
    const bits = intAttribute(node, 'quant_bit', 8)
    if (type !== 'INT8' || bits !== 8) {
      throw this.refuse(
        node,
        `it quantizes to ${type === 'INT8' ? `${bits} bits` : type}`,
        'INT8 activations',
      )
    }
    const written = floatAttribute(node, 'scale')
    const reciprocal = intAttribute(node, 'sqrt_mode', 0) === 0 ? written : written * written
    const scale = Math.fround(1 / reciprocal)
    const offset = floatAttribute(node, 'offset', 0)
    if (!(scale > 0 && Number.isFinite(scale))) {
      throw this.refuse(node, `its scale is ${written}`, 'a positive scale, the reciprocal of the step')
    }
    if (!Number.isInteger(offset) || offset < -128 || offset > 127) {
      throw this.refuse(node, `its offset is ${offset}`, 'a whole offset from -128 to 127')
    }
    return { scale, offset }
  }

  /** The AscendQuant whose integers a value holds; undefined for floating point. */
  quantOf(value: string): Node | undefined {
    let current = value
    for (;;) {
      const producer = this.index.producers.get(current)
      if (producer?.domain !== '') return undefined
      if (producer.opType === 'AscendQuant') return producer
      if (!MOVING.has(producer.opType)) return undefined
      current = producer.inputs[0] ?? ''
    }
  }

  #constant(name: string): Tensor | undefined {
    return name === '' ? undefined : storedConstant(this.graph, this.index, name)
  }

  #weight(node: Node): DeployWeight {
    let name = node.inputs[1] ?? ''
    const producer = this.index.producers.get(name)
    if (producer?.opType === 'AscendWeightQuant') {
      const offset = this.#constant(producer.inputs[1] ?? '')
      if (offset && tensorToNumbers(offset).some((value) => value !== 0)) {
        throw this.refuse(producer, 'its weight offset is not 0', 'symmetric weights')
      }
      name = producer.inputs[0] ?? ''
    }
    const tensor = this.#constant(name)
    if (tensor?.dataType !== DataType.INT8) {
      const type = tensor ? dataTypeName(tensor.dataType) : 'no constant'
      throw this.refuse(node, `its weight "${name}" is ${type}`, 'a constant INT8 weight')
    }
    const { bits, rewritten, integers } = this.#unpacked(node, tensor)
    const turned = node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0
    if (turned) return { name, tensor: transposed(integers), bits, rewritten: true }
    return { name, tensor: integers, bits, rewritten }
  }

  /** INT4 values stored in pairs, one per byte. */
  #unpacked(node: Node, tensor: Tensor): { integers: Tensor; bits: 8 | 4; rewritten: boolean } {
    const input = this.#shapes.get(node.inputs[0] ?? '')?.dims ?? null
    const axis = packedInt4Axis(node, tensor.dims, input)
    if (axis === undefined) return { integers: tensor, bits: 8, rewritten: false }
    const dims = tensor.dims.with(axis, 2 * (tensor.dims[axis] ?? 1))
    const values = unpackInt4(tensorBytes(tensor), dims, axis)
    return { integers: { ...tensor, dims, data: bytesOf(values) }, bits: 4, rewritten: true }
  }

  #steps(dequant: Node): Float32Array {
    const parameter = this.#constant(dequant.inputs[1] ?? '')
    if (parameter?.dataType !== DataType.UINT64) {
      throw this.refuse(
        dequant,
        'its parameter is no UINT64 constant',
        'FP32 bits in the low half of a UINT64',
      )
    }
    const bytes = tensorBytes(parameter)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return Float32Array.from({ length: bytes.byteLength / 8 }, (_, index) => {
      if (view.getUint32(index * 8 + 4, true) !== 0) {
        throw this.refuse(
          dequant,
          `the high half of parameter ${index} is not 0`,
          'weights without an offset',
        )
      }
      const step = view.getFloat32(index * 8, true)
      const root = intAttribute(dequant, 'sqrt_mode', 0) === 0 ? 1 : 2
      if (step > 0 && Number.isFinite(step)) return step ** root
      throw this.refuse(dequant, `scale ${index} is ${step}`, 'positive scales')
    })
  }

  #int32(node: Node, name: string): Tensor {
    const tensor = this.#constant(name)
    if (tensor?.dataType === DataType.INT32) return tensor
    const type = tensor ? dataTypeName(tensor.dataType) : 'no constant'
    throw this.refuse(node, `its bias "${name}" is ${type}`, 'an INT32 constant')
  }

  #layer(node: Node, quant: Node): DeployLayer {
    const pool = node.opType === 'AveragePool'
    let result = node.outputs[0] ?? ''
    let reader = this.index.consumers.get(result)?.[0]
    let bias =
      !pool && node.opType !== 'MatMul' && node.inputs[2] ? this.#int32(node, node.inputs[2]) : undefined
    let add: Node | undefined
    if (node.opType === 'MatMul' && reader?.opType === 'Add') {
      add = reader
      bias = this.#int32(node, add.inputs.find((input) => input !== result) ?? '')
      result = add.outputs[0] ?? ''
      reader = this.index.consumers.get(result)?.[0]
    }
    const readers = this.index.consumers.get(result) ?? []
    if (readers.length !== 1 || reader?.opType !== 'AscendDequant') {
      throw this.refuse(node, 'its integer result does not go to one AscendDequant', 'layer -> AscendDequant')
    }
    return {
      node,
      grid: this.grid(quant),
      ...(!pool && { weight: this.#weight(node) }),
      ...(bias && { bias }),
      ...(add && { add }),
      dequant: reader,
      steps: this.#steps(reader),
      relu: intAttribute(reader, 'relu_flag', 0) !== 0,
      float16: intAttribute(reader, 'dtype', 0) === 1,
    }
  }

  /** Every layer that computes on integers. @throws E_CONVERT_LAYER */
  layers(): DeployLayer[] {
    return this.graph.nodes.flatMap((node) => {
      if (node.domain !== '' || !LAYERS.includes(node.opType)) return []
      const quant = this.quantOf(node.inputs[0] ?? '')
      if (!quant) return []
      if (node.opType === 'MatMul' && this.quantOf(node.inputs[1] ?? '')) {
        throw this.refuse(node, 'both operands are integers', 'a constant weight')
      }
      return [this.#layer(node, quant)]
    })
  }
}
