// BatchNormalization folded into the layer before it: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta is one
// factor and one addend per output channel of that layer (AMCT, do_fusion).
import type { RepairNote } from '../../../contract/repair.ts'
import { floatAttribute, intAttribute, makeNode, nodeLabel, type Node } from '../../onnx/index.ts'
import { constantDims, constantValues, resolveConstant } from '../constants.ts'
import { type LinearLayer, linearLayers } from './linear-layer.ts'
import type { ModelEditor } from './model-editor.ts'
import { scaleChannels } from './weight-channels.ts'

const DEFAULT_EPSILON = 1e-5

interface Affine {
  factors: Float64Array
  addends: Float64Array
}

/** A node that computes statistics of its own batch is training, not inference. */
function infers(node: Node): boolean {
  const statistics = node.outputs.slice(1).some((output) => output !== '')
  return !statistics && intAttribute(node, 'training_mode', 0) === 0
}

/** Factor and addend of every channel; undefined unless all four parameters are constants of that length. */
function affineOf(editor: ModelEditor, node: Node, channels: number): Affine | undefined {
  const { graph } = editor.model
  const vectors = node.inputs.slice(1, 5).map((name) => {
    const constant = resolveConstant(graph, editor.index, name)
    const fits = constant && constantDims(constant).join() === String(channels)
    return fits ? constantValues(constant) : undefined
  })
  const [gamma, beta, mean, variance] = vectors
  if (!gamma || !beta || !mean || !variance) return undefined
  const epsilon = floatAttribute(node, 'epsilon', DEFAULT_EPSILON)
  const factors = Float64Array.from(
    gamma,
    (scale, channel) => scale / Math.sqrt((variance[channel] as number) + epsilon),
  )
  const addends = Float64Array.from(
    beta,
    (shift, channel) => shift - (mean[channel] as number) * (factors[channel] as number),
  )
  return factors.every(Number.isFinite) && addends.every(Number.isFinite) ? { factors, addends } : undefined
}

/** BatchNormalization has its channels in dimension 1: for a product that is its last only in a matrix. */
function axisFits(editor: ModelEditor, layer: LinearLayer): boolean {
  return layer.inputAxis === 1 || editor.dims(layer.anatomy.output)?.length === 2
}

function fold(editor: ModelEditor, layer: LinearLayer, normalization: Node, affine: Affine): boolean {
  const { anatomy, node } = layer
  const weights = scaleChannels(layer.values(), layer.channels, { output: affine.factors })
  const own = anatomy.bias && constantValues(anatomy.bias)
  const bias = Float32Array.from(
    affine.addends,
    (addend, channel) => addend + (own?.[channel] ?? 0) * (affine.factors[channel] as number),
  )
  const [result = ''] = normalization.outputs
  if (anatomy.opType === 'MatMul' && !layer.add) {
    const name = editor.addConstant(`${nodeLabel(node)}.bias`, anatomy.weight.dataType, [bias.length], bias)
    if (name === undefined || !layer.write(editor, weights)) return false
    const inputs = [anatomy.output, name]
    const addName = editor.names.take(`${nodeLabel(node)}.bias_add`)
    editor.insertAfter(node, makeNode({ opType: 'Add', name: addName, inputs, outputs: [result] }))
  } else {
    if (!layer.write(editor, weights, bias)) return false
    ;(layer.add ?? node).outputs[0] = result
  }
  editor.remove(normalization)
  return true
}

/**
 * Folds every BatchNormalization in inference form whose input comes straight from a layer and goes nowhere else.
 * Results stay the same within float rounding; a layer whose folded weight would not fit its element type is left.
 * @param skipped Layers or normalizations that stay as they are.
 */
export function foldBatchNorm(editor: ModelEditor, skipped: ReadonlySet<Node>): RepairNote[] {
  const notes: RepairNote[] = []
  // One normalization behind another is folded in the next round.
  for (let round = foldOnce(editor, skipped); round.length > 0; round = foldOnce(editor, skipped)) {
    notes.push(...round)
    editor.apply()
  }
  return notes
}

function foldOnce(editor: ModelEditor, skipped: ReadonlySet<Node>): RepairNote[] {
  const notes: RepairNote[] = []
  for (const layer of linearLayers(editor)) {
    const next = editor.onlyReader(layer.anatomy.output)
    if (next?.opType !== 'BatchNormalization' || next.domain !== '' || !infers(next)) continue
    if (next.inputs[0] !== layer.anatomy.output || !axisFits(editor, layer)) continue
    if ([layer.node, layer.add, next].some((node) => node && skipped.has(node))) continue
    const affine = affineOf(editor, next, layer.anatomy.outputChannels)
    if (!affine || !fold(editor, layer, next, affine)) continue
    notes.push({
      kind: 'fold_batch_norm',
      layer: nodeLabel(layer.node),
      normalization: nodeLabel(next),
    })
  }
  return notes
}
