// A model's graph as the fusion pass sees it: who produces and reads what, shapes, and which values are known
// at compile time.
import type { DataType, Graph, Node } from '../onnx/index.ts'
import { indexGraph, subgraphs } from '../onnx/index.ts'
import { FREE_OPS } from './op-classes.ts'

export interface ValueType {
  dataType: DataType
  dims: (number | null)[] | null
}

export type ValueTypes = ReadonlyMap<string, ValueType>

/** Operators whose result depends on more than their inputs. */
const RANDOM_OPS = /^(Random|Bernoulli|Multinomial)/

export class GraphView {
  readonly graph: Graph
  readonly types: ValueTypes
  readonly producers: ReadonlyMap<string, Node>
  readonly consumers: ReadonlyMap<string, readonly Node[]>
  readonly outputs: ReadonlySet<string>
  /** Nodes that the compiler evaluates: they depend on weights and shapes only. */
  readonly staticNodes: ReadonlySet<Node>
  private readonly staticValues = new Set<string>()

  constructor(graph: Graph, types: ValueTypes) {
    this.graph = graph
    this.types = types
    const index = indexGraph(graph)
    this.producers = index.producers
    this.consumers = index.consumers
    this.outputs = new Set(graph.outputs.map((output) => output.name))
    this.staticNodes = this.findStatic()
  }

  private findStatic(): Set<Node> {
    const nodes = new Set<Node>()
    for (const name of this.graph.initializers.keys()) this.staticValues.add(name)
    for (const node of this.graph.nodes) {
      if (RANDOM_OPS.test(node.opType) || subgraphs(node).length > 0) continue
      const shapeOnly = node.opType === 'Shape' || node.opType === 'Size'
      if (!shapeOnly && !node.inputs.every((input) => input === '' || this.staticValues.has(input))) continue
      nodes.add(node)
      for (const output of node.outputs) this.staticValues.add(output)
    }
    return nodes
  }

  /** Whether a value is known at compile time. */
  isStatic(name: string): boolean {
    return name === '' || this.staticValues.has(name)
  }

  isFree(node: Node): boolean {
    return FREE_OPS.has(node.opType)
  }

  /** The value behind reshapes: what the device holds in memory. */
  resolve(name: string): string {
    let current = name
    for (;;) {
      const producer = this.producers.get(current)
      if (!producer || !this.isFree(producer) || this.staticNodes.has(producer)) return current
      current = producer.inputs[0]!
    }
  }

  /** Inputs that are computed on the device. */
  dataInputs(node: Node): string[] {
    return node.inputs.filter((input) => !this.isStatic(input))
  }

  /** Concrete dimensions; unknown ones count as 1. Null when the rank is unknown. */
  dims(name: string): number[] | null {
    const dims = this.types.get(name)?.dims ?? this.graph.initializers.get(name)?.dims
    return dims ? dims.map((dim) => dim ?? 1) : null
  }

  elements(name: string): number {
    return (this.dims(name) ?? []).reduce((product, dim) => product * dim, 1)
  }

  sameShape(a: string, b: string): boolean {
    const left = this.dims(a)
    const right = this.dims(b)
    return (
      left !== null &&
      right !== null &&
      left.length === right.length &&
      left.every((dim, axis) => dim === right[axis])
    )
  }

  /** Readers of all outputs of a node. */
  readers(node: Node): Node[] {
    return node.outputs.flatMap((output) => this.consumers.get(output) ?? [])
  }

  isGraphOutput(node: Node): boolean {
    return node.outputs.some((output) => this.outputs.has(output))
  }
}
