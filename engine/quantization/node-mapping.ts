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

/** Source nodes whose work a node of the deploy model does; empty for quantization steps that have no counterpart. */
function originalNames(node: Node, products: ReadonlyMap<string, string[]>): string[] {
  if (node.opType === 'AscendQuant') return []
  if (node.opType === 'AscendDequant') return products.get(node.name) ?? []
  return node.name === '' ? [] : [node.name]
}

/** Builds the mapping of a deploy model. An AscendDequant stands for the layer whose floating-point result it gives. */
export function nodeMapping(source: Model, deploy: Model, plan: QuantizationPlan): NodeMapping {
  const nodes = source.graph.nodes
  const products = new Map(
    plan.layers.map((layer) => {
      const { nodeIndex, addIndex } = layer.anatomy
      const originals = [nodeIndex, ...(addIndex === undefined ? [] : [addIndex])]
      return [`${layer.name}.dequant`, originals.map((index) => nodes[index]?.name || layer.name)] as const
    }),
  )
  const op = deploy.graph.nodes.map((node): MappedOperator => {
    const originals = originalNames(node, products)
    return {
      name: node.name,
      type: node.opType,
      attr: [{ key: '_datadump_original_op_names', value: { list: { s: originals } } }],
    }
  })
  return { name: source.graph.name, graph: [{ name: source.graph.name, op }] }
}
