// A Conv, ConvTranspose, Gemm or MatMul whose channels are being scaled. Factors add up and are written once.
import { AppError } from '../../../contract/errors/index.ts'
import { intAttribute, type Node, nodeLabel, removeAttribute } from '../../onnx/index.ts'
import { constantValues } from '../constants.ts'
import { examineLayers, type LayerAnatomy } from '../layers.ts'
import { setBias } from '../rewrite.ts'
import type { ModelEditor } from './model-editor.ts'
import {
  channelCount,
  channelMaxima,
  type ChannelSide,
  scaleChannels,
  type WeightChannels,
  weightChannels,
} from './weight-channels.ts'

export class LinearLayer {
  readonly node: Node
  /** The Add behind a MatMul that holds its bias. */
  readonly add: Node | undefined
  readonly anatomy: LayerAnatomy
  readonly channels: WeightChannels
  readonly #factors: Partial<Record<ChannelSide, Float64Array>> = {}

  constructor(nodes: readonly Node[], anatomy: LayerAnatomy) {
    this.node = nodes[anatomy.nodeIndex] as Node
    this.add = anatomy.addIndex === undefined ? undefined : nodes[anatomy.addIndex]
    this.anatomy = anatomy
    this.channels = weightChannels(anatomy, intAttribute(this.node, 'group', 1))
  }

  /** The dimension of the input that holds its channels, -1 being the last. */
  get inputAxis(): number {
    return this.anatomy.opType === 'Conv' || this.anatomy.opType === 'ConvTranspose' ? 1 : -1
  }

  count(side: ChannelSide): number {
    return channelCount(this.channels, side)
  }

  /** The weight as it stands in the model, without the factors that wait. Read anew each time. */
  values(): Float32Array {
    return constantValues(this.anatomy.weight)
  }

  /** Multiplies channels: input channels of the weight; or the output, weight and bias alike. */
  scale(side: ChannelSide, factors: Float64Array): void {
    const known = this.#factors[side]
    this.#factors[side] = known
      ? known.map((factor, channel) => factor * (factors[channel] as number))
      : Float64Array.from(factors)
  }

  /** Largest magnitude of each channel of one side, waiting factors included. */
  maxima(side: ChannelSide): Float32Array {
    return channelMaxima(this.values(), this.channels, side, this.#factors)
  }

  /** Writes weight and bias with the factors that wait. @throws E_REPAIR_WEIGHT_RANGE when float16 cannot hold one */
  flush(editor: ModelEditor): void {
    const { input, output } = this.#factors
    if (!input && !output) return
    const weights = scaleChannels(this.values(), this.channels, this.#factors)
    const bias = this.anatomy.bias && constantValues(this.anatomy.bias)
    const scaledBias =
      bias && output && bias.map((value, channel) => Math.fround(value * (output[channel] as number)))
    if (this.write(editor, weights, scaledBias)) return
    throw new AppError('E_REPAIR_WEIGHT_RANGE', { layer: nodeLabel(this.node) })
  }

  /**
   * Puts in a weight (in the order of `anatomy.weightDims`) and, when given, a bias; a Conv, ConvTranspose or Gemm
   * without one gets one.
   * @returns false, with nothing changed, when a value does not fit the element type
   */
  write(editor: ModelEditor, weights: Float32Array, bias?: Float32Array): boolean {
    const { weight, weightDims, bias: own, outputChannels } = this.anatomy
    const biasHolder = this.add ?? this.node
    const biasName =
      bias &&
      (own
        ? editor.replaceConstant(own, new Set([biasHolder]), [outputChannels], bias)
        : editor.addConstant(`${this.node.name}.bias`, weight.dataType, [outputChannels], bias))
    if (bias && biasName === undefined) return false
    const weightName = editor.replaceConstant(weight, new Set([this.node]), weightDims, weights)
    if (weightName === undefined) return false
    this.node.inputs[1] = weightName
    // The weight is stored as the operator computes with it.
    if (this.node.opType === 'Gemm') removeAttribute(this.node, 'transB')
    if (biasName !== undefined) this.#connectBias(biasName)
    return true
  }

  #connectBias(name: string): void {
    if (this.add) this.add.inputs = [this.node.outputs[0] ?? '', name]
    else setBias(this.node, name)
  }
}

/** Every layer of a model with a constant floating-point weight, in graph order. */
export function linearLayers(editor: ModelEditor): LinearLayer[] {
  const { nodes } = editor.model.graph
  return [...examineLayers(editor.model).values()].flatMap((finding) =>
    'layer' in finding ? [new LinearLayer(nodes, finding.layer)] : [],
  )
}
