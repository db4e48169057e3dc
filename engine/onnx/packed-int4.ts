// INT4 weights of an Ascend deploy model: INT8 tensors that hold two integers of neighbouring input channels per byte
// (AMCT, PackInt4WeightPass). Nothing marks them but their shape: half as many input channels as the layer's input has.
import { intAttribute } from './attributes.ts'
import type { Node } from './model.ts'

type Dims = readonly (number | null)[]

/** The dimension of a layer's weight that runs along its input channels. */
function inputAxis(node: Node): 0 | 1 {
  const turned = node.opType === 'Gemm' && intAttribute(node, 'transB', 0) !== 0
  return node.opType === 'Conv' || turned ? 1 : 0
}

/** The dimension of the input that the weight's input channels meet; null when unknown. */
function inputChannels(opType: string, input: Dims): number | null {
  const product = opType === 'MatMul' || opType === 'Gemm'
  return (product ? input.at(-1) : input[1]) ?? null
}

const PACKED_LAYERS: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm'])

/**
 * The dimension along which the INT8 weight of a quantized layer is packed; undefined when it holds one integer per byte.
 * @param weight Dimensions of the stored weight.
 * @param input Dimensions of the quantized input.
 */
export function packedInt4Axis(node: Node, weight: Dims | null, input: Dims | null): 0 | 1 | undefined {
  if (!PACKED_LAYERS.has(node.opType) || !weight || !input) return undefined
  if (intAttribute(node, 'group', 1) !== 1 || weight.length < 2) return undefined
  const axis = inputAxis(node)
  const [stored, channels] = [weight[axis] ?? null, inputChannels(node.opType, input)]
  return stored !== null && channels !== null && stored * 2 === channels ? axis : undefined
}

/** The shape of the integers: that of the stored weight, or with the packed dimension doubled. */
export function unpackedDims<T extends number | null>(
  node: Node,
  weight: readonly T[],
  input: Dims | null,
): (T | number)[] {
  const axis = packedInt4Axis(node, weight, input)
  return axis === undefined ? [...weight] : weight.with(axis, (2 * Number(weight[axis])) as T)
}
