// Structural checks of a model: every value has one origin, nothing is read before it is written.
import { AppError } from '../../contract/errors/index.ts'
import { nodeLabel } from './attributes.ts'
import { subgraphs } from './graph.ts'
import type { Graph, Model } from './model.ts'
import { sparseInitializerNames } from './sparse.ts'

/**
 * Checks the main graph and the graphs in it.
 * @throws E_ONNX_GRAPH naming the graph, node and value: an operator type missing, a value written twice, a value read
 *   that nothing writes or that is written later (a cycle), an output that nothing writes
 */
export function validateModel(model: Model): void {
  validateGraph(model.graph, new Set(), model.path ?? 'model')
}

function validateGraph(graph: Graph, outer: ReadonlySet<string>, path: string): void {
  const fail = (reason: string): AppError => new AppError('E_ONNX_GRAPH', { path, graph: graph.name, reason })
  const own = new Set<string>([...graph.initializers.keys(), ...sparseInitializerNames(graph)])
  for (const { name } of graph.inputs) {
    if (own.has(name)) throw fail(`the input "${name}" exists twice`)
    own.add(name)
  }
  const visible = (name: string): boolean => own.has(name) || outer.has(name)
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs))
  for (const node of graph.nodes) {
    const label = nodeLabel(node)
    if (node.opType === '') throw fail(`the node "${label}" has no operator type`)
    for (const input of node.inputs) {
      if (input === '' || visible(input)) continue
      const late = produced.has(input)
      throw fail(
        late
          ? `the node "${label}" reads "${input}" before it is written (a cycle, or the nodes are not sorted)`
          : `the node "${label}" reads "${input}", which nothing writes`,
      )
    }
    for (const inner of subgraphs(node)) validateGraph(inner, new Set([...outer, ...own]), path)
    for (const output of node.outputs) {
      if (output === '') continue
      if (own.has(output)) throw fail(`the value "${output}" is written twice (again by node "${label}")`)
      own.add(output)
    }
  }
  for (const { name } of graph.outputs) if (!visible(name)) throw fail(`nothing writes the output "${name}"`)
}
