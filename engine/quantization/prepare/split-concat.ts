// Conv(Concat(a, b)) = Conv_a(a) + Conv_b(b): skip connections join tensors of very different ranges, which one
// activation scale cannot hold (Li et al. 2023, Q-Diffusion: shortcut-splitting quantization). The layer is split at the
// joint; each part gets a scale of its own.
import type { RepairNote } from '../../../contract/repair.ts'
import type { RepairSettings } from '../../../contract/recipe.ts'
import { channelKey, type ChannelStatistics } from '../../calibration/index.ts'
import {
  cloneNode,
  DataType,
  intAttribute,
  makeNode,
  makeTensor,
  type Node,
  nodeLabel,
} from '../../onnx/index.ts'
import { putInitializer } from '../rewrite.ts'
import { activationScaleOffset } from '../rules.ts'
import type { LinearLayer } from './linear-layer.ts'
import type { ModelEditor } from './model-editor.ts'
import { inputEnergies, sliceInputs } from './weight-channels.ts'

/** A layer whose input has a joint somewhere before it. */
export interface SplitCandidate {
  layer: LinearLayer
  /** First channels of the joined tensors, and the number of channels behind them. */
  bounds: number[]
  /** The joined tensors themselves, when the layer reads the Concat directly. */
  parts?: string[]
}

/** Nodes looked at on the way back from a layer to a joint. */
const MAX_VISITED = 64
/** Operators that leave every channel in its place: the joint lies at the same channel behind them. */
const KEEP_CHANNELS = new Set([
  ...[
    'Relu',
    'LeakyRelu',
    'PRelu',
    'Elu',
    'Selu',
    'Celu',
    'Sigmoid',
    'HardSigmoid',
    'HardSwish',
    'Tanh',
    'Softplus',
  ],
  ...['Mish', 'Gelu', 'Erf', 'Clip', 'Identity', 'Dropout', 'Cast', 'Mul', 'Div', 'Add', 'Sub'],
  ...['BatchNormalization', 'InstanceNormalization', 'GroupNormalization', 'Reshape'],
  ...['MaxPool', 'AveragePool', 'Resize', 'Pad'],
])

function channelDims(editor: ModelEditor, tensors: readonly string[], axis: number): number[] | undefined {
  const sizes = tensors.map((tensor) => editor.dims(tensor)?.at(axis))
  return sizes.every((size) => typeof size === 'number') ? sizes : undefined
}

/** The Concat along the channels that a node is, if it is one. */
function jointOf(editor: ModelEditor, node: Node, axis: number, channels: number): number[] | undefined {
  if (node.opType !== 'Concat' || node.domain !== '' || node.inputs.length < 2) return undefined
  const rank = editor.dims(node.outputs[0] ?? '')?.length
  const concatAxis = intAttribute(node, 'axis')
  if (rank === undefined || (concatAxis + rank) % rank !== (axis + rank) % rank) return undefined
  const sizes = channelDims(editor, node.inputs, axis)
  const bounds = sizes?.reduce<number[]>((sum, size) => [...sum, (sum.at(-1) as number) + size], [0])
  return bounds?.at(-1) === channels ? bounds : undefined
}

/**
 * Goes back from a layer's input to a joint of the same number of channels. Where to cut only decides how much a split
 * gains, never whether it is right: Conv(x) is the sum over any ranges of the channels of x.
 */
function findJoint(editor: ModelEditor, layer: LinearLayer): { bounds: number[]; node: Node } | undefined {
  const pending = [layer.anatomy.activation]
  const seen = new Set<string>()
  while (pending.length > 0 && seen.size < MAX_VISITED) {
    const value = pending.shift() as string
    const node = editor.index.producers.get(value)
    if (!node || seen.has(value)) continue
    seen.add(value)
    const bounds = jointOf(editor, node, layer.inputAxis, layer.count('input'))
    if (bounds) return { bounds, node }
    if (node.domain === '' && KEEP_CHANNELS.has(node.opType)) pending.push(...node.inputs)
  }
  return undefined
}

/** Every ungrouped layer that reads joined channels. */
export function splitCandidates(editor: ModelEditor, layers: readonly LinearLayer[]): SplitCandidate[] {
  return layers.flatMap((layer): SplitCandidate[] => {
    if (layer.channels.groups !== 1) return []
    const joint = findJoint(editor, layer)
    if (!joint) return []
    const direct = joint.node.outputs[0] === layer.anatomy.activation
    return [{ layer, bounds: joint.bounds, ...(direct && { parts: joint.node.inputs }) }]
  })
}

interface Ranges {
  statistics: ChannelStatistics
  energies: Float64Array
  symmetric: boolean
}

interface Span {
  min: number
  max: number
  /** Expected squared error at the output per output channel and place, in units that cancel: step^2 * sum of w^2. */
  noise: number
}

/** Rounding to a step d adds an error of variance d^2 / 12 per input, which the weights carry to the output. */
function span({ statistics, energies, symmetric }: Ranges, start: number, end: number): Span {
  let [min, max, energy] = [0, 0, 0]
  for (let channel = start; channel < end; channel++) {
    min = Math.min(min, statistics.min[channel] as number)
    max = Math.max(max, statistics.max[channel] as number)
    energy += energies[channel] as number
  }
  const { scale } = activationScaleOffset(min, max, symmetric)
  return { min, max, noise: min === max ? 0 : scale ** 2 * energy }
}

/** 10 log10 of the noise of one scale over that of several; infinite when the parts have no noise at all. */
function gainDb(whole: number, parts: number): number {
  return whole === 0 ? 0 : 10 * Math.log10(whole / parts)
}

function gainOf(ranges: Ranges, bounds: readonly number[]): number {
  const parts = bounds.slice(1).map((end, index) => span(ranges, bounds[index] as number, end).noise)
  const whole = span(ranges, bounds[0] as number, bounds.at(-1) as number).noise
  return gainDb(
    whole,
    parts.reduce((sum, noise) => sum + noise, 0),
  )
}

/** Cuts where the gain is largest, and the halves again, as long as each cut gains enough. */
function worthwhile(ranges: Ranges, bounds: readonly number[], minimum: number): number[] {
  const [start, end] = [bounds[0] as number, bounds.at(-1) as number]
  const cuts = bounds.slice(1, -1).map((cut) => ({ cut, gain: gainOf(ranges, [start, cut, end]) }))
  const [best] = cuts.toSorted((a, b) => b.gain - a.gain)
  if (!best || best.gain < minimum) return [start, end]
  const left = bounds.filter((bound) => bound <= best.cut)
  const right = bounds.filter((bound) => bound >= best.cut)
  return [...worthwhile(ranges, left, minimum), ...worthwhile(ranges, right, minimum).slice(1)]
}

/** The tensors that the parts read: those joined, or slices of the layer's input. */
function partTensors(
  editor: ModelEditor,
  candidate: SplitCandidate,
  bounds: readonly number[],
  slices: Map<string, string[]>,
): string[] {
  const { layer, parts } = candidate
  const direct = parts && bounds.length === candidate.bounds.length
  if (direct) return [...parts]
  const key = JSON.stringify([layer.anatomy.activation, layer.inputAxis, bounds])
  const known = slices.get(key)
  if (known) return known
  const name = editor.names.take(`${nodeLabel(layer.node)}.split`)
  const sizes = bounds.slice(1).map((end, index) => BigInt(end - (bounds[index] as number)))
  const sizesName = editor.names.take(`${name}.sizes`)
  putInitializer(
    editor.model,
    makeTensor(sizesName, DataType.INT64, [sizes.length], BigInt64Array.from(sizes)),
  )
  const outputs = sizes.map((_, index) => editor.names.take(`${name}.output${index}`))
  const inputs = [layer.anatomy.activation, sizesName]
  const attributes = { axis: layer.inputAxis }
  editor.insertBefore(layer.node, makeNode({ opType: 'Split', name, inputs, outputs, attributes }))
  slices.set(key, outputs)
  return outputs
}

function partDims(layer: LinearLayer, channels: number): number[] {
  const [first = 1, second = 1, ...kernel] = layer.anatomy.weightDims
  return layer.channels.firstSide === 'input' ? [channels, second, ...kernel] : [first, channels, ...kernel]
}

interface SplitPart {
  node: Node
  add?: Node
  output: string
}

/** A copy of the layer for one range of its input channels; the first keeps the bias. */
function makePart(
  editor: ModelEditor,
  layer: LinearLayer,
  index: number,
  tensor: string,
  range: { start: number; end: number; weights: Float32Array },
): SplitPart {
  const { anatomy, channels } = layer
  const name = editor.names.take(`${nodeLabel(layer.node)}.split${index}`)
  const weights = sliceInputs(range.weights, channels, range.start, range.end)
  const dims = partDims(layer, range.end - range.start)
  const weightName = editor.addConstant(
    `${anatomy.weight.name}.split${index}`,
    anatomy.weight.dataType,
    dims,
    weights,
  )
  const node = cloneNode(layer.node)
  const output = editor.names.take(`${name}.output0`)
  node.name = name
  node.inputs = [tensor, weightName ?? '']
  if (index === 0 && layer.node.inputs[2]) node.inputs.push(layer.node.inputs[2])
  node.outputs = [output]
  node.attributes = node.attributes.filter((attribute) => attribute.name !== 'transB')
  if (index > 0 || !layer.add || !anatomy.bias) return { node, output }
  const bias = layer.add.inputs.find((input) => input !== layer.node.outputs[0]) ?? ''
  const biased = editor.names.take(`${name}.bias_add.output0`)
  const inputs = [output, bias]
  const add = makeNode({
    opType: 'Add',
    name: editor.names.take(`${name}.bias_add`),
    inputs,
    outputs: [biased],
  })
  return { node, add, output: biased }
}

/** Puts the parts and their sum in the layer's place. @returns the names of the parts and of the last Add */
function rewrite(
  editor: ModelEditor,
  { layer }: SplitCandidate,
  bounds: readonly number[],
  tensors: readonly string[],
  weights: Float32Array,
): { names: string[]; sum: string } {
  const parts = tensors.map((tensor, index) =>
    makePart(editor, layer, index, tensor, {
      start: bounds[index] as number,
      end: bounds[index + 1] as number,
      weights,
    }),
  )
  const nodes = parts.flatMap(({ node, add }) => (add ? [node, add] : [node]))
  const base = `${nodeLabel(layer.node)}.split_add`
  let sum = parts[0]?.output ?? ''
  parts.slice(1).forEach((part, index) => {
    const last = index === parts.length - 2
    const output = last ? layer.anatomy.output : editor.names.take(`${base}${index}.output0`)
    const name = editor.names.take(`${base}${index}`)
    nodes.push(makeNode({ opType: 'Add', name, inputs: [sum, part.output], outputs: [output] }))
    sum = output
  })
  // A MatMul's bias may be made between it and its Add.
  editor.insertBefore(layer.add ?? layer.node, ...nodes)
  editor.remove(layer.node)
  if (layer.add) editor.remove(layer.add)
  return { names: parts.map(({ node }) => node.name), sum: nodes.at(-1)?.name ?? '' }
}

function sliceStatistics(whole: ChannelStatistics, start: number, end: number): ChannelStatistics {
  const part = (values: Float32Array): Float32Array => values.slice(start, end)
  return { min: part(whole.min), max: part(whole.max), absMax: part(whole.absMax), mean: part(whole.mean) }
}

/**
 * Splits layers at the joints in front of them: all, or those where the expected gain reaches the minimum. The gain is
 * the ratio of the rounding errors at the layer's output, step^2 * sum of squared weights over the input channels, with
 * the steps that the extremes of the calibration data give.
 * @param statistics Of the inputs of all candidates; those of the parts' inputs are added.
 */
export function splitConcat(
  editor: ModelEditor,
  candidates: readonly (SplitCandidate & { symmetric: boolean })[],
  settings: RepairSettings['split_concat'],
  statistics: Map<string, ChannelStatistics>,
): RepairNote[] {
  const notes: RepairNote[] = []
  const slices = new Map<string, string[]>()
  for (const candidate of candidates) {
    const { layer, symmetric } = candidate
    const axis = layer.inputAxis
    const observed = statistics.get(channelKey({ tensor: layer.anatomy.activation, axis }))
    const weights = layer.values()
    if (!observed || !weights.every(Number.isFinite)) continue
    const ranges = { statistics: observed, energies: inputEnergies(weights, layer.channels), symmetric }
    const bounds =
      settings.mode === 'all'
        ? candidate.bounds
        : worthwhile(ranges, candidate.bounds, settings.minimum_gain_db)
    if (bounds.length < 3) continue
    const tensors = partTensors(editor, candidate, bounds, slices)
    const { names, sum } = rewrite(editor, candidate, bounds, tensors, weights)
    tensors.forEach((tensor, index) => {
      const part = sliceStatistics(observed, bounds[index] as number, bounds[index + 1] as number)
      statistics.set(channelKey({ tensor, axis }), part)
    })
    const gain = gainOf(ranges, bounds)
    notes.push({
      kind: 'split_concat',
      layer: nodeLabel(layer.node),
      gainDb: Number.isFinite(gain) ? gain : null,
      parts: names.map((name, index) => {
        const [start, end] = [bounds[index] as number, bounds[index + 1] as number]
        const { min, max } = span(ranges, start, end)
        return { layer: name, channels: end - start, min, max }
      }),
      sum,
    })
  }
  if (notes.length > 0) editor.apply()
  return notes
}
