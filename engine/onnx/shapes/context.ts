// What a shape rule sees of its node: types, shapes and known values of the inputs; where it puts its results.
import { AppError } from '../../../contract/errors/index.ts'
import { intAttribute, intsAttribute, nodeLabel } from '../attributes.ts'
import { DataType } from '../model.ts'
import type { Graph, Node } from '../model.ts'

/** A dimension; null when unknown. */
export type Dim = number | null
/** null: unknown rank. */
export type Dims = Dim[] | null

/** Type and shape of a value; dataType UNDEFINED when unknown. */
export interface ValueShape {
  dataType: DataType
  dims: Dims
}

/** Elements of a small tensor whose value follows from shapes and constants; null for an unknown element. */
export type Values = readonly (number | null)[]

/** Larger tensors are not folded: shape arithmetic is small. */
export const MAX_FOLDED_ELEMENTS = 16384

/** The values of one graph while it is being inferred. */
export interface Scope {
  shape(name: string): ValueShape | undefined
  values(name: string): Values | undefined
}

export type InferGraph = (graph: Graph, outer: Scope, inputs: (ValueShape | undefined)[]) => ValueShape[]

export class OpContext {
  readonly node: Node
  readonly opset: number
  readonly results: (ValueShape & { values?: Values })[] = []
  readonly scope: Scope
  readonly inferGraph: InferGraph

  constructor(node: Node, opset: number, scope: Scope, inferGraph: InferGraph) {
    this.node = node
    this.opset = opset
    this.scope = scope
    this.inferGraph = inferGraph
  }

  has(index: number): boolean {
    return (this.node.inputs[index] ?? '') !== ''
  }

  shape(index: number): ValueShape {
    const name = this.node.inputs[index] ?? ''
    return (name === '' ? undefined : this.scope.shape(name)) ?? { dataType: DataType.UNDEFINED, dims: null }
  }

  dims(index: number): Dims {
    return this.shape(index).dims
  }

  type(index: number): DataType {
    return this.shape(index).dataType
  }

  /** Known elements of an input, or undefined. */
  values(index: number): Values | undefined {
    const name = this.node.inputs[index] ?? ''
    return name === '' ? undefined : this.scope.values(name)
  }

  /** Elements of an input when all of them are known. */
  known(index: number): number[] | undefined {
    const values = this.values(index)
    return values?.every((value) => value !== null) ? (values as number[]) : undefined
  }

  int(name: string, fallback: number): number {
    return intAttribute(this.node, name, fallback)
  }

  ints(name: string): number[] | undefined {
    return this.node.attributes.some((attribute) => attribute.name === name)
      ? intsAttribute(this.node, name)
      : undefined
  }

  /** Integers that older opsets have as an attribute and newer ones as an input; undefined when given by neither. */
  intsOrInput(name: string, index: number): { given: boolean; values?: number[] | undefined } {
    const attribute = this.ints(name)
    if (attribute) return { given: true, values: attribute }
    return this.has(index) ? { given: true, values: this.known(index) } : { given: false }
  }

  set(index: number, dataType: DataType, dims: Dims, values?: Values): void {
    this.results[index] = values ? { dataType, dims, values } : { dataType, dims }
  }

  fail(reason: string): AppError {
    return new AppError('E_ONNX_SHAPE', { node: nodeLabel(this.node), opType: this.node.opType, reason })
  }

  /** A non-negative axis. */
  axis(axis: number, rank: number): number {
    if (axis < -rank || axis >= rank || !Number.isInteger(axis))
      throw this.fail(`axis ${axis} does not exist in rank ${rank}`)
    return axis < 0 ? axis + rank : axis
  }

  /** Two dimensions that must be the same: the known one. */
  same(a: Dim, b: Dim, what: string): Dim {
    if (a !== null && b !== null && a !== b) throw this.fail(`${what}: ${a} and ${b} differ`)
    return a ?? b
  }
}

export type ShapeRule = (context: OpContext) => void

/** Product of dimensions; null when one is unknown (unless another is 0). */
export function product(dims: readonly Dim[]): Dim {
  if (dims.includes(0)) return 0
  return dims.reduce<Dim>((total, dim) => (total === null || dim === null ? null : total * dim), 1)
}

/** Number of elements when it is known, sensible and small enough to fold; else null. */
export function foldableCount(dims: Dims): number | null {
  if (!dims?.every((dim) => dim !== null && dim >= 0)) return null
  const count = product(dims)
  return count !== null && count <= MAX_FOLDED_ELEMENTS ? count : null
}

/** Dimensions for messages: `[1, ?, 64]`. */
export function dimsText(dims: Dims): string {
  return dims ? `[${dims.map((dim) => dim ?? '?').join(', ')}]` : 'of unknown rank'
}

/** ONNX multidirectional broadcasting (NumPy rules). */
export function broadcast(context: OpContext, shapes: readonly Dims[]): Dims {
  if (shapes.some((dims) => dims === null)) return null
  const known = shapes as Dim[][]
  const rank = Math.max(0, ...known.map((dims) => dims.length))
  return Array.from({ length: rank }, (_, index) => {
    let result: Dim = 1
    for (const dims of known) {
      const dim = dims[index - rank + dims.length]
      if (dim === undefined || dim === 1) continue
      if (result === 1) result = dim
      else if (result === null) result = dim
      else if (dim !== null && dim !== result) {
        throw context.fail(`cannot broadcast ${known.map(dimsText).join(' with ')}`)
      }
    }
    return result
  })
}
