// Weights and biases as exporters write them: initializers, Constant nodes, and either behind Identity, Cast or Transpose.
import {
  DataType,
  findAttribute,
  type GraphIndex,
  type Graph,
  intAttribute,
  intsAttribute,
  type Node,
  roundToFloat16,
  type Tensor,
  tensorToFloat32,
} from '../onnx/index.ts'

/** More hops than any exporter writes between a weight and its reader. */
const MAX_HOPS = 8

/** A constant and how its reader sees it. */
export interface ConstantValue {
  /** As stored. */
  stored: Tensor
  /** Initializer name, or the output name of a Constant node. */
  name: string
  /** Element type the reader sees, after casts. */
  dataType: DataType
  /** The reader sees the matrix transposed. */
  transposed: boolean
  /** Values between the constant and its reader, the reader's own input first; empty when it reads the constant. */
  via: string[]
}

/** Shape as the reader sees it. */
export function constantDims(constant: ConstantValue): number[] {
  return constant.transposed ? constant.stored.dims.toReversed() : [...constant.stored.dims]
}

function isMatrixTranspose(node: Node): boolean {
  return node.opType === 'Transpose' && intsAttribute(node, 'perm', [1, 0]).join() === '1,0'
}

/** Resolves a value to the constant behind it; undefined when it depends on the model's inputs. */
export function resolveConstant(graph: Graph, index: GraphIndex, name: string): ConstantValue | undefined {
  let current = name
  let dataType: DataType | undefined
  let transposed = false
  const via: string[] = []
  for (let hop = 0; hop < MAX_HOPS; hop++) {
    const producer = index.producers.get(current)
    const attribute = producer?.opType === 'Constant' ? findAttribute(producer, 'value') : undefined
    const stored =
      graph.initializers.get(current) ?? (attribute?.type === 'tensor' ? attribute.value : undefined)
    if (stored) {
      if (transposed && stored.dims.length !== 2) return undefined
      return { stored, name: current, dataType: dataType ?? stored.dataType, transposed, via }
    }
    if (!producer || producer.domain !== '') return undefined
    if (producer.opType === 'Cast') dataType ??= intAttribute(producer, 'to') as DataType
    else if (isMatrixTranspose(producer)) transposed = !transposed
    else if (producer.opType !== 'Identity') return undefined
    via.push(current)
    current = producer.inputs[0] ?? ''
  }
  return undefined
}

/**
 * The nodes that read a constant in the end, looking through Identity, Cast and Transpose. A pass-through whose result
 * is a graph output counts as a reader itself.
 */
export function constantReaders(index: GraphIndex, outputs: ReadonlySet<string>, name: string): Set<Node> {
  const readers = new Set<Node>()
  const pending = [name]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    for (const consumer of index.consumers.get(value) ?? []) {
      const [result = ''] = consumer.outputs
      const passesOn = ['Identity', 'Cast', 'Transpose'].includes(consumer.opType) && !outputs.has(result)
      if (passesOn) pending.push(result)
      else readers.add(consumer)
    }
  }
  return readers
}

/** Row-major transpose of a matrix of any element type. */
export function transposeMatrix(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column] as number
    }
  }
  return result
}

/** The values as the reader sees them, in float32. */
export function constantValues(constant: ConstantValue): Float32Array {
  const { stored } = constant
  const narrowed = constant.dataType === DataType.FLOAT16 && stored.dataType !== DataType.FLOAT16
  const values = narrowed ? roundToFloat16(tensorToFloat32(stored)) : tensorToFloat32(stored)
  const [rows = 1, columns = 1] = stored.dims
  return constant.transposed ? transposeMatrix(values, rows, columns) : values
}
