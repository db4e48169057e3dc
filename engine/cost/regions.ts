// Groups of nodes that the device's compiler turns into one vector kernel: chains of element-wise operators (GE's
// element-wise buffer fusion), and decomposed normalisations, softmax and activations.
import type { Node } from '../onnx/index.ts'
import type { GraphView } from './graph-view.ts'
import { ELEMENTWISE_OPS, REDUCE_OPS } from './op-classes.ts'

export interface Region {
  nodes: Node[]
  /** The node whose result leaves the region. */
  last: Node
  /** 'norm' when it holds a reduction over its own input, 'group-norm' for Reshape-InstanceNormalization-Reshape. */
  kind: 'elementwise' | 'norm' | 'softmax' | 'group-norm'
}

/** A fused kernel keeps its operands in the unified buffer: long chains are cut. */
const MAX_REGION_NODES = 32

function isFusible(node: Node): boolean {
  return node.domain === '' && (ELEMENTWISE_OPS.has(node.opType) || REDUCE_OPS.has(node.opType))
}

/** Follows element-wise nodes back to a reduction of a tensor of the region's own shape: mean, variance, maximum. */
function comesFromReduction(view: GraphView, node: Node, full: string, depth = 8): boolean {
  if (REDUCE_OPS.has(node.opType)) return view.sameShape(node.inputs[0]!, full)
  if (depth === 0 || !ELEMENTWISE_OPS.has(node.opType)) return false
  return view.dataInputs(node).some((input) => {
    const producer = view.producers.get(input)
    return producer !== undefined && comesFromReduction(view, producer, full, depth - 1)
  })
}

function mayJoin(view: GraphView, candidate: Node, members: ReadonlySet<Node>, full: string): boolean {
  if (!isFusible(candidate) || view.staticNodes.has(candidate) || view.isGraphOutput(candidate)) return false
  if (!view.readers(candidate).every((reader) => members.has(reader))) return false
  const output = candidate.outputs[0]!
  return (
    (!REDUCE_OPS.has(candidate.opType) && view.sameShape(output, full)) ||
    comesFromReduction(view, candidate, full)
  )
}

/** The largest group that ends in `last` and whose inner values nobody else reads. */
function growBackwards(view: GraphView, last: Node, claimed: ReadonlySet<Node>): Set<Node> {
  const full = last.outputs[0]!
  const members = new Set([last])
  for (let grown = true; grown && members.size < MAX_REGION_NODES;) {
    grown = false
    for (const member of [...members]) {
      for (const input of view.dataInputs(member)) {
        const producer = view.producers.get(input)
        if (!producer || members.has(producer) || claimed.has(producer)) continue
        if (members.size >= MAX_REGION_NODES || !mayJoin(view, producer, members, full)) continue
        members.add(producer)
        grown = true
      }
    }
  }
  return members
}

function onlyReader(view: GraphView, node: Node): Node | undefined {
  const readers = view.readers(node)
  return readers.length === 1 && !view.isGraphOutput(node) ? readers[0] : undefined
}

/** Whether a node combines the value with something known at compile time: scale or shift of a normalisation. */
function isAffine(view: GraphView, node: Node | undefined, opType: string): node is Node {
  return node?.opType === opType && view.dataInputs(node).length === 1
}

/** GroupNorm as PyTorch exports it: Reshape, InstanceNormalization, Reshape, Mul, Add. */
function groupNorm(view: GraphView, norm: Node): Region {
  const nodes = [norm]
  const before = view.producers.get(norm.inputs[0]!)
  if (before && view.isFree(before) && onlyReader(view, before) === norm) nodes.unshift(before)
  let last = norm
  let next = onlyReader(view, last)
  for (const accept of [
    (node: Node | undefined): node is Node => node !== undefined && view.isFree(node),
    (node: Node | undefined): node is Node => isAffine(view, node, 'Mul'),
    (node: Node | undefined): node is Node => isAffine(view, node, 'Add'),
  ]) {
    if (!accept(next)) continue
    last = next
    nodes.push(last)
    next = onlyReader(view, last)
  }
  return { nodes, last, kind: 'group-norm' }
}

/** All regions of a graph; nodes in none of them are kernels of their own. */
export function findRegions(view: GraphView): Region[] {
  const regions: Region[] = []
  const claimed = new Set<Node>()
  const claim = (region: Region): void => {
    regions.push(region)
    for (const node of region.nodes) claimed.add(node)
  }
  for (const node of view.graph.nodes) {
    if (node.opType === 'InstanceNormalization' && !view.staticNodes.has(node)) claim(groupNorm(view, node))
  }
  const order = new Map(view.graph.nodes.map((node, index) => [node, index]))
  for (const node of [...view.graph.nodes].reverse()) {
    if (claimed.has(node) || view.staticNodes.has(node)) continue
    if (node.domain !== '' || !ELEMENTWISE_OPS.has(node.opType)) continue
    const nodes = [...growBackwards(view, node, claimed)].sort((a, b) => order.get(a)! - order.get(b)!)
    const reduces = nodes.some((member) => REDUCE_OPS.has(member.opType))
    const exponential = nodes.some((member) => member.opType === 'Exp')
    claim({ nodes, last: node, kind: reduces ? (exponential ? 'softmax' : 'norm') : 'elementwise' })
  }
  return regions
}
