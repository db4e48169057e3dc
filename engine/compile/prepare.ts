// Before lowering: constants become weights, FP16 models become FLOAT ones, batch normalisation goes into convolutions.
import {
  DataType,
  elementCount,
  floatAttribute,
  indexGraph,
  intAttribute,
  makeNode,
  makeTensor,
  removeAttribute,
  removeUnusedInitializers,
  renameUses,
  tensorToFloat32,
} from '../onnx/index.ts'
import type { Graph, Model, Node, Tensor } from '../onnx/index.ts'

/** Constant nodes become initializers of the same name. */
function hoistConstants(graph: Graph): void {
  graph.nodes = graph.nodes.filter((node) => {
    const value = node.attributes.find((attribute) => attribute.name === 'value')
    const output = node.outputs[0]
    if (node.opType !== 'Constant' || value?.type !== 'tensor' || !output) return true
    if (graph.outputs.some((info) => info.name === output)) return true
    graph.initializers.set(output, { ...value.value, name: output })
    return false
  })
}

/** Replaces FLOAT16 by FLOAT everywhere inside; inputs and outputs keep their type behind a Cast. */
function widenHalf(graph: Graph): void {
  const before: Node[] = []
  const after: Node[] = []
  for (const info of graph.inputs) {
    if (info.elementType !== DataType.FLOAT16) continue
    const wide = `${info.name}.float`
    renameUses(graph, info.name, wide)
    before.push(cast(info.name, wide, DataType.FLOAT))
  }
  for (const info of graph.outputs) {
    if (info.elementType !== DataType.FLOAT16) continue
    const wide = `${info.name}.float`
    const name = info.name
    renameUses(graph, name, wide)
    for (const node of graph.nodes) {
      node.outputs = node.outputs.map((output) => (output === name ? wide : output))
    }
    info.name = name
    after.push(cast(wide, name, DataType.FLOAT16))
  }
  for (const [name, tensor] of graph.initializers) {
    if (tensor.dataType === DataType.FLOAT16) graph.initializers.set(name, floatTensor(name, tensor))
  }
  for (const node of graph.nodes) widenNode(node)
  graph.nodes = [...before, ...graph.nodes, ...after]
}

function floatTensor(name: string, tensor: Tensor): Tensor {
  return makeTensor(name, DataType.FLOAT, tensor.dims, tensorToFloat32(tensor))
}

function cast(input: string, output: string, to: DataType): Node {
  return makeNode({
    opType: 'Cast',
    name: `aqw.cast/${output}`,
    inputs: [input],
    outputs: [output],
    attributes: { to },
  })
}

/** AscendDequant, AscendAntiQuant: 1 is FLOAT16, 0 FLOAT. */
const ASCEND_DTYPE = /^Ascend(Dequant|AntiQuant)$/

/** Operators that name the type they make. */
function widenNode(node: Node): void {
  if (ASCEND_DTYPE.test(node.opType) && node.domain === '') removeAttribute(node, 'dtype')
  for (const attribute of node.attributes) {
    const typed = attribute.name === 'to' || attribute.name === 'dtype'
    if (typed && attribute.type === 'int' && Number(attribute.value) === DataType.FLOAT16) {
      attribute.value = BigInt(DataType.FLOAT)
    }
    if (attribute.type === 'tensor' && attribute.value.dataType === DataType.FLOAT16) {
      attribute.value = floatTensor(attribute.value.name, attribute.value)
    }
  }
}

function usesHalf(graph: Graph): boolean {
  const infos = [...graph.inputs, ...graph.outputs]
  return (
    infos.some((info) => info.elementType === DataType.FLOAT16) ||
    [...graph.initializers.values()].some((tensor) => tensor.dataType === DataType.FLOAT16)
  )
}

interface Normalisation {
  scale: Float32Array
  shift: Float32Array
}

/** y = scale * x + shift of a batch normalisation with constant parameters (ONNX BatchNormalization, inference). */
function normalisation(graph: Graph, node: Node): Normalisation | null {
  if (intAttribute(node, 'training_mode', 0) === 1) return null
  const tensors = node.inputs.slice(1, 5).map((name) => graph.initializers.get(name))
  if (tensors.length < 4 || tensors.some((tensor) => tensor?.dataType !== DataType.FLOAT)) return null
  const [gamma, beta, mean, variance] = tensors.map((tensor) => tensorToFloat32(tensor!)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const epsilon = floatAttribute(node, 'epsilon', 1e-5)
  const scale = gamma.map((value, channel) => value / Math.sqrt(variance[channel]! + epsilon))
  const shift = beta.map((value, channel) => value - mean[channel]! * scale[channel]!)
  return { scale, shift }
}

function scaledWeight(node: Node, weight: Tensor, scale: Float32Array): Tensor {
  const values = tensorToFloat32(weight)
  const channelAxis = node.opType === 'Conv' ? 0 : 1
  const inner = elementCount(weight.dims.slice(channelAxis + 1))
  const channels = weight.dims[channelAxis]!
  for (let index = 0; index < values.length; index++) {
    values[index]! *= scale[Math.floor(index / inner) % channels]!
  }
  return makeTensor(weight.name, DataType.FLOAT, weight.dims, values)
}

/** Conv or ConvTranspose whose result only a BatchNormalization reads takes over its scale and shift. */
function foldBatchNormalisation(graph: Graph): void {
  const { producers, consumers } = indexGraph(graph)
  const removed = new Set<Node>()
  for (const node of graph.nodes) {
    if (node.opType !== 'BatchNormalization') continue
    const conv = producers.get(node.inputs[0]!)
    if (!conv || !(conv.opType === 'Conv' || conv.opType === 'ConvTranspose')) continue
    if (conv.opType === 'ConvTranspose' && intAttribute(conv, 'group', 1) !== 1) continue
    if (consumers.get(conv.outputs[0]!)?.length !== 1) continue
    if (graph.outputs.some((output) => output.name === conv.outputs[0])) continue
    const weight = graph.initializers.get(conv.inputs[1]!)
    const bias = conv.inputs[2] ? graph.initializers.get(conv.inputs[2]) : undefined
    if (weight?.dataType !== DataType.FLOAT || consumers.get(weight.name)?.length !== 1) continue
    if (conv.inputs[2] && (!bias || consumers.get(bias.name)?.length !== 1)) continue
    const affine = normalisation(graph, node)
    if (!affine) continue
    graph.initializers.set(weight.name, scaledWeight(conv, weight, affine.scale))
    const old = bias ? tensorToFloat32(bias) : new Float32Array(affine.shift.length)
    const shift = old.map((value, channel) => value * affine.scale[channel]! + affine.shift[channel]!)
    const biasName = bias?.name ?? node.inputs[2]!
    const biasKey = bias || consumers.get(biasName)?.length === 1 ? biasName : `${conv.outputs[0]}.bias`
    graph.initializers.set(biasKey, makeTensor(biasKey, DataType.FLOAT, [shift.length], shift))
    conv.inputs = [conv.inputs[0]!, conv.inputs[1]!, biasKey]
    conv.outputs[0] = node.outputs[0]!
    removed.add(node)
  }
  graph.nodes = graph.nodes.filter((node) => !removed.has(node))
}

/** Rewrites the model in place. `half`: it will be computed in FP16. */
export function prepareModel(model: Model, half: boolean): void {
  const { graph } = model
  hoistConstants(graph)
  // CANN's weight-only product reads FLOAT16 in any model.
  const weightOnly = graph.nodes.some((node) => node.opType === 'NPUWeightQuantBatchMatmulV2')
  if ((half || weightOnly) && usesHalf(graph)) widenHalf(graph)
  foldBatchNormalisation(graph)
  graph.valueInfo = []
  removeUnusedInitializers(graph)
}
