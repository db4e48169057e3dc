// Layers of which only the weight is integer, in the deploy model: CANN's weight-only product where it has one (operator
// WeightQuantBatchMatmulV2, its ONNX plug-in and the limits of aclnnWeightQuantBatchMatmulV2), else the rounded weight in
// floating point.
import type { DeployFloatReason } from '../../contract/quantization.ts'
import {
  DataType,
  float32ToFloat16Bits,
  type InferredShape,
  makeAttribute,
  makeNode,
  makeTensor,
  type Model,
  type Node,
  opsetVersion,
  removeAttribute,
  type Tensor,
  tensorBytes,
} from '../onnx/index.ts'
import type { ChosenLayer, WeightOnlyPlan } from './plan.ts'
import { type NodeInsertions, putInitializer } from './rewrite.ts'
import type { ChannelLayout } from './rules.ts'

/** The name under which ATC knows the operator in the default domain. */
export const WEIGHT_ONLY_PRODUCT = 'NPUWeightQuantBatchMatmulV2'
/** Opsets whose models ATC's plug-in takes. */
const OLDEST_OPSET = 11
const NEWEST_OPSET = 19
/** Largest dimension of the weight on Atlas A2. */
const LARGEST_DIMENSION = 65_535
/** The operator's `dtype` for a FLOAT16 result. */
const FLOAT16_RESULT = 1

/** Why a weight-only layer cannot be CANN's product; undefined when it can. */
export function deployFloatReason(model: Model, layer: ChosenLayer): DeployFloatReason | undefined {
  const { opType, weightDims } = layer.anatomy
  if (opType !== 'MatMul' && opType !== 'Gemm') return 'convolution'
  if (layer.precision === 'w4a16') return 'int4'
  const opset = opsetVersion(model) ?? 0
  if (opset < OLDEST_OPSET || opset > NEWEST_OPSET) return 'opset'
  return weightDims.some((dim) => dim > LARGEST_DIMENSION) ? 'size' : undefined
}

/** The integers times their scales, as float32 or the bits of float16. */
export function roundedFloats(
  weight: Tensor,
  layout: ChannelLayout,
  scales: Float32Array,
  float16: boolean,
): Float32Array | Uint16Array {
  const bytes = tensorBytes(weight)
  const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values = float16 ? new Uint16Array(integers.length) : new Float32Array(integers.length)
  const { blocks, channels, inner, blocksPerGroup } = layout
  let index = 0
  for (let block = 0; block < blocks; block++) {
    const first = blocksPerGroup === 0 ? 0 : Math.floor(block / blocksPerGroup) * channels
    for (let row = 0; row < channels; row++) {
      const scale = scales[first + row] as number
      for (const end = index + inner; index < end; index++) {
        const value = (integers[index] as number) * scale
        values[index] = float16 ? float32ToFloat16Bits(Math.fround(value)) : value
      }
    }
  }
  return values
}

/** Puts the rounded floating-point weight into the layer. */
function writeRounded(model: Model, node: Node, weight: Tensor): void {
  putInitializer(model, weight)
  node.inputs[1] = weight.name
  if (node.opType === 'Gemm') removeAttribute(node, 'transB')
}

class ProductWriter {
  readonly #model: Model
  readonly #plan: WeightOnlyPlan
  readonly #before: Node[] = []

  constructor(model: Model, plan: WeightOnlyPlan) {
    this.#model = model
    this.#plan = plan
  }

  #node(
    opType: string,
    suffix: string,
    inputs: string[],
    output = `${this.#plan.name}.${suffix}.output0`,
    attributes: Record<string, number> = {},
  ): Node {
    return makeNode({ opType, name: `${this.#plan.name}.${suffix}`, inputs, outputs: [output], attributes })
  }

  /** A node before the product; returns its result. */
  #step(opType: string, suffix: string, inputs: string[], attributes: Record<string, number> = {}): string {
    const node = this.#node(opType, suffix, inputs, undefined, attributes)
    this.#before.push(node)
    return node.outputs[0] ?? ''
  }

  #integers(suffix: string, values: readonly number[]): string {
    const name = `${this.#plan.name}.${suffix}`
    putInitializer(this.#model, makeTensor(name, DataType.INT64, [values.length], values.map(BigInt)))
    return name
  }

  /** The result's shape: the input's with the last dimension replaced. */
  #resultShape(input: string, dims: readonly (number | null)[] | null): string {
    const outputs = this.#plan.anatomy.outputChannels
    const open = dims?.slice(0, -1).filter((dim) => dim === null).length
    if (dims && open !== undefined && open < 2) {
      return this.#integers('shape', [...dims.slice(0, -1).map((dim) => dim ?? -1), outputs])
    }
    const shape = this.#step('Shape', 'input_shape', [input])
    const bounds = [this.#integers('shape_start', [0]), this.#integers('shape_end', [-1])]
    const leading = this.#step('Slice', 'leading_shape', [shape, ...bounds])
    return this.#step('Concat', 'result_shape', [leading, this.#integers('columns', [outputs])], { axis: 0 })
  }

  /** Turns the layer's node into the product, with what has to stand around it. */
  write(node: Node, dims: readonly (number | null)[] | null, insertions: NodeInsertions): void {
    const { anatomy, weight, scales, name } = this.#plan
    const [input = '', , bias = ''] = node.inputs
    const [result = ''] = node.outputs
    const behind: ((value: string, output: string | undefined) => Node)[] = []
    let value = input
    if (!anatomy.float16) value = this.#step('Cast', 'input_cast', [value], { to: DataType.FLOAT16 })
    if (dims?.length !== 2) {
      const shape = this.#integers('matrix_shape', [-1, anatomy.weightDims[0] ?? 1])
      value = this.#step('Reshape', 'matrix', [value, shape])
      const back = this.#resultShape(input, dims)
      behind.push((product, output) => this.#node('Reshape', 'tensor', [product, back], output))
    }
    const wide = { to: DataType.FLOAT }
    if (!anatomy.float16) {
      behind.push((narrow, output) => this.#node('Cast', 'output_cast', [narrow], output, wide))
    }
    if (bias !== '') behind.push((sum, output) => this.#node('Add', 'bias_add', [sum, bias], output))

    putInitializer(this.#model, weight)
    const scale = `${name}.antiquant_scale`
    putInitializer(this.#model, makeTensor(scale, DataType.FLOAT16, [scales.length], [...scales]))
    node.opType = WEIGHT_ONLY_PRODUCT
    node.inputs = [value, weight.name, scale]
    node.attributes = [makeAttribute('antiquant_group_size', 0), makeAttribute('dtype', FLOAT16_RESULT)]
    insertions.before(node, ...this.#before)
    let product = node
    behind.forEach((make, index) => {
      product.outputs[0] = `${product === node ? `${name}.product` : product.name}.output0`
      const next = make(product.outputs[0], index === behind.length - 1 ? result : undefined)
      insertions.after(product, next)
      product = next
    })
  }
}

/**
 * Writes the weight-only layers of a plan into a clone of the source model.
 * @param nodes The clone's nodes, in the places that the plan names.
 */
export function writeWeightOnly(
  model: Model,
  plans: readonly WeightOnlyPlan[],
  nodes: readonly Node[],
  shapes: ReadonlyMap<string, InferredShape>,
  insertions: NodeInsertions,
): void {
  for (const plan of plans) {
    const node = nodes[plan.anatomy.nodeIndex] as Node
    node.name ||= plan.name
    if (plan.deployFloat) writeRounded(model, node, plan.deployFloat.weight)
    else
      new ProductWriter(model, plan).write(
        node,
        shapes.get(plan.anatomy.activation)?.dims ?? null,
        insertions,
      )
  }
}
