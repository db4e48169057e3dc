// The model for ATC: AscendQuant before, AscendDequant behind every quantized layer, integer weights and biases.
// Node and value names, attributes and types are those of AMCT's passes InsertQuant, InsertDequant and QuantFusion.
import {
  cloneModel,
  DataType,
  makeNode,
  makeTensor,
  type Model,
  type Node,
  removeAttribute,
} from '../onnx/index.ts'
import type { LayerPlan, QuantizationPlan, SharedQuant } from './plan.ts'
import {
  addBiasNode,
  forgetValueInfo,
  NodeInsertions,
  putInitializer,
  removeReplacedConstants,
} from './rewrite.ts'
import { dequantScale, packDequantScale, quantAttributeScale } from './rules.ts'

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

function addDequant(model: Model, plan: LayerPlan, last: Node, insertions: NodeInsertions): void {
  const name = `${plan.name}.dequant`
  const parameters = BigUint64Array.from(plan.scales, (scale) =>
    packDequantScale(dequantScale(plan.activation.scale, scale)),
  )
  putInitializer(model, makeTensor(`${name}.param`, DataType.UINT64, [parameters.length], parameters))
  const accumulator = `${name}.input0`
  last.outputs[0] = accumulator
  const dtype = plan.anatomy.float16 ? DEQUANT_DTYPE.float16 : DEQUANT_DTYPE.float32
  insertions.after(
    last,
    makeNode({
      opType: 'AscendDequant',
      name,
      inputs: [accumulator, `${name}.param`],
      outputs: [plan.anatomy.output],
      attributes: { dtype },
    }),
  )
}

/** Puts the integer weight and bias into the layer; returns the node whose output is the int32 result. */
function makeInteger(
  model: Model,
  plan: LayerPlan,
  node: Node,
  add: Node | undefined,
  insertions: NodeInsertions,
): Node {
  putInitializer(model, plan.weight)
  node.inputs[1] = plan.weight.name
  // Gemm's weight is stored as the untransposed operand (AMCT, GemmTransB).
  if (node.opType === 'Gemm') removeAttribute(node, 'transB')
  if (!plan.bias) return add ?? node
  putInitializer(model, plan.bias)
  if (add) add.inputs = [node.outputs[0] ?? '', plan.bias.name]
  else if (node.opType === 'MatMul') return addBiasNode(plan, node, plan.bias.name, insertions)
  else node.inputs[2] = plan.bias.name
  return add ?? node
}

/** Builds the deploy model. The source is not changed; integer weights are shared with the plan. */
export function buildDeployModel(source: Model, plan: QuantizationPlan): Model {
  const model = cloneModel(source)
  const nodes = [...model.graph.nodes]
  const insertions = new NodeInsertions()
  const placed = new Set<SharedQuant>()
  const integerValues = new Set<string>()
  for (const layer of plan.layers) {
    const { nodeIndex, addIndex } = layer.anatomy
    const node = nodes[nodeIndex] as Node
    node.name ||= layer.name
    if (!placed.has(layer.quant)) insertions.before(node, quantNode(layer.quant))
    placed.add(layer.quant)
    node.inputs[0] = `${layer.quant.name}.output0`
    const add = addIndex === undefined ? undefined : (nodes[addIndex] as Node)
    if (add) integerValues.add(node.outputs[0] ?? '')
    const last = makeInteger(model, layer, node, add, insertions)
    addDequant(model, layer, last, insertions)
  }
  insertions.apply(model.graph)
  forgetValueInfo(model.graph, integerValues)
  removeReplacedConstants(
    model.graph,
    plan.layers.flatMap(({ anatomy }) => [anatomy.weight, ...(anatomy.bias ? [anatomy.bias] : [])]),
  )
  return model
}
