// Splits a graph into the kernels that the device would launch: cube operators with their epilogue, fused vector
// chains, data movement. The compiler rounds to FP16 at the boundaries of the same kernels.
import type { Node } from '../onnx/index.ts'
import type { GraphView } from './graph-view.ts'
import {
  CONVOLUTION_OPS,
  CUBE_OPS,
  MOVE_OPS,
  NORM_OPS,
  POOL_OPS,
  REDUCE_OPS,
  SOFTMAX_OPS,
} from './op-classes.ts'
import { findRegions } from './regions.ts'
import type { Region } from './regions.ts'

export type KernelKind =
  | 'convolution'
  | 'matmul'
  | 'elementwise'
  | 'norm'
  | 'softmax'
  | 'pool'
  | 'reduce'
  | 'move'
  | 'quantize'
  | 'other'

export interface FusedKernel {
  kind: KernelKind
  /** The node that gives the kernel its name: the cube operator, or the last of a vector chain. */
  main: Node
  /** In graph order. */
  nodes: Node[]
}

function kindOf(node: Node): KernelKind {
  if (CONVOLUTION_OPS.has(node.opType)) return 'convolution'
  if (CUBE_OPS.has(node.opType)) return 'matmul'
  if (MOVE_OPS.has(node.opType)) return 'move'
  if (POOL_OPS.has(node.opType)) return 'pool'
  if (NORM_OPS.has(node.opType)) return 'norm'
  if (SOFTMAX_OPS.has(node.opType)) return 'softmax'
  if (REDUCE_OPS.has(node.opType)) return 'reduce'
  if (node.opType === 'AscendQuant' || node.opType === 'AscendAntiQuant') return 'quantize'
  return 'other'
}

const REGION_KIND = {
  elementwise: 'elementwise',
  norm: 'norm',
  'group-norm': 'norm',
  softmax: 'softmax',
} as const

/**
 * The cube kernel that a vector chain can follow without leaving the core: the chain is the only reader of its result
 * and keeps its shape. Of several (a residual sum), the one that runs last.
 */
function epilogueHost(
  view: GraphView,
  region: Region,
  kernelOf: ReadonlyMap<Node, FusedKernel>,
  order: ReadonlyMap<Node, number>,
): FusedKernel | undefined {
  if (region.kind !== 'elementwise') return undefined
  const members = new Set(region.nodes)
  const result = region.last.outputs[0]!
  const hosts = region.nodes
    .flatMap((node) => view.dataInputs(node))
    .flatMap((input) => {
      const producer = view.producers.get(input)
      const kernel = producer && kernelOf.get(producer)
      if (!kernel || !CUBE_OPS.has(kernel.main.opType) || kernel.nodes.length > 1) return []
      if (view.outputs.has(input) || !view.readers(producer).every((reader) => members.has(reader))) return []
      return view.sameShape(input, result) ? [kernel] : []
    })
  return hosts.sort((a, b) => order.get(b.main)! - order.get(a.main)!)[0]
}

/**
 * Whether AscendQuant disappears into the kernel that makes its input. Fusion passes of the Graph Engine exist for
 * convolution (TbeConvDequantQuant, TbeConvDequantVaddReluQuant, TbeCommonRules0/2, V100/V200Requant), element-wise
 * kernels (TbeEltwiseQuant) and 2-D pooling (TbePool2dQuant); after anything else it is a vector kernel of its own.
 */
function absorbsQuant(kernel: FusedKernel): boolean {
  return kernel.kind === 'convolution' || kernel.kind === 'elementwise' || kernel.kind === 'pool'
}

/** Splits the graph into kernels, in the order in which they run. Static and free nodes are in none. */
export function fuseKernels(view: GraphView): FusedKernel[] {
  const order = new Map(view.graph.nodes.map((node, index) => [node, index]))
  const kernelOf = new Map<Node, FusedKernel>()
  const regions = findRegions(view)
  const inRegion = new Set(regions.flatMap((region) => region.nodes))
  for (const node of view.graph.nodes) {
    if (inRegion.has(node) || view.staticNodes.has(node) || view.isFree(node)) continue
    kernelOf.set(node, { kind: kindOf(node), main: node, nodes: [node] })
  }
  const place = (kernel: FusedKernel, nodes: readonly Node[]): void => {
    for (const node of nodes) kernelOf.set(node, kernel)
    kernel.nodes = [...new Set([...kernel.nodes, ...nodes])].sort((a, b) => order.get(a)! - order.get(b)!)
  }
  for (const region of regions.sort((a, b) => order.get(a.last)! - order.get(b.last)!)) {
    const host = epilogueHost(view, region, kernelOf, order)
    place(host ?? { kind: REGION_KIND[region.kind], main: region.last, nodes: [] }, region.nodes)
  }
  for (const node of view.graph.nodes) {
    if (node.opType !== 'AscendQuant') continue
    const producer = view.producers.get(node.inputs[0]!)
    const host = producer && kernelOf.get(producer)
    if (host && absorbsQuant(host)) place(host, [node])
  }
  const lastOf = (kernel: FusedKernel): number => order.get(kernel.nodes.at(-1)!)!
  return [...new Set(kernelOf.values())].sort((a, b) => lastOf(a) - lastOf(b))
}

/** Values that a kernel reads from memory: computed elsewhere on the device. */
export function kernelInputs(view: GraphView, kernel: FusedKernel): string[] {
  const own = new Set(kernel.nodes.flatMap((node) => node.outputs))
  const inputs = kernel.nodes.flatMap((node) => view.dataInputs(node)).filter((input) => !own.has(input))
  return [...new Set(inputs)]
}

/** Values that a kernel writes to memory: read elsewhere, or outputs of the model. */
export function kernelOutputs(view: GraphView, kernel: FusedKernel): string[] {
  const members = new Set(kernel.nodes)
  return kernel.nodes
    .flatMap((node) => node.outputs)
    .filter((output) => {
      if (output === '') return false
      if (view.outputs.has(output)) return true
      return (view.consumers.get(output) ?? []).some((reader) => !members.has(reader))
    })
}
