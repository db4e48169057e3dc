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
import type { LayerPlan, QuantizationPlan, SharedQuant } from './plan.ts'
import {
  addBiasNode,
  forgetValueInfo,
  NodeInsertions,
  putInitializer,
  removeReplacedConstants,
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

/** float32 weight from the shared integer one; scales and nodes are added once per weight. */
class WeightDequantizers {
  readonly #model: Model
  readonly #outputs = new Map<string, string>()

  constructor(model: Model) {
    this.#model = model
  }

  /** @returns the name of the float32 weight and the nodes to place before its first reader */
  use(plan: LayerPlan): { output: string; nodes: Node[] } {
    const { weight, scales, anatomy } = plan
    const known = this.#outputs.get(weight.name)
    if (known !== undefined) return { output: known, nodes: [] }
    const name = `${weight.name}.dequant`
    this.#outputs.set(weight.name, `${name}.output0`)
    putInitializer(this.#model, scaleTensor(`${name}.scale`, scales))
    putInitializer(this.#model, zeroPointTensor(`${name}.zero_point`, DataType.INT8, scales.length))
    const inputs = [weight.name, `${name}.scale`, `${name}.zero_point`]
    if (anatomy.group > 1 && scales.length > 1) return this.#grouped(plan, name, inputs)
    putInitializer(this.#model, weight)
    const axis = scales.length === 1 ? undefined : anatomy.opType === 'ConvTranspose' ? 1 : 0
    return {
      output: `${name}.output0`,
      nodes: [linear('DequantizeLinear', name, inputs, `${name}.output0`, axis)],
    }
  }

  /**
   * A grouped ConvTranspose weight [Cin, Cout/group, k...] has its output channels on two axes, which DequantizeLinear
   * cannot say: the scales are multiplied out to [group, 1, Cout/group, 1...] instead.
   */
  #grouped(plan: LayerPlan, name: string, inputs: string[]): { output: string; nodes: Node[] } {
    const { weight, scales, anatomy } = plan
    const { group, weightDims } = anatomy
    const [inputChannels = 1, perGroup = 1, ...kernel] = weightDims
    const ones = kernel.map(() => 1)
    const shape = (suffix: string, dims: number[]): string => {
      const values = BigInt64Array.from(dims, BigInt)
      putInitializer(this.#model, makeTensor(`${name}.${suffix}`, DataType.INT64, [dims.length], values))
      return `${name}.${suffix}`
    }
    putInitializer(this.#model, weight)
    putInitializer(
      this.#model,
      makeTensor(`${name}.scale`, DataType.FLOAT, [group, 1, perGroup, ...ones], scales),
    )
    this.#model.graph.initializers.delete(`${name}.zero_point`)
    const split = shape('split_shape', [group, inputChannels / group, perGroup, ...kernel])
    const joined = shape('joined_shape', weightDims)
    const step = (count: number): string => `${name}.step${count}`
    return {
      output: `${name}.output0`,
      nodes: [
        cast(step(0), inputs[0] ?? '', step(0), DataType.FLOAT),
        linear('Reshape', step(1), [step(0), split], step(1)),
        linear('Mul', step(2), [step(1), inputs[1] ?? ''], step(2)),
        linear('Reshape', name, [step(2), joined], `${name}.output0`),
      ],
    }
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
  const { name } = plan.quant
  const dequantized = `${plan.name}.dequantize.output0`
  const inputs = [`${name}.output0`, `${name}.scale`, `${name}.zero_point`]
  insertions.before(node, linear('DequantizeLinear', `${plan.name}.dequantize`, inputs, dequantized))
  node.inputs[0] = dequantized

  const weight = weights.use(plan)
  insertions.before(node, ...weight.nodes)
  node.inputs[1] = weight.output
  if (node.opType === 'Gemm') removeAttribute(node, 'transB')

  const add = addIndex === undefined ? undefined : (nodes[addIndex] as Node)
  let last = add ?? node
  if (plan.bias) {
    const bias = biasNodes(model, plan, plan.bias)
    insertions.before(node, ...bias.nodes)
    if (add) add.inputs = [node.outputs[0] ?? '', bias.output]
    else if (node.opType === 'MatMul') last = addBiasNode(plan, node, bias.output, insertions)
    else node.inputs[2] = bias.output
  }
  if (!float16) return
  addOutputCast(plan, last, insertions)
  if (add) forgetValueInfo(model.graph, new Set([node.outputs[0] ?? '']))
}

/** Builds the twin. The source is not changed; integer weights are shared with the plan. Needs opset 13 or newer. */
export function buildFakeQuantModel(source: Model, plan: QuantizationPlan): Model {
  const model = cloneModel(source)
  const nodes = [...model.graph.nodes]
  const insertions = new NodeInsertions()
  const placed = new Set<SharedQuant>()
  const weights = new WeightDequantizers(model)
  for (const layer of plan.layers) {
    const node = nodes[layer.anatomy.nodeIndex] as Node
    if (!placed.has(layer.quant)) insertions.before(node, ...quantNodes(model, layer.quant))
    placed.add(layer.quant)
    rewriteLayer(model, layer, nodes, weights, insertions)
  }
  insertions.apply(model.graph)
  removeReplacedConstants(
    model.graph,
    plan.layers.flatMap(({ anatomy }) => [anatomy.weight, ...(anatomy.bias ? [anatomy.bias] : [])]),
  )
  return model
}
