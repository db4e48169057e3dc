// What layers are called: node name, module path of the source framework, weight name; and finding layers by these.
import type { Graph, Model, Node } from './model.ts'
import { nodeLabel } from './attributes.ts'

export interface LayerName {
  node: Node
  /** Name of the node, or of its first output when it has none. */
  name: string
  /** Where the layer was in the source model, such as `unet.down_blocks.0.resnets.0.conv1`. */
  modulePath?: string
  /** Name of its (first) weight. */
  weight?: string
  /** Every module path and weight name the layer answers to. */
  aliases: string[]
}

/** Operators that hand a weight on, so that the layer behind them is the one that uses it. */
const PASS_THROUGH = new Set([
  'Unsqueeze',
  'Squeeze',
  'Reshape',
  'Flatten',
  'Transpose',
  'Identity',
  'Cast',
  'QuantizeLinear',
  'DequantizeLinear',
])

/** Module path in the name of a node, as torch.onnx and tf2onnx write it: `/unet/conv_in/Conv` -> `unet.conv_in`. */
function pathOfNode(name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '')
  return parts.length > 1 ? parts.slice(0, -1).join('.') : undefined
}

/** Module path in the name of a weight: `unet.conv_in.weight` -> `unet.conv_in`. */
function pathOfWeight(name: string): string | undefined {
  if (name.includes('/') || name.includes('::')) return undefined
  const end = name.lastIndexOf('.')
  return end > 0 ? name.slice(0, end) : undefined
}

/** Weights that each value is, directly or through {@link PASS_THROUGH} operators. */
function tracedWeights(graph: Graph): Map<string, string> {
  const traced = new Map<string, string>([...graph.initializers.keys()].map((name) => [name, name]))
  for (const node of graph.nodes) {
    const weight = traced.get(node.inputs[0] ?? '')
    const output = node.outputs[0]
    if (weight !== undefined && output && PASS_THROUGH.has(node.opType)) traced.set(output, weight)
  }
  return traced
}

function describe(node: Node, traced: ReadonlyMap<string, string>): LayerName {
  const weights = [...new Set(node.inputs.flatMap((input) => traced.get(input) ?? []))]
  const fromNode = pathOfNode(node.name)
  const fromWeights = weights.flatMap((weight) => pathOfWeight(weight) ?? [])
  const weightPath = fromWeights.find(
    (path) => !fromNode || path === fromNode || path.endsWith(`.${fromNode}`),
  )
  const modulePath = weightPath ?? fromNode ?? fromWeights[0]
  const weight = weights.find((name) => !name.endsWith('.bias')) ?? weights[0]
  const aliases = [...new Set([...(fromNode ? [fromNode] : []), ...fromWeights, ...weights])]
  return {
    node,
    name: nodeLabel(node),
    ...(modulePath !== undefined && { modulePath }),
    ...(weight !== undefined && { weight }),
    aliases,
  }
}

/** Names of every layer of the main graph in graph order; Constant nodes are values, not layers. */
export function layerNames(model: Model): LayerName[] {
  const traced = tracedWeights(model.graph)
  return model.graph.nodes.filter((node) => node.opType !== 'Constant').map((node) => describe(node, traced))
}

/** `*` stands for any characters, dots and slashes included. Linear in the name: no backtracking. */
function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split('*')
  const [first, last] = [parts[0]!, parts.at(-1)!]
  const end = name.length - last.length
  if (!name.startsWith(first) || !name.endsWith(last) || end < first.length) return false
  let position = first.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, position)
    if (found < 0 || found + part.length > end) return false
    position = found + part.length
  }
  return true
}

/**
 * Layers that a pattern names: by node name, module path or weight name, `*` matching any characters. A module path
 * without `*` also names everything inside that module. Empty when nothing matches.
 */
export function matchLayers(layers: Model | readonly LayerName[], pattern: string): LayerName[] {
  const all = 'graph' in layers ? layerNames(layers) : layers
  if (pattern.includes('*')) {
    return all.filter((layer) => [layer.name, ...layer.aliases].some((name) => matchesPattern(name, pattern)))
  }
  const inside = `${pattern}.`
  return all.filter(
    (layer) =>
      layer.name === pattern || layer.aliases.some((name) => name === pattern || name.startsWith(inside)),
  )
}

/** Everything a layer can be called by, for suggestions: node names, module paths, weight names. */
export function allLayerNames(layers: readonly LayerName[]): string[] {
  return [...new Set(layers.flatMap((layer) => [layer.name, ...layer.aliases]))]
}

/** Edit distance (Levenshtein). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const change = a[row - 1] === b[column - 1] ? 0 : 1
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + change))
    }
    previous = current
  }
  return previous[b.length]!
}

const MAX_COMPARED_LENGTH = 200

/** The `count` names most like `wanted`, best first. */
export function nearestNames(names: readonly string[], wanted: string, count: number): string[] {
  const target = wanted.slice(0, MAX_COMPARED_LENGTH)
  return [...new Set(names)]
    .map((name) => ({ name, distance: distance(name.slice(0, MAX_COMPARED_LENGTH), target) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map((entry) => entry.name)
}
