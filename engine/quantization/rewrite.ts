// What both writers do to a clone of the source model: put integer weights in place, drop what they replaced, and add
// nodes next to others without losing the order of the graph.
import {
  type Graph,
  indexGraph,
  type Model,
  type Node,
  removeAttribute,
  removeUnusedInitializers,
  type Tensor,
} from '../onnx/index.ts'
import type { ConstantValue } from './constants.ts'

/** IR version from which initializers need not be listed as inputs (onnx.proto). */
const IR_FREE_INITIALIZERS = 4

/** Nodes to add before and after existing ones, applied together so that positions stay valid. */
export class NodeInsertions {
  readonly #before = new Map<Node, Node[]>()
  readonly #after = new Map<Node, Node[]>()

  before(anchor: Node, ...nodes: Node[]): void {
    this.#before.set(anchor, [...(this.#before.get(anchor) ?? []), ...nodes])
  }

  after(anchor: Node, ...nodes: Node[]): void {
    this.#after.set(anchor, [...(this.#after.get(anchor) ?? []), ...nodes])
  }

  apply(graph: Graph): void {
    graph.nodes = graph.nodes.flatMap((node) => this.#surrounded(node))
  }

  /** Inserted nodes may be anchors themselves. */
  #surrounded(node: Node): Node[] {
    const around = (nodes: Node[] | undefined): Node[] =>
      (nodes ?? []).flatMap((inserted) => this.#surrounded(inserted))
    return [...around(this.#before.get(node)), node, ...around(this.#after.get(node))]
  }
}

/** Adds or replaces an initializer; old models also list it among the inputs, with a type that would now be wrong. */
export function putInitializer(model: Model, tensor: Tensor): void {
  const { graph } = model
  graph.initializers.set(tensor.name, tensor)
  graph.initializerInputs = graph.initializerInputs.filter((info) => info.name !== tensor.name)
  model.irVersion = Math.max(model.irVersion, IR_FREE_INITIALIZERS)
}

/** Removes the casts and transposes that led from replaced constants to their readers, and constants left unused. */
export function removeReplacedConstants(graph: Graph, constants: readonly ConstantValue[]): void {
  const outputs = new Set(graph.outputs.map((output) => output.name))
  // The reader's own input first: each removal frees the next value.
  const values = new Set(constants.flatMap((constant) => [...constant.via, constant.name]))
  let index = indexGraph(graph)
  for (let removed = true; removed;) {
    const dead = new Set(
      [...values]
        .filter((value) => !index.consumers.has(value) && !outputs.has(value))
        .flatMap((value) => index.producers.get(value) ?? []),
    )
    removed = dead.size > 0
    if (!removed) break
    graph.nodes = graph.nodes.filter((node) => !dead.has(node))
    index = indexGraph(graph)
  }
  removeUnusedInitializers(graph)
}

/** Connects the bias of a layer. A Gemm that had none may carry any factor for it: that would now scale the bias. */
export function setBias(node: Node, name: string): void {
  node.inputs[2] = name
  removeAttribute(node, 'beta')
}

/** Forgets the recorded types of values whose type changed. */
export function forgetValueInfo(graph: Graph, names: ReadonlySet<string>): void {
  graph.valueInfo = graph.valueInfo.filter((info) => !names.has(info.name))
}
