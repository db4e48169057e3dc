// Roles by the place of a layer in the graph: first and last layers, skip connections, resampling, feed-forward parts.
import type { LayerRole } from '../../../contract/presets.ts'
import type { Node } from '../../onnx/index.ts'
import { type GraphLayer, type GraphView, isLinear, isPointwise } from './view.ts'

const RESIZING = new Set(['Resize', 'Upsample', 'DepthToSpace'])
/** A feed-forward part widens at least this much. */
const LEAST_WIDENING = 1.5
/** Scores for a vocabulary that is not that of the inputs: at least this much wider than the model. */
const LEAST_HEAD_WIDENING = 4
/** Nodes between the two ends of a residual connection. */
const MAX_BRANCH = 120

function layersAmong(view: GraphView, nodes: readonly Node[]): GraphLayer[] {
  return nodes.flatMap((node) => view.layerOf(node) ?? []).filter((layer) => layer.weightDims !== null)
}

/** The layer reads nothing that another layer has computed. */
function isFirst(view: GraphView, layer: GraphLayer): boolean {
  return !view.isBehindLayers(layer.activation)
}

/**
 * Nothing but rearranging and scaling lies between the layer and the outputs; sums with what no layer has computed are
 * allowed, such as the noisy sample that a denoiser adds.
 */
function isLast(view: GraphView, layer: GraphLayer): boolean {
  const passes = (node: Node, value: string): boolean => {
    if (view.layerOf(node)) return false
    if (view.isPassThrough(node) || RESIZING.has(node.opType) || node.opType.startsWith('Reduce')) return true
    if (node.opType === 'Softmax' || node.opType === 'LogSoftmax') return true
    const others = view.dynamicInputs(node).filter((input) => input !== value)
    return others.every((input) => !view.isBehindLayers(input))
  }
  const stops = view.downstream(layer.output, passes)
  return stops.length === 0
}

/** Whether a value lies before another on a branch without attention or joins of more than one kind. */
function branchReaches(view: GraphView, from: string, target: string): boolean {
  const seen = new Set([from])
  const queue = [from]
  for (let at = 0; at < queue.length && seen.size <= MAX_BRANCH; at++) {
    const value = queue[at] ?? ''
    if (value === target) return true
    const node = view.producer(value)
    if (!node) continue
    const layer = view.layerOf(node)
    if (layer && layer.weightDims === null) continue
    for (const input of layer ? [layer.activation] : view.dynamicInputs(node)) {
      if (seen.has(input)) continue
      seen.add(input)
      queue.push(input)
    }
  }
  return false
}

/** The sums that a layer's output goes into directly, each with its other operand. */
function sumsBehind(view: GraphView, layer: GraphLayer): { node: Node; other: string }[] {
  const passes = (node: Node): boolean =>
    view.isScaling(node) ||
    node.opType === 'BatchNormalization' ||
    node.opType === 'Identity' ||
    node.opType === 'Cast'
  return view.downstream(layer.output, passes).flatMap(({ node, value }) => {
    const other = view.dynamicInputs(node).find((input) => input !== value)
    return node.opType === 'Add' && other !== undefined ? [{ node, other }] : []
  })
}

/** A pointwise convolution beside a block of layers: it carries the residual stream past them. */
function isSkip(view: GraphView, layer: GraphLayer): boolean {
  if (!layer.isConvolution || !isPointwise(layer)) return false
  return sumsBehind(view, layer).some(({ other }) => {
    const node = view.producer(other)
    return node !== undefined && other !== layer.activation && branchReaches(view, other, layer.activation)
  })
}

function isUpsampler(view: GraphView, layer: GraphLayer): boolean {
  if (!layer.isConvolution) return false
  if (layer.node.opType === 'ConvTranspose') return layer.strides.some((stride) => stride > 1)
  const stops = view.upstream(layer.activation, (node) => view.isLayout(node))
  return stops.some((node) => RESIZING.has(node.opType))
}

function isDownsampler(layer: GraphLayer): boolean {
  return layer.node.opType === 'Conv' && !isPointwise(layer) && layer.strides.some((stride) => stride > 1)
}

/** Layout only, with a change of rank or order on the way. */
function layoutWalk(view: GraphView): { passes: (node: Node) => boolean; rearranged: () => boolean } {
  let rearranged = false
  return {
    passes: (node) => {
      if (!view.isLayout(node)) return false
      if (node.opType === 'Reshape' || node.opType === 'Transpose') rearranged = true
      return true
    },
    rearranged: () => rearranged,
  }
}

const normalizes = (view: GraphView, node: Node): boolean =>
  node.opType === 'LayerNormalization' || node.opType === 'ReduceMean' || view.isNormalization(node)

/** From the image to the tokens of a transformer inside a convolutional network. */
function isTransformerInput(view: GraphView, layer: GraphLayer): boolean {
  if (!isPointwise(layer)) return false
  if (layer.isConvolution) {
    const walk = layoutWalk(view)
    const stops = view.downstream(layer.output, walk.passes)
    return walk.rearranged() && stops.some(({ node }) => normalizes(view, node))
  }
  // A linear layer reads the normalized image after it was laid out as tokens.
  const walk = layoutWalk(view)
  const stops = view.upstream(layer.activation, walk.passes)
  return (
    walk.rearranged() &&
    stops.some((node) => view.rank(node.outputs[0] ?? '') === 4 && view.isPassThrough(node))
  )
}

/** From the tokens back to the image. */
function isTransformerOutput(view: GraphView, layer: GraphLayer): boolean {
  if (!isPointwise(layer)) return false
  const walk = layoutWalk(view)
  if (layer.isConvolution) {
    const stops = view.upstream(layer.activation, walk.passes)
    return (
      walk.rearranged() && stops.some((node) => node.opType === 'Add') && sumsBehind(view, layer).length > 0
    )
  }
  const stops = view.downstream(layer.output, walk.passes)
  return (
    walk.rearranged() &&
    stops.some(({ node, value }) => node.opType === 'Add' && view.rank(value) === 4) &&
    view.rank(layer.output) === 3
  )
}

function isRouter(view: GraphView, layer: GraphLayer): boolean {
  const passes = (node: Node): boolean =>
    !view.layerOf(node) &&
    (view.isPassThrough(node) || node.opType === 'Softmax' || node.opType.startsWith('Reduce'))
  return view.downstream(layer.output, passes).some(({ node }) => node.opType === 'TopK')
}

interface FeedForward {
  output: GraphLayer
  inputs: GraphLayer[]
  /** Those whose result goes through the activation function first, where another one does not. */
  gates: GraphLayer[]
}

/** A layer that takes back what one or two others have widened, with an activation function between them. */
function feedForward(view: GraphView, layer: GraphLayer): FeedForward | undefined {
  if (!isPointwise(layer)) return undefined
  let activated = false
  const passes = (node: Node): boolean => {
    if (view.layerOf(node) || view.isNormalization(node)) return false
    if (view.isActivation(node)) activated = true
    return view.isPassThrough(node) || node.opType === 'Mul'
  }
  const stops = view.upstream(layer.activation, passes)
  const sources = layersAmong(view, stops)
  if (!activated || sources.length === 0 || sources.length !== stops.length || sources.length > 2)
    return undefined
  const fits = sources.every(
    (source) =>
      isPointwise(source) &&
      source.inputs === layer.outputs &&
      (source.outputs === layer.inputs || source.outputs === 2 * layer.inputs) &&
      source.outputs >= LEAST_WIDENING * source.inputs,
  )
  if (!fits) return undefined
  const gates = sources.length === 2 ? sources.filter((source) => isActivated(view, source)) : []
  return { output: layer, inputs: sources, gates: gates.length === 1 ? gates : [] }
}

/** The layer's result goes into an activation function, alone. */
function isActivated(view: GraphView, layer: GraphLayer): boolean {
  const stops = view.downstream(layer.output, (node) => view.isLayout(node) || view.isScaling(node))
  return stops.some(({ node }) => view.isActivation(node))
}

/** Feed-forward parts: the output with what feeds it. */
export function feedForwardRoles(view: GraphView): Map<GraphLayer, LayerRole> {
  const roles = new Map<GraphLayer, LayerRole>()
  for (const layer of view.layers) {
    const found = layer.weightDims === null ? undefined : feedForward(view, layer)
    if (!found) continue
    roles.set(found.output, 'feed_forward_output')
    for (const input of found.inputs) {
      roles.set(input, found.gates.includes(input) ? 'feed_forward_gate' : 'feed_forward_input')
    }
  }
  return roles
}

/** What holds for the whole model and decides between roles of one shape. */
export interface ModelTraits {
  /** Sizes of the tables that tokens are looked up in; empty when no tokens come in. */
  vocabularies: readonly number[]
}

/** The role that a layer's place tells; the rest are plain convolutions and projections. */
export function roleByPlace(view: GraphView, layer: GraphLayer, traits: ModelTraits): LayerRole {
  if (layer.isConvolution) return convolutionRole(view, layer)
  if (isRouter(view, layer)) return 'router'
  if (isLast(view, layer)) return lastLinearRole(view, layer, traits)
  if (isTransformerInput(view, layer)) return 'transformer_input'
  if (isTransformerOutput(view, layer)) return 'transformer_output'
  return isFirst(view, layer) && view.rank(layer.activation) === 3 && traits.vocabularies.length === 0
    ? 'context_projection'
    : 'projection'
}

/** A head scores every word; the vocabulary of the outputs may be another one, but it is wide. */
function lastLinearRole(view: GraphView, layer: GraphLayer, { vocabularies }: ModelTraits): LayerRole {
  const isHead = vocabularies.includes(layer.outputs) || layer.outputs >= LEAST_HEAD_WIDENING * layer.inputs
  if (vocabularies.length > 0) return isHead ? 'language_head' : 'output_projection'
  // Convolutions beyond the one that cuts patches.
  const isConvolutional = view.layers.some(
    (other) => other.isConvolution && !isPointwise(other) && !isFirst(view, other),
  )
  return isConvolutional ? 'classifier' : 'output_projection'
}

function convolutionRole(view: GraphView, layer: GraphLayer): LayerRole {
  if (isFirst(view, layer) && view.isBehindLayers(layer.output)) {
    const isPatch =
      layer.strides.some((stride) => stride > 1) &&
      layer.kernel.every((size, at) => size === layer.strides[at])
    return isPatch ? 'patch_embedding' : 'input_convolution'
  }
  if (isLast(view, layer)) return 'output_convolution'
  if (isSkip(view, layer)) return 'skip_convolution'
  if (isUpsampler(view, layer)) return 'upsampler'
  if (isDownsampler(layer)) return 'downsampler'
  if (layer.groups > 1 && layer.groups === layer.inputs) return 'depthwise_convolution'
  if (isTransformerInput(view, layer)) return 'transformer_input'
  if (isTransformerOutput(view, layer)) return 'transformer_output'
  return isLinear(layer) ? 'projection' : 'convolution'
}
