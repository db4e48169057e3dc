// Rules about integer layers and their AscendDequant: weights, biases, attributes, parameters.
import {
  DataType,
  dataTypeName,
  elementCount,
  floatAttribute,
  intAttribute,
  intsAttribute,
  type Node,
  nodeLabel,
  stringAttribute,
  type Tensor,
  tensorBytes,
  tensorToNumbers,
} from '../../onnx/index.ts'
import type { LintContext } from './context.ts'

/** What is left of a dequantization scale on the hardware: sign, 8 bits of exponent, 10 of mantissa. */
const S19_MASK = 0xffffe000

const PER_CHANNEL: readonly string[] = ['Conv', 'ConvTranspose']
const WITHOUT_WEIGHT = 'AveragePool'

/** An INT8 weight, whatever older tools put between it and the layer. */
interface Weight {
  name: string
  tensor: Tensor | undefined
}

function weightOf(context: LintContext, node: Node): Weight {
  const name = node.inputs[1] ?? ''
  const producer = context.index.producers.get(name)
  if (producer?.opType !== 'AscendWeightQuant') return { name, tensor: context.constant(name) }
  const offset = context.constant(producer.inputs[1] ?? '')
  if (offset && tensorToNumbers(offset).some((value) => value !== 0)) {
    context.report('weight_offset', producer, { weight: producer.inputs[0] ?? '' })
  }
  return { name: producer.inputs[0] ?? '', tensor: context.constant(producer.inputs[0] ?? '') }
}

/** Output channels of a layer; undefined when the weight does not say. */
function channelsOf(node: Node, { tensor }: Weight): number | undefined {
  const dims = tensor?.dims
  if (!dims) return undefined
  if (node.opType === 'Conv') return dims[0]
  if (node.opType === 'ConvTranspose') return (dims[1] ?? 1) * intAttribute(node, 'group', 1)
  return dims[1]
}

function weightRules(context: LintContext, node: Node, { name, tensor }: Weight): void {
  const type = tensor ? dataTypeName(tensor.dataType) : 'no constant'
  const int8 = tensor?.dataType === DataType.INT8
  if (!tensor || !int8) {
    context.report('weight_type', node, { weight: name, type })
    return
  }
  const { dims } = tensor
  const expected = PER_CHANNEL.includes(node.opType) ? 'a weight of 3 to 5 dimensions' : 'a matrix'
  const fits = PER_CHANNEL.includes(node.opType) ? dims.length >= 3 && dims.length <= 5 : dims.length === 2
  if (!fits) context.report('weight_rank', node, { weight: name, dims: dims.join(','), expected })
}

function biasRule(context: LintContext, node: Node, name: string, channels: number | undefined): void {
  const bias = context.constant(name)
  const count = bias ? elementCount(bias.dims) : 0
  const type = bias ? dataTypeName(bias.dataType) : 'no constant'
  if (bias?.dataType === DataType.INT32 && (channels === undefined || count === channels)) return
  context.report('bias_type', node, {
    bias: name,
    type,
    count,
    expected: channels ?? 'as many as output channels',
  })
}

function attributeRules(context: LintContext, node: Node, weight: Weight): void {
  const { opType } = node
  if (opType === 'Gemm') {
    const odd = [
      ...['transA', 'transB'].filter((name) => intAttribute(node, name, 0) !== 0),
      ...['alpha', 'beta'].filter((name) => floatAttribute(node, name, 1) !== 1),
    ]
    if (odd.length > 0) context.report('gemm_attributes', node, { what: odd.join(', ') })
  }
  const rank = weight.tensor?.dims.length ?? 0
  const dilations = opType.startsWith('Conv') ? intsAttribute(node, 'dilations', []) : []
  if (opType === 'ConvTranspose') {
    const what = dilations.some((dilation) => dilation !== 1) ? `dilations ${dilations.join(',')}` : ''
    const shape = rank !== 4 && rank > 0 ? `a ${rank}-D weight` : ''
    if (what || shape) context.report('transpose_dilation', node, { what: what || shape })
  }
  if (opType !== 'Conv' || rank !== 5) return
  const offset = floatAttribute(context.integers.get(node.inputs[0] ?? '') as Node, 'offset', 0)
  const depth = dilations[0] ?? 1
  if (offset !== 0) context.report('conv3d_quant', node, { what: `input offset ${offset}` })
  if (depth !== 1) context.report('conv3d_quant', node, { what: `dilation ${depth} in depth` })
}

/** Follows the integer result of a layer to its AscendDequant. @returns that node, if everything on the way is right */
function dequantOf(context: LintContext, layer: Node, channels: number | undefined): Node | undefined {
  let result = layer.outputs[0] ?? ''
  const first = context.index.consumers.get(result) ?? []
  const [add] = first
  if (first.length === 1 && add?.opType === 'Add' && layer.opType === 'MatMul') {
    const place = add.inputs.indexOf(result)
    if (place === 1) context.report('matmul_bias', layer, { add: nodeLabel(add) })
    biasRule(context, layer, add.inputs[1 - place] ?? '', channels)
    result = add.outputs[0] ?? ''
  }
  const readers = context.index.consumers.get(result) ?? []
  const stray = readers.find((reader) => reader.opType !== 'AscendDequant')
  if (stray || context.outputs.has(result)) {
    context.report('layer_undequantized', layer, {
      reader: stray ? nodeLabel(stray) : `the output "${result}"`,
    })
  }
  return readers.find((reader) => reader.opType === 'AscendDequant')
}

interface S19Loss {
  node: Node | null
  loss: number
}

/** The FP32 numbers in the low halves of a dequantization parameter. */
function scalesOf(context: LintContext, node: Node, parameter: Tensor, worst: S19Loss): void {
  const bytes = tensorBytes(parameter)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let index = 0; index * 8 < bytes.byteLength; index++) {
    const scale = view.getFloat32(index * 8, true)
    const kept = new Float32Array(
      Uint32Array.of((view.getUint32(index * 8, true) & S19_MASK) >>> 0).buffer,
    )[0] as number
    if (!(kept > 0 && Number.isFinite(scale))) {
      context.report('dequant_scale', node, { index, value: String(scale) })
      return
    }
    const high = view.getUint32(index * 8 + 4, true)
    if (high !== 0) {
      context.report('dequant_high_bits', node, { index, value: `0x${high.toString(16)}` })
      return
    }
    const loss = 1 - kept / scale
    if (loss > worst.loss) Object.assign(worst, { node, loss })
  }
}

/** An integer layer and how many output channels it has. */
interface Layer {
  node: Node
  channels: number | undefined
}

function parameterRules(context: LintContext, node: Node, layer: Layer | undefined, worst: S19Loss): void {
  const name = node.inputs[1] ?? ''
  const parameter = context.constant(name)
  if (parameter?.dataType !== DataType.UINT64) {
    const type = parameter ? dataTypeName(parameter.dataType) : 'no constant'
    context.report('dequant_parameter', node, { parameter: name, type })
    return
  }
  scalesOf(context, node, parameter, worst)
  if (!layer) return
  const count = elementCount(parameter.dims)
  const channels = PER_CHANNEL.includes(layer.node.opType) ? layer.channels : undefined
  if (count === 1 || count === channels) return
  const expected = channels === undefined ? '1' : `1 or ${channels}`
  context.report('dequant_length', node, {
    count,
    layer: nodeLabel(layer.node),
    opType: layer.node.opType,
    expected,
  })
}

function padRule(context: LintContext, node: Node): void {
  const mode = stringAttribute(node, 'mode', 'constant')
  const value = node.inputs[2] ? context.constant(node.inputs[2]) : undefined
  const nonzero = value && tensorToNumbers(value).find((x) => x !== 0)
  if (mode !== 'constant') context.report('pad_value', node, { what: `the mode ${mode}` })
  else if (nonzero !== undefined) context.report('pad_value', node, { what: String(nonzero) })
}

export function layerRules(context: LintContext): void {
  const layerOf = new Map<Node, Layer>()
  for (const layer of context.integerLayers()) {
    const plain = layer.opType === WITHOUT_WEIGHT
    const both = layer.opType === 'MatMul' && context.integers.has(layer.inputs[1] ?? '')
    const weight = plain ? { name: '', tensor: undefined } : weightOf(context, layer)
    if (both) context.report('matmul_dynamic', layer)
    else if (!plain) weightRules(context, layer, weight)
    const channels = channelsOf(layer, weight)
    if (!plain && layer.opType !== 'MatMul' && layer.inputs[2]) {
      biasRule(context, layer, layer.inputs[2], channels)
    }
    attributeRules(context, layer, weight)
    const dequant = dequantOf(context, layer, channels)
    if (dequant) layerOf.set(dequant, { node: layer, channels })
  }
  const worst: S19Loss = { node: null, loss: 0 }
  for (const node of context.graph.nodes) {
    if (node.domain !== '') continue
    if (node.opType === 'Pad' && context.integers.has(node.inputs[0] ?? '')) padRule(context, node)
    if (node.opType !== 'AscendDequant') continue
    const layer = layerOf.get(node)
    if (!layer) context.report('dequant_input', node, { tensor: node.inputs[0] ?? '' })
    parameterRules(context, node, layer, worst)
  }
  if (worst.node) context.report('dequant_s19', worst.node, { percent: (100 * worst.loss).toFixed(3) })
}
