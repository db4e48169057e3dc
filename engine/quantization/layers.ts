// Which layers can carry INT8, what feeds them, and why the others cannot. Rules: AMCT, capability list and checks.
import type { KeptFloatReason } from '../../contract/quantization.ts'
import {
  DataType,
  floatAttribute,
  type Graph,
  type GraphIndex,
  indexGraph,
  intAttribute,
  intsAttribute,
  type Model,
  type Node,
  visitGraphs,
} from '../onnx/index.ts'
import { constantDims, type ConstantValue, resolveConstant } from './constants.ts'

/** Layers with weights that stay in floating point: their integer forms on Ascend are operators of their own. */
const RECURRENT_TYPES = ['LSTM', 'GRU', 'RNN']
const QUANTIZABLE_TYPES = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul']

/** Whether layers of an ONNX operator type can be quantized at all. */
export function isQuantizableType(opType: string): boolean {
  return QUANTIZABLE_TYPES.includes(opType)
}

/** A layer that can be quantized, with everything the writers need. Nodes are given by their place in the graph. */
export interface LayerAnatomy {
  nodeIndex: number
  opType: string
  /** The tensor to quantize. */
  activation: string
  /** As the integer operator reads it: Gemm's transB is already applied. */
  weight: ConstantValue
  weightDims: number[]
  /** Groups of a ConvTranspose, whose output channels then lie on two axes of the weight; 1 for everything else. */
  group: number
  /** Groups of a convolution of either kind, else 1. */
  groups: number
  outputChannels: number
  bias?: ConstantValue
  /** The Add behind a MatMul that holds its bias. */
  addIndex?: number
  /** The tensor after which dequantization comes. */
  output: string
  /** The layer computes in float16 in the source model. */
  float16: boolean
}

type Finding = { layer: LayerAnatomy } | { reason: KeptFloatReason }

interface Surroundings {
  graph: Graph
  index: GraphIndex
  outputs: ReadonlySet<string>
  position: ReadonlyMap<Node, number>
}

function isFloating(dataType: DataType): boolean {
  return dataType === DataType.FLOAT || dataType === DataType.FLOAT16
}

/** A bias of one value per output channel, whatever leading ones its shape has; undefined when it is anything else. */
function channelBias(constant: ConstantValue, channels: number): ConstantValue | undefined {
  const dims = constantDims(constant)
  const fits = dims.length > 0 && dims.at(-1) === channels && dims.slice(0, -1).every((dim) => dim === 1)
  return fits ? constant : undefined
}

function convolution(node: Node, weight: ConstantValue, around: Surroundings): Finding {
  const dims = constantDims(weight)
  if (dims.length < 3 || dims.length > 5) return { reason: 'weight_rank' }
  // AMCT takes Conv3d only without dilation in depth.
  if (dims.length === 5 && intsAttribute(node, 'dilations', [1, 1, 1])[0] !== 1)
    return { reason: 'conv3d_dilation' }
  const group = intAttribute(node, 'group', 1)
  const transposed = node.opType === 'ConvTranspose'
  const outputChannels = transposed ? (dims[1] ?? 1) * group : (dims[0] ?? 1)
  return withInputBias(node, around, {
    weight,
    weightDims: dims,
    group: transposed ? group : 1,
    groups: group,
    outputChannels,
  })
}

function gemm(node: Node, weight: ConstantValue, around: Surroundings): Finding {
  if (weight.stored.dims.length !== 2) return { reason: 'weight_rank' }
  if (intAttribute(node, 'transA', 0) !== 0) return { reason: 'gemm_transposes_input' }
  if (floatAttribute(node, 'alpha', 1) !== 1) return { reason: 'gemm_scales_operands' }
  if ((node.inputs[2] ?? '') !== '' && floatAttribute(node, 'beta', 1) !== 1) {
    return { reason: 'gemm_scales_operands' }
  }
  const transB = intAttribute(node, 'transB', 0) !== 0
  const turned = transB ? { ...weight, transposed: !weight.transposed } : weight
  const weightDims = constantDims(turned)
  return withInputBias(node, around, {
    weight: turned,
    weightDims,
    group: 1,
    groups: 1,
    outputChannels: weightDims[1] ?? 1,
  })
}

type Parts = Pick<LayerAnatomy, 'weight' | 'weightDims' | 'group' | 'groups' | 'outputChannels'>

function withInputBias(node: Node, around: Surroundings, parts: Parts): Finding {
  const biasName = node.inputs[2] ?? ''
  const constant = biasName === '' ? undefined : resolveConstant(around.graph, around.index, biasName)
  if (biasName !== '' && !constant) return { reason: 'bias_not_constant' }
  const bias = constant && channelBias(constant, parts.outputChannels)
  if (constant && !bias) return { reason: 'bias_shape' }
  return { layer: { ...common(node, around, parts), ...(bias && { bias }) } }
}

function common(node: Node, around: Surroundings, parts: Parts): LayerAnatomy {
  return {
    nodeIndex: around.position.get(node) as number,
    opType: node.opType,
    activation: node.inputs[0] ?? '',
    output: node.outputs[0] ?? '',
    float16: parts.weight.dataType === DataType.FLOAT16,
    ...parts,
  }
}

function matMul(node: Node, weight: ConstantValue, around: Surroundings): Finding {
  const weightDims = constantDims(weight)
  if (weightDims.length !== 2) return { reason: 'weight_rank' }
  const outputChannels = weightDims[1] ?? 1
  const layer = common(node, around, { weight, weightDims, group: 1, groups: 1, outputChannels })
  return { layer: { ...layer, ...addedBias(node, outputChannels, around) } }
}

/** The bias of a MatMul is a constant vector added right behind it, if nothing else reads the product (AMCT). */
function addedBias(node: Node, channels: number, around: Surroundings): Partial<LayerAnatomy> {
  const product = node.outputs[0] ?? ''
  const readers = around.index.consumers.get(product) ?? []
  const [add] = readers
  if (readers.length !== 1 || add?.opType !== 'Add' || add.domain !== '' || around.outputs.has(product))
    return {}
  const other = add.inputs.find((input) => input !== product)
  const constant = other === undefined ? undefined : resolveConstant(around.graph, around.index, other)
  if (!constant || constantDims(constant).length !== 1) return {}
  const bias = channelBias(constant, channels)
  if (!bias) return {}
  return { bias, addIndex: around.position.get(add) as number, output: add.outputs[0] ?? '' }
}

/** The dimension of a weight that its input channels lie on, as the integer operator reads it. */
export function inputAxis(anatomy: LayerAnatomy): number {
  return anatomy.opType === 'Conv' ? 1 : 0
}

/** Input channels that one output channel reads. */
export function inputChannels(anatomy: LayerAnatomy): number {
  return anatomy.weightDims[inputAxis(anatomy)] ?? 1
}

function examine(node: Node, around: Surroundings): Finding {
  if (RECURRENT_TYPES.includes(node.opType)) return { reason: 'recurrent' }
  const [activation = '', weightName = ''] = node.inputs
  if (activation === '' || weightName === '') return { reason: 'no_input' }
  const weight = resolveConstant(around.graph, around.index, weightName)
  const constantInput = resolveConstant(around.graph, around.index, activation) !== undefined
  const product = node.opType === 'MatMul' || node.opType === 'Gemm'
  if (!weight) return { reason: product && !constantInput ? 'two_dynamic_inputs' : 'weight_not_constant' }
  if (constantInput) return { reason: 'no_input' }
  if (!isFloating(weight.dataType) || !isFloating(weight.stored.dataType)) return { reason: 'weight_type' }
  if (node.opType === 'Gemm') return gemm(node, weight, around)
  if (node.opType === 'MatMul') return matMul(node, weight, around)
  return convolution(node, weight, around)
}

/** Conv, ConvTranspose, Gemm and MatMul inside the branches of If, Loop and Scan: no writer reaches them. */
export function layersInBranches({ graph }: Model): number {
  let count = 0
  visitGraphs(graph, (inner) => {
    if (inner === graph) return
    count += inner.nodes.filter(({ domain, opType }) => domain === '' && isQuantizableType(opType)).length
  })
  return count
}

/** Every Conv, ConvTranspose, Gemm, MatMul and recurrent layer of the main graph: its anatomy, or why it stays in floating point. */
export function examineLayers(model: Model): Map<Node, Finding> {
  const { graph } = model
  const around: Surroundings = {
    graph,
    index: indexGraph(graph),
    outputs: new Set(graph.outputs.map((output) => output.name)),
    position: new Map(graph.nodes.map((node, place) => [node, place])),
  }
  const candidates = graph.nodes.filter(
    ({ domain, opType }) => domain === '' && (isQuantizableType(opType) || RECURRENT_TYPES.includes(opType)),
  )
  return new Map(candidates.map((node) => [node, examine(node, around)]))
}
