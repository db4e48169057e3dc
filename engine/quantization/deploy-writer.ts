// The model for ATC: AscendQuant before, AscendDequant behind every quantized layer, integer weights and biases.
// Node and value names, attributes and types are those of AMCT's passes InsertQuant, InsertDequant and QuantFusion.
import {
  cloneModel,
  DataType,
  inferShapes,
  makeNode,
  makeTensor,
  type Model,
  type Node,
  removeAttribute,
  type Tensor,
  tensorBytes,
} from '../onnx/index.ts'
import { packInt4 } from './int4.ts'
import { inputAxis } from './layers.ts'
import {
  type LayerPlan,
  type PoolPlan,
  quantReaders,
  type QuantizationPlan,
  replacedConstants,
  type SharedQuant,
} from './plan.ts'
import {
  forgetValueInfo,
  NodeInsertions,
  putInitializer,
  removeReplacedConstants,
  setBias,
} from './rewrite.ts'
import { dequantScale, packDequantScale, quantAttributeScale } from './rules.ts'
import { writeWeightOnly } from './weight-only.ts'
import type { WeightStore } from './weight-spill.ts'

/** AscendDequant's `dtype` attribute. */
const DEQUANT_DTYPE = { float32: 0, float16: 1 }

function quantNode(quant: SharedQuant): Node {
  return makeNode({
    opType: 'AscendQuant',
    name: quant.name,
    inputs: [quant.tensor],
    outputs: [`${quant.name}.output0`],
    attributes: {
      scale: { float: quantAttributeScale(quant.scale) },
      offset: { float: quant.offset },
      dst_type: 'INT8',
    },
  })
}

/** Behind `last`, whose output is the layer's integer result. @param scales scale_d * scale_w */
function addDequant(
  model: Model,
  layer: { name: string; output: string; float16: boolean },
  scales: Float32Array,
  last: Node,
  insertions: NodeInsertions,
): void {
  const name = `${layer.name}.dequant`
  const parameters = BigUint64Array.from(scales, packDequantScale)
  putInitializer(model, makeTensor(`${name}.param`, DataType.UINT64, [parameters.length], parameters))
  const accumulator = `${name}.input0`
  last.outputs[0] = accumulator
  const dtype = layer.float16 ? DEQUANT_DTYPE.float16 : DEQUANT_DTYPE.float32
  insertions.after(
    last,
    makeNode({
      opType: 'AscendDequant',
      name,
      inputs: [accumulator, `${name}.param`],
      outputs: [layer.output],
      attributes: { dtype },
    }),
  )
}

/** The weight as ATC reads it: INT4 packed. */
function deployWeight(layer: LayerPlan, packed: Map<Tensor, Tensor>, spill: WeightStore): Tensor {
  if (layer.precision !== 'w4a8') return layer.weight
  const known = packed.get(layer.weight)
  if (known) return known
  const axis = inputAxis(layer.anatomy)
  const tensor: Tensor = {
    ...layer.weight,
    dims: layer.weight.dims.with(axis, (layer.weight.dims[axis] ?? 0) / 2),
    data: spill.put(packInt4(tensorBytes(layer.weight), layer.weight.dims, axis)),
  }
  packed.set(layer.weight, tensor)
  return tensor
}

/** Puts the integer weight and bias into the layer; returns the node whose output is the int32 result. */
function makeInteger(
  model: Model,
  plan: LayerPlan,
  deployWeight: Tensor,
  node: Node,
  add: Node | undefined,
): Node {
  putInitializer(model, deployWeight)
  node.inputs[1] = deployWeight.name
  // Gemm's weight is stored as the untransposed operand (AMCT, GemmTransB).
  if (node.opType === 'Gemm') removeAttribute(node, 'transB')
  if (!plan.bias) return add ?? node
  putInitializer(model, plan.bias)
  if (add) add.inputs = [node.outputs[0] ?? '', plan.bias.name]
  else setBias(node, plan.bias.name)
  return add ?? node
}

/** An AveragePool between AscendQuant and AscendDequant; the weight scale is 1. */
function writePool(
  model: Model,
  plan: PoolPlan,
  nodes: readonly Node[],
  insertions: NodeInsertions,
): string[] {
  const pool = nodes[plan.nodeIndex] as Node
  const reader = nodes[plan.readerIndex] as Node
  pool.name ||= plan.name
  reader.inputs[0] = `${plan.quant.name}.output0`
  const scales = Float32Array.of(plan.activation.scale)
  addDequant(model, { ...plan, float16: false }, scales, pool, insertions)
  return reader === pool ? [] : [pool.inputs[0] ?? '']
}

/**
 * Builds the deploy model. The source is not changed; integer weights are shared with the plan.
 * @param spill Where packed INT4 weights are kept until the model is written.
 */
export function buildDeployModel(source: Model, plan: QuantizationPlan, spill: WeightStore): Model {
  const model = cloneModel(source)
  const nodes = [...model.graph.nodes]
  const insertions = new NodeInsertions()
  for (const [quant, reader] of quantReaders(plan)) insertions.before(nodes[reader] as Node, quantNode(quant))
  const packed = new Map<Tensor, Tensor>()
  const integerValues = new Set<string>()
  for (const layer of plan.layers) {
    const { nodeIndex, addIndex, output, float16 } = layer.anatomy
    const node = nodes[nodeIndex] as Node
    node.name ||= layer.name
    node.inputs[0] = `${layer.quant.name}.output0`
    const add = addIndex === undefined ? undefined : (nodes[addIndex] as Node)
    if (add) integerValues.add(node.outputs[0] ?? '')
    const weight = deployWeight(layer, packed, spill)
    const last = makeInteger(model, layer, weight, node, add)
    const scales = layer.scales.map((scale) => dequantScale(layer.activation.scale, scale))
    addDequant(model, { name: layer.name, output, float16 }, scales, last, insertions)
  }
  for (const pool of plan.pools) {
    for (const value of writePool(model, pool, nodes, insertions)) integerValues.add(value)
  }
  if (plan.weightOnly.length > 0) {
    writeWeightOnly(model, plan.weightOnly, nodes, inferShapes(source), insertions)
  }
  insertions.apply(model.graph)
  forgetValueInfo(model.graph, integerValues)
  removeReplacedConstants(model.graph, replacedConstants(plan))
  return model
}
