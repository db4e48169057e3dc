// Attention by structure: a product of two activations, a softmax, a second product; what projects into and out of them.
import type { LayerRole } from '../../../contract/presets.ts'
import type { Node } from '../../onnx/index.ts'
import type { GraphLayer, GraphView } from './view.ts'

/** Between scores and softmax: scaling, masks, casts. */
const SCORE_TYPES = new Set(['Add', 'Sub', 'Mul', 'Div', 'Where', 'Cast', 'Clip', 'Max', 'Min'])
/** One projection, or two where text and image tokens are joined, with room for both halves of a cache. */
const MAX_PROJECTIONS = 4

function isProduct(layer: GraphLayer | undefined): boolean {
  return layer !== undefined && layer.weightDims === null
}

/** Products whose result becomes the softmax. */
function scoreProducts(view: GraphView, softmax: Node): GraphLayer[] {
  const stops = view.upstream(
    softmax.inputs[0] ?? '',
    (node) => SCORE_TYPES.has(node.opType) || view.isLayout(node),
  )
  return stops.flatMap((node) => {
    const layer = view.layerOf(node)
    return layer && isProduct(layer) ? [layer] : []
  })
}

/** Products that read the softmax. */
function mixProducts(view: GraphView, softmax: Node): GraphLayer[] {
  const passes = (node: Node): boolean =>
    view.isLayout(node) || view.isScaling(node) || node.opType === 'Where'
  return view.downstream(softmax.outputs[0] ?? '', passes).flatMap(({ node }) => {
    const layer = view.layerOf(node)
    return layer && isProduct(layer) ? [layer] : []
  })
}

/** The layers with weights right before a value, whatever lies between; none when there are too many to be projections. */
function projections(view: GraphView, value: string): GraphLayer[] {
  const stops = view.upstream(value, (node) => !view.layerOf(node) && node.opType !== 'Softmax')
  const layers = stops
    .flatMap((node) => view.layerOf(node) ?? [])
    .filter((layer) => layer.weightDims !== null)
  return layers.length <= MAX_PROJECTIONS ? layers : []
}

/** The layer that takes the heads back together. */
function outputProjections(view: GraphView, value: string): GraphLayer[] {
  const passes = (node: Node): boolean =>
    view.isLayout(node) || view.isScaling(node) || node.opType === 'Concat' || node.opType === 'Mul'
  return view.downstream(value, passes).flatMap(({ node, value: read }) => {
    const layer = view.layerOf(node)
    return layer && layer.weightDims !== null && layer.activation === read ? [layer] : []
  })
}

/** Roles around every softmax of attention. */
export function attentionRoles(view: GraphView): Map<GraphLayer, LayerRole> {
  const roles = new Map<GraphLayer, LayerRole>()
  const give = (layers: readonly GraphLayer[], role: LayerRole): void => {
    for (const layer of layers) {
      const before = roles.get(layer)
      const isShared = before !== undefined && before !== role
      roles.set(layer, isShared && before.startsWith('attention_') ? 'attention_qkv' : role)
    }
  }
  for (const softmax of view.model.graph.nodes) {
    if (softmax.opType !== 'Softmax') continue
    const scores = scoreProducts(view, softmax)
    const mixes = mixProducts(view, softmax)
    if (scores.length === 0 || mixes.length === 0) continue
    for (const layer of scores) {
      roles.set(layer, 'attention_scores')
      give(projections(view, layer.node.inputs[0] ?? ''), 'attention_query')
      give(projections(view, layer.node.inputs[1] ?? ''), 'attention_key')
    }
    for (const layer of mixes) {
      roles.set(layer, 'attention_mix')
      give(projections(view, layer.node.inputs[1] ?? ''), 'attention_value')
      give(outputProjections(view, layer.output), 'attention_output')
    }
  }
  return roles
}
