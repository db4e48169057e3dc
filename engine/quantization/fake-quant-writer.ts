// The runnable twin: the same tensors quantized with the same scales, as QuantizeLinear and DequantizeLinear, so that
// stock ONNX Runtime computes what the deploy model computes. Activations are uint8 with zero point offset + 128: the
// same grid as Ascend's int8, and the only form x86 kernels of ONNX Runtime are fast with.
import {
  cloneModel,
  DataType,
  makeNode,
  makeScalar,
  makeTensor,
  type Model,
  type Node,
  removeAttribute,
  type Tensor,
} from '../onnx/index.ts'
import {
  type LayerPlan,
  type QuantizationPlan,
  quantReaders,
  replacedConstants,
  type SharedQuant,
  type WeightOnlyPlan,
} from './plan.ts'
import {
  forgetValueInfo,
  NodeInsertions,
  putInitializer,
  removeReplacedConstants,
  setBias,
} from './rewrite.ts'
import { dequantScale } from './rules.ts'

/** int8 -> uint8: the same grid, shifted. */
const UINT8_SHIFT = 128

function cast(name: string, input: string, output: string, to: DataType): Node {
  return makeNode({ opType: 'Cast', name, inputs: [input], outputs: [output], attributes: { to } })
}

function linear(opType: string, name: string, inputs: string[], output: string, axis?: number): Node {
  return makeNode({
    opType,
    name,
    inputs,
    outputs: [output],
    ...(axis !== undefined && { attributes: { axis } }),
  })
}

/** Quantizes the tensor once for all its readers. */
function quantNodes(model: Model, quant: SharedQuant): Node[] {
  const { name } = quant
  putInitializer(model, makeScalar(`${name}.scale`, DataType.FLOAT, quant.scale))
  putInitializer(model, makeScalar(`${name}.zero_point`, DataType.UINT8, quant.offset + UINT8_SHIFT))
  const input = quant.float16 ? `${name}.float32` : quant.tensor
  const quantize = linear(
    'QuantizeLinear',
    name,
    [input, `${name}.scale`, `${name}.zero_point`],
    `${name}.output0`,
  )
  return quant.float16 ? [cast(input, quant.tensor, input, DataType.FLOAT), quantize] : [quantize]
}

function scaleTensor(name: string, scales: Float32Array): Tensor {
  return scales.length === 1
    ? makeScalar(name, DataType.FLOAT, scales[0] as number)
    : makeTensor(name, DataType.FLOAT, [scales.length], scales)
}

function zeroPointTensor(name: string, dataType: DataType, count: number): Tensor {
  return count === 1
    ? makeScalar(name, dataType, 0)
    : makeTensor(name, dataType, [count], new Int8Array(count))
}

/** The weight in floating point from the shared integer one; scales and nodes are added once per weight. */
class WeightDequantizers {
  readonly #model: Model
  readonly #outputs = new Map<string, string>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * @param dataType What the reader takes: DequantizeLinear gives float32.
   * @returns the name of the dequantized weight and the nodes to place before its first reader
   */
  use(
    plan: LayerPlan | WeightOnlyPlan,
    dataType: DataType = DataType.FLOAT,
  ): { output: string; nodes: Node[] } {
    const { weight } = plan
    const known = this.#outputs.get(weight.name)
    if (known !== undefined) return { output: known, nodes: [] }
    const name = `${weight.name}.dequant`
    putInitializer(this.#model, weight)
    const nodes = this.#dequantize(name, plan)
    if (dataType !== DataType.FLOAT) {
      nodes.push(cast(`${name}.cast`, `${name}.output0`, `${name}.cast.output0`, dataType))
    }
    const output = nodes.at(-1)?.outputs[0] ?? ''
    this.#outputs.set(weight.name, output)
    return { output, nodes }
  }

  #dequantize(name: string, plan: LayerPlan | WeightOnlyPlan): Node[] {
    const { weight, scales, anatomy } = plan
    const { group, opType, weightDims } = anatomy
    const channelAxis = opType === 'Conv' ? 0 : 1
    if (group > 1 && scales.length > 1) {
      const [inputChannels = 1, perGroup = 1, ...kernel] = weightDims
      const split = [group, inputChannels / group, perGroup, ...kernel]
      return this.#multiplied(name, plan, split, [group, 1, perGroup, ...kernel.map(() => 1)])
    }
    if ('groupSize' in plan) {
      const [inputs = 1, outputs = 1] = weightDims
      if (plan.groupSize > 0) {
        const groups = inputs / plan.groupSize
        return this.#multiplied(name, plan, [groups, plan.groupSize, outputs], [groups, 1, outputs])
      }
      const ones = weightDims.map(() => 1)
      const scaleDims = scales.length === 1 ? [] : ones.with(channelAxis, scales.length)
      return this.#multiplied(name, plan, weightDims, scaleDims)
    }
    putInitializer(this.#model, scaleTensor(`${name}.scale`, scales))
    putInitializer(this.#model, zeroPointTensor(`${name}.zero_point`, DataType.INT8, scales.length))
    const axis = scales.length === 1 ? undefined : channelAxis
    const inputs = [weight.name, `${name}.scale`, `${name}.zero_point`]
    return [linear('DequantizeLinear', name, inputs, `${name}.output0`, axis)]
  }

  /**
   * Cast and Mul in place of DequantizeLinear, which cannot say scales on two axes before opset 21 (a grouped ConvTranspose
   * [Cin, Cout/group, k...], groups of inputs of a matrix) and which ONNX Runtime turns into MatMulNBits where only the
   * weight is integer: that rounds the input to 8 bits.
   * @param split The weight's shape with an axis for every axis of the scales.
   */
  #multiplied(
    name: string,
    plan: LayerPlan | WeightOnlyPlan,
    split: readonly number[],
    scaleDims: readonly number[],
  ): Node[] {
    const { weightDims } = plan.anatomy
    const shape = (suffix: string, dims: readonly number[]): string => {
      const values = BigInt64Array.from(dims, BigInt)
      putInitializer(this.#model, makeTensor(`${name}.${suffix}`, DataType.INT64, [dims.length], values))
      return `${name}.${suffix}`
    }
    const scale = makeTensor(`${name}.scale`, DataType.FLOAT, [...scaleDims], plan.scales)
    putInitializer(this.#model, scale)
    const output = `${name}.output0`
    const step = (count: number): string => `${name}.step${count}`
    const floats = cast(step(0), plan.weight.name, step(0), DataType.FLOAT)
    if (split.length === weightDims.length)
      return [floats, linear('Mul', name, [step(0), scale.name], output)]
    return [
      floats,
      linear('Reshape', step(1), [step(0), shape('split_shape', split)], step(1)),
      linear('Mul', step(2), [step(1), scale.name], step(2)),
      linear('Reshape', name, [step(2), shape('joined_shape', weightDims)], output),
    ]
  }
}

/** float32 bias that is a whole number of accumulator steps, as the device adds it. */
function biasNodes(model: Model, plan: LayerPlan, bias: Tensor): { output: string; nodes: Node[] } {
  const name = `${plan.name}.bias.dequant`
  const steps = plan.scales.map((scale) => dequantScale(plan.activation.scale, scale))
  putInitializer(model, bias)
  putInitializer(model, scaleTensor(`${name}.scale`, steps))
  const axis = steps.length === 1 ? undefined : 0
  const output = `${name}.output0`
  return { output, nodes: [linear('DequantizeLinear', name, [bias.name, `${name}.scale`], output, axis)] }
}

/** float16 layers compute in float32 between the casts, like the integer arithmetic they stand for. */
function addOutputCast(plan: LayerPlan, last: Node, insertions: NodeInsertions): void {
  const wide = `${plan.name}.output.float32`
  last.outputs[0] = wide
  insertions.after(last, cast(`${plan.name}.output.cast`, wide, plan.anatomy.output, DataType.FLOAT16))
}

function rewriteLayer(
  model: Model,
  plan: LayerPlan,
  nodes: readonly Node[],
  weights: WeightDequantizers,
  insertions: NodeInsertions,
): void {
  const { nodeIndex, addIndex, float16 } = plan.anatomy
  const node = nodes[nodeIndex] as Node
  node.name ||= plan.name
  const dequantize = dequantizedInput(plan.name, plan.quant)
  insertions.before(node, dequantize)
  node.inputs[0] = dequantize.outputs[0] ?? ''

  const weight = weights.use(plan)
  insertions.before(node, ...weight.nodes)
  node.inputs[1] = weight.output
  if (node.opType === 'Gemm') removeAttribute(node, 'transB')

  const add = addIndex === undefined ? undefined : (nodes[addIndex] as Node)
  if (plan.bias) {
    const bias = biasNodes(model, plan, plan.bias)
    insertions.before(node, ...bias.nodes)
    if (add) add.inputs = [node.outputs[0] ?? '', bias.output]
    else setBias(node, bias.output)
  }
  if (!float16) return
  addOutputCast(plan, add ?? node, insertions)
  if (add) forgetValueInfo(model.graph, new Set([node.outputs[0] ?? '']))
}

/** The tensor as the integers give it back, for one reader. */
function dequantizedInput(name: string, quant: SharedQuant): Node {
  const inputs = [`${quant.name}.output0`, `${quant.name}.scale`, `${quant.name}.zero_point`]
  return linear('DequantizeLinear', `${name}.dequantize`, inputs, `${name}.dequantize.output0`)
}

function rewriteWeightOnly(
  plan: WeightOnlyPlan,
  node: Node,
  weights: WeightDequantizers,
  insertions: NodeInsertions,
): void {
  node.name ||= plan.name
  const weight = weights.use(plan, plan.anatomy.float16 ? DataType.FLOAT16 : DataType.FLOAT)
  insertions.before(node, ...weight.nodes)
  node.inputs[1] = weight.output
  if (node.opType === 'Gemm') removeAttribute(node, 'transB')
}

/** Builds the twin. The source is not changed; integer weights are shared with the plan. Needs opset 13 or newer. */
export function buildFakeQuantModel(source: Model, plan: QuantizationPlan): Model {
  const model = cloneModel(source)
  const nodes = [...model.graph.nodes]
  const insertions = new NodeInsertions()
  const weights = new WeightDequantizers(model)
  for (const [quant, reader] of quantReaders(plan)) {
    insertions.before(nodes[reader] as Node, ...quantNodes(model, quant))
  }
  for (const layer of plan.layers) rewriteLayer(model, layer, nodes, weights, insertions)
  for (const layer of plan.weightOnly) {
    rewriteWeightOnly(layer, nodes[layer.anatomy.nodeIndex] as Node, weights, insertions)
  }
  for (const pool of plan.pools) {
    const reader = nodes[pool.readerIndex] as Node
    const dequantize = dequantizedInput(pool.name, pool.quant)
    insertions.before(reader, dequantize)
    reader.inputs[0] = dequantize.outputs[0] ?? ''
  }
  insertions.apply(model.graph)
  removeReplacedConstants(model.graph, replacedConstants(plan))
  return model
}
