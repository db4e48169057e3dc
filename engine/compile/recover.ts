// The ONNX model inside a simulated .om, as a quantizer wants it: without rounding, with the source's names.
import { AppError } from '../../contract/errors/index.ts'
import { DataType, makeTensor, openModel, removeUnusedInitializers, tensorBytes } from '../onnx/index.ts'
import type { Attribute, Graph, Model, Node } from '../onnx/index.ts'
import { inspectOm, payloadRegion } from './inspect.ts'
import { PAYLOAD_DOMAIN } from './integer-nodes.ts'
import { ROUND_PREFIX, WIDEN_PREFIX } from './lower.ts'
import { fromHalf } from './weights.ts'

/** Renames every use of values in a graph and its subgraphs. */
function renameValues(graph: Graph, names: ReadonlyMap<string, string>): void {
  const rename = (name: string): string => names.get(name) ?? name
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map(rename)
    node.outputs = node.outputs.map(rename)
    for (const inner of innerGraphs(node)) renameValues(inner, names)
  }
  for (const output of graph.outputs) output.name = rename(output.name)
}

function innerGraphs(node: Node): Graph[] {
  return node.attributes.flatMap((attribute: Attribute) =>
    attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [],
  )
}

/** Rounded weights become FLOAT weights under their own name. */
function restoreWeights(graph: Graph): void {
  graph.nodes = graph.nodes.filter((node) => {
    if (!node.name.startsWith(WIDEN_PREFIX)) return true
    const tensor = graph.initializers.get(node.inputs[0]!)
    if (!tensor) return true
    graph.initializers.delete(tensor.name)
    const name = node.outputs[0]!
    graph.initializers.set(name, makeTensor(name, DataType.FLOAT, tensor.dims, fromHalf(tensorBytes(tensor))))
    return false
  })
}

/**
 * Takes the rounding out. After a node: the node writes the rounded name again. After an input or a constant: readers
 * read the unrounded one.
 */
function removeRounding(graph: Graph): void {
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs))
  const names = new Map<string, string>()
  const isRound = (node: Node): boolean =>
    node.domain === PAYLOAD_DOMAIN && node.name.startsWith(ROUND_PREFIX)
  for (const node of graph.nodes) {
    if (!isRound(node)) continue
    const [input, output] = [node.inputs[0]!, node.outputs[0]!]
    if (produced.has(input) && !output.startsWith(`${input}.`)) names.set(input, output)
    else names.set(output, input)
  }
  graph.nodes = graph.nodes.filter((node) => !isRound(node))
  renameValues(graph, names)
  for (const inner of graph.nodes.flatMap(innerGraphs)) {
    restoreWeights(inner)
    removeRounding(inner)
  }
}

/**
 * The float model of a simulated .om. Names of nodes, values, weights, inputs and outputs are those of the source;
 * weights have FP16 precision when the file was compiled so, and batch normalisation is folded.
 * @throws E_OM_REAL for a real .om (names the source model), E_OM_QUANTIZED for an int8 one, E_OM_INVALID
 */
export function recoverOnnx(path: string): Model {
  const summary = inspectOm(path)
  if (!summary.simulated || !summary.manifest) {
    const source = summary.sourceModel ?? 'the ONNX file it was compiled from'
    throw new AppError('E_OM_REAL', { path, soc: summary.soc ?? 'an Ascend device', source })
  }
  if (summary.manifest.precision === 'int8') {
    throw new AppError('E_OM_QUANTIZED', { path, source: summary.manifest.source.file })
  }
  const model = openModel(path, payloadRegion(path))
  restoreWeights(model.graph)
  removeRounding(model.graph)
  removeUnusedInitializers(model.graph)
  model.opsetImports = model.opsetImports.filter((entry) => entry.domain !== PAYLOAD_DOMAIN)
  return model
}
