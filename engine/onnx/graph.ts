// Looking around in a graph and changing it.
import { AppError } from '../../contract/errors/index.ts'
import { makeAttribute, nodeLabel } from './attributes.ts'
import type { AttributeValue } from './attributes.ts'
import type { Attribute, Graph, Model, Node, Tensor, ValueInfo } from './model.ts'
import { sparseInitializerNames } from './sparse.ts'

export interface GraphIndex {
  /** The node that writes a value. */
  producers: Map<string, Node>
  /** The nodes that read a value, in graph order; nodes whose subgraphs read it included. */
  consumers: Map<string, Node[]>
}

/** Graphs in the attributes of a node. */
export function subgraphs(node: Node): Graph[] {
  return node.attributes.flatMap((attribute) =>
    attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [],
  )
}

/** Calls `visit` for a graph and every graph nested in it, outer first. */
export function visitGraphs(graph: Graph, visit: (graph: Graph) => void): void {
  visit(graph)
  for (const node of graph.nodes) for (const inner of subgraphs(node)) visitGraphs(inner, visit)
}

/** Names that subgraphs of a node take from the graphs around it. */
export function capturedNames(node: Node): Set<string> {
  const captured = new Set<string>()
  for (const inner of subgraphs(node)) for (const name of freeNames(inner)) captured.add(name)
  return captured
}

function freeNames(graph: Graph): Set<string> {
  const own = new Set<string>([
    ...graph.initializers.keys(),
    ...sparseInitializerNames(graph),
    ...graph.inputs.map((info) => info.name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ])
  const free = new Set<string>()
  const use = (name: string): void => {
    if (name !== '' && !own.has(name)) free.add(name)
  }
  for (const node of graph.nodes) {
    node.inputs.forEach(use)
    capturedNames(node).forEach(use)
  }
  for (const output of graph.outputs) use(output.name)
  return free
}

/** Everything a node reads: its inputs and what its subgraphs capture; omitted inputs left out. */
export function usedNames(node: Node): Set<string> {
  const used = capturedNames(node)
  for (const input of node.inputs) if (input !== '') used.add(input)
  return used
}

/** Producer and consumers of every value of a graph. Valid until the graph is changed. */
export function indexGraph(graph: Graph): GraphIndex {
  const producers = new Map<string, Node>()
  const consumers = new Map<string, Node[]>()
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output !== '') producers.set(output, node)
    for (const name of usedNames(node)) {
      const list = consumers.get(name)
      if (list) list.push(node)
      else consumers.set(name, [node])
    }
  }
  return { producers, consumers }
}

export interface NodeSpec {
  opType: string
  name: string
  inputs: string[]
  outputs: string[]
  domain?: string
  attributes?: Record<string, AttributeValue>
}

/** Makes a model of our own around a graph: IR 8, opset 17, which every reader of ONNX since 2022 takes. */
export function makeModel(
  graph: Pick<Graph, 'name' | 'nodes' | 'inputs' | 'outputs'> & Partial<Graph>,
  metadata: Model['metadata'] = [],
): Model {
  return {
    irVersion: 8,
    producerName: 'ascend-quant-workbench',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: 17 }],
    metadata,
    graph: { initializers: new Map(), initializerInputs: [], valueInfo: [], ...graph },
  }
}

/** Makes a node; attribute types follow from the values, see makeAttribute. */
export function makeNode(spec: NodeSpec): Node {
  const attributes = Object.entries(spec.attributes ?? {}).map(([name, value]) => makeAttribute(name, value))
  return {
    name: spec.name,
    opType: spec.opType,
    domain: spec.domain ?? '',
    inputs: [...spec.inputs],
    outputs: [...spec.outputs],
    attributes,
  }
}

/**
 * Lets every reader of `from` (nodes, subgraphs that capture it, graph outputs) read `to`. The producer of `from` is
 * left alone. A graph output is renamed, so do not use this for values that must keep their public name.
 */
export function renameUses(graph: Graph, from: string, to: string): void {
  for (const node of graph.nodes) renameInNode(node, from, to)
  for (const output of graph.outputs) if (output.name === from) output.name = to
}

function renameInNode(node: Node, from: string, to: string): void {
  node.inputs = node.inputs.map((input) => (input === from ? to : input))
  for (const inner of subgraphs(node)) if (freeNames(inner).has(from)) renameUses(inner, from, to)
}

/** All names of values, weights and nodes of a graph and the graphs in it. */
export function allNames(graph: Graph): Set<string> {
  const names = new Set<string>()
  visitGraphs(graph, (inner) => {
    for (const name of inner.initializers.keys()) names.add(name)
    for (const info of [...inner.inputs, ...inner.initializerInputs, ...inner.outputs]) names.add(info.name)
    for (const node of inner.nodes) {
      names.add(node.name)
      for (const value of [...node.inputs, ...node.outputs]) names.add(value)
    }
  })
  return names
}

/**
 * Hands out names that no value, weight or node of the scope has: `base`, or `base_1`, `base_2`, ... Names given out are
 * remembered; names added to the graph by other means afterwards are not seen.
 */
export function uniqueNames(scope: Model | Graph): (base: string) => string {
  const taken = allNames('graph' in scope ? scope.graph : scope)
  return (base) => {
    let name = base
    for (let count = 1; taken.has(name); count++) name = `${base}_${count}`
    taken.add(name)
    return name
  }
}

/** One unused name, see {@link uniqueNames}. Walks the whole graph: for many names, ask for an allocator once. */
export function uniqueName(scope: Model | Graph, base: string): string {
  return uniqueNames(scope)(base)
}

/** True when no node reads a value that a later node writes. */
export function isSorted(graph: Graph): boolean {
  const pending = new Set(graph.nodes.flatMap((node) => node.outputs))
  return graph.nodes.every((node) => {
    for (const name of usedNames(node)) if (pending.has(name)) return false
    for (const output of node.outputs) pending.delete(output)
    return true
  })
}

/**
 * Sorts the nodes so that values are written before they are read; nodes that are in order already stay where they are.
 * @throws E_ONNX_GRAPH when the graph has a cycle
 */
export function sortTopologically(graph: Graph): void {
  const producers = new Map<string, number>()
  graph.nodes.forEach((node, index) =>
    node.outputs.forEach((output) => output && producers.set(output, index)),
  )
  const state = new Uint8Array(graph.nodes.length)
  const sorted: Node[] = []
  for (let root = 0; root < graph.nodes.length; root++) placeNode(graph, root, producers, state, sorted)
  graph.nodes = sorted
}

const PLACED = 2
const VISITING = 1

/** Depth-first with an explicit stack: models are thousands of nodes deep. */
function placeNode(
  graph: Graph,
  root: number,
  producers: ReadonlyMap<string, number>,
  state: Uint8Array,
  sorted: Node[],
): void {
  const stack: { index: number; pending: number[] }[] = []
  const enter = (index: number): void => {
    if (state[index] === PLACED) return
    if (state[index] === VISITING) throw cycle(graph, index)
    state[index] = VISITING
    const used = [...usedNames(graph.nodes[index]!)].reverse()
    stack.push({ index, pending: used.flatMap((name) => producers.get(name) ?? []) })
  }
  enter(root)
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const next = top.pending.pop()
    if (next !== undefined) {
      enter(next)
      continue
    }
    state[top.index] = PLACED
    sorted.push(graph.nodes[top.index]!)
    stack.pop()
  }
}

function cycle(graph: Graph, index: number): AppError {
  const node = nodeLabel(graph.nodes[index]!)
  return new AppError('E_ONNX_GRAPH', {
    path: 'model',
    graph: graph.name,
    reason: `node "${node}" depends on its own output`,
  })
}

/** Removes initializers (and their IR 3 inputs) that nothing reads. Returns the removed names. */
export function removeUnusedInitializers(graph: Graph): string[] {
  const used = new Set<string>(graph.outputs.map((output) => output.name))
  for (const node of graph.nodes) for (const name of usedNames(node)) used.add(name)
  const removed = [...graph.initializers.keys()].filter((name) => !used.has(name))
  for (const name of removed) graph.initializers.delete(name)
  graph.initializerInputs = graph.initializerInputs.filter((info) => graph.initializers.has(info.name))
  return removed
}

/** A deep copy that shares the bytes of weights, which nobody modifies. */
export function cloneModel(model: Model): Model {
  return {
    ...model,
    opsetImports: model.opsetImports.map((entry) => ({ ...entry })),
    metadata: model.metadata.map((entry) => ({ ...entry })),
    graph: cloneGraph(model.graph),
  }
}

/** See {@link cloneModel}. */
export function cloneGraph(graph: Graph): Graph {
  return {
    ...graph,
    nodes: graph.nodes.map(cloneNode),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, cloneTensor(tensor)])),
    inputs: graph.inputs.map(cloneValueInfo),
    initializerInputs: graph.initializerInputs.map(cloneValueInfo),
    outputs: graph.outputs.map(cloneValueInfo),
    valueInfo: graph.valueInfo.map(cloneValueInfo),
    ...(graph.inputOrder && { inputOrder: [...graph.inputOrder] }),
  }
}

/** See {@link cloneModel}. */
export function cloneNode(node: Node): Node {
  return {
    ...node,
    inputs: [...node.inputs],
    outputs: [...node.outputs],
    attributes: node.attributes.map(cloneAttribute),
  }
}

function cloneTensor(tensor: Tensor): Tensor {
  return { ...tensor, dims: [...tensor.dims] }
}

function cloneValueInfo(info: ValueInfo): ValueInfo {
  return { ...info, ...(info.shape && { shape: info.shape.map((dimension) => ({ ...dimension })) }) }
}

function cloneAttribute(attribute: Attribute): Attribute {
  switch (attribute.type) {
    case 'tensor':
      return { ...attribute, value: cloneTensor(attribute.value) }
    case 'tensors':
      return { ...attribute, value: attribute.value.map(cloneTensor) }
    case 'graph':
      return { ...attribute, value: cloneGraph(attribute.value) }
    case 'graphs':
      return { ...attribute, value: attribute.value.map(cloneGraph) }
    case 'floats':
      return { ...attribute, value: [...attribute.value] }
    case 'ints':
      return { ...attribute, value: [...attribute.value] }
    case 'strings':
      return { ...attribute, value: [...attribute.value] }
    default:
      return { ...attribute }
  }
}
