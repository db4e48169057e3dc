// What the writers ask about a layer, told from one whose integer weight is already in place.
import { intAttribute, type Node, type Tensor } from '../../onnx/index.ts'
import type { ConstantValue } from '../constants.ts'
import type { LayerAnatomy } from '../layers.ts'

export interface PlacedLayer {
  node: Node
  /** The Add behind a MatMul that holds its bias. */
  add?: Node | undefined
  activation: string
  weight: Tensor
  bias?: Tensor | undefined
  float16: boolean
}

function constant(stored: Tensor): ConstantValue {
  return { stored, name: stored.name, dataType: stored.dataType, transposed: false, via: [] }
}

function outputChannels(node: Node, dims: readonly number[]): number {
  if (node.opType === 'Conv') return dims[0] ?? 1
  const channels = dims[1] ?? 1
  return node.opType === 'ConvTranspose' ? channels * intAttribute(node, 'group', 1) : channels
}

/** @param place Positions of nodes in the graph to write. */
export function anatomyOf(layer: PlacedLayer, place: ReadonlyMap<Node, number>): LayerAnatomy {
  const { node, add, activation, weight, bias, float16 } = layer
  const groups = intAttribute(node, 'group', 1)
  return {
    nodeIndex: place.get(node) ?? 0,
    opType: node.opType,
    activation,
    weight: constant(weight),
    weightDims: [...weight.dims],
    group: node.opType === 'ConvTranspose' ? groups : 1,
    groups,
    outputChannels: outputChannels(node, weight.dims),
    ...(bias && { bias: constant(bias) }),
    ...(add && { addIndex: place.get(add) ?? 0 }),
    output: (add ?? node).outputs[0] ?? '',
    float16,
  }
}
