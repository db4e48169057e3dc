// <prefix>_quant.json: which node of the deploy model came from which node of the source. The accuracy comparison
// tools of CANN read it in the form of a Graph Engine dump: graph / op / attr "_datadump_original_op_names".
import type { Model, Node } from '../onnx/index.ts'
import type { QuantizationPlan } from './plan.ts'

interface MappedOperator {
  name: string
  type: string
  attr: { key: '_datadump_original_op_names'; value: { list: { s: string[] } } }[]
}

export interface NodeMapping {
  name: string
  graph: { name: string; op: MappedOperator[] }[]
}

/** Source nodes whose work a node of the deploy model does; empty for steps that have no counterpart. */
function originalNames(
  node: Node,
  sources: ReadonlySet<string>,
  products: ReadonlyMap<string, string[]>,
): string[] {
  return products.get(node.name) ?? (sources.has(node.name) ? [node.name] : [])
}

/**
 * Builds the mapping of a deploy model. An AscendDequant stands for the layer whose floating-point result it gives.
 * @param origins For nodes that weight repair changed or added: the nodes they stand for in the model before it.
 */
export function nodeMapping(
  source: Model,
  deploy: Model,
  plan: QuantizationPlan,
  origins: ReadonlyMap<string, string[]> = new Map(),
): NodeMapping {
  const nodes = source.graph.nodes
  const originalsOf = (name: string, indices: readonly (number | undefined)[]): [string, string[]] => {
    const originals = indices.filter((index) => index !== undefined)
    return [`${name}.dequant`, originals.map((index) => nodes[index]?.name || name)]
  }
  const products = new Map([
    ...plan.layers.map(({ name, anatomy }) => originalsOf(name, [anatomy.nodeIndex, anatomy.addIndex])),
    ...plan.pools.map(({ name, nodeIndex }) => originalsOf(name, [nodeIndex])),
  ])
  const planned = [...plan.layers, ...plan.weightOnly, ...plan.pools].map(({ name }) => name)
  const sources = new Set([...nodes.map((node) => node.name), ...planned])
  sources.delete('')
  const op = deploy.graph.nodes.map((node): MappedOperator => {
    const originals = originalNames(node, sources, products).flatMap((name) => origins.get(name) ?? [name])
    return {
      name: node.name,
      type: node.opType,
      attr: [{ key: '_datadump_original_op_names', value: { list: { s: originals } } }],
    }
  })
  return { name: source.graph.name, graph: [{ name: source.graph.name, op }] }
}
