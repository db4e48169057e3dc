// The quantization of a model, decided once and written twice: for every layer its integer weight, scales, integer bias
// and the quantization of its input, under the names they get in both models.
import { AppError } from '../../contract/errors/index.ts'
import type { ActivationQuantization } from '../../contract/quantization.ts'
import type { WorkContext } from '../../contract/work.ts'
import { type ObservedRange, observerKey, type ObserverSpec } from '../calibration/index.ts'
import { FreshNames } from '../calibration/fresh-names.ts'
import { DataType, indexGraph, makeTensor, type Model, type Node, type Tensor } from '../onnx/index.ts'
import { constantReaders, type ConstantValue, constantValues } from './constants.ts'
import type { LayerAnatomy } from './layers.ts'
import {
  activationScaleOffset,
  type ChannelLayout,
  convLayout,
  convTransposeLayout,
  dequantScale,
  quantizeBias,
  quantizeWeight,
  tensorLayout,
  weightScales,
} from './rules.ts'
import type { WeightSpill } from './weight-spill.ts'

/** A layer chosen for INT8, with the recipe's settings for it. */
export interface ChosenLayer {
  name: string
  anatomy: LayerAnatomy
  /** How the range of its input is found. */
  observer: ObserverSpec
  perChannelWeight: boolean
}

/** One AscendQuant node: layers that read the same tensor with bit-equal scale and offset share it (QuantFusion). */
export interface SharedQuant {
  name: string
  tensor: string
  scale: number
  offset: number
  float16: boolean
}

export interface LayerPlan {
  name: string
  anatomy: LayerAnatomy
  quant: SharedQuant
  activation: ActivationQuantization
  /** INT8, named as in the written models. */
  weight: Tensor
  /** One, or one per output channel. */
  scales: Float32Array
  /** INT32, one per output channel. */
  bias?: Tensor
}

export interface QuantizationPlan {
  layers: LayerPlan[]
  /** Names free in the source model and not used by the plan; shared by both writers' clones. */
  names: FreshNames
}

interface QuantizedWeight {
  tensor: Tensor
  scales: Float32Array
}

function channelLayout(layer: ChosenLayer): ChannelLayout {
  const { opType, weightDims, group } = layer.anatomy
  // AMCT: MatMul and Gemm have one weight scale.
  if (!layer.perChannelWeight || opType === 'Gemm' || opType === 'MatMul') {
    return tensorLayout(weightDims.reduce((count, dim) => count * dim, 1))
  }
  return opType === 'ConvTranspose' ? convTransposeLayout(weightDims, group) : convLayout(weightDims)
}

/** Layers with equal variants of a stored constant share one integer weight. */
function weightVariant(layer: ChosenLayer): string {
  const { weight } = layer.anatomy
  return [weight.name, weight.transposed, weight.dataType, JSON.stringify(channelLayout(layer))].join('|')
}

/** Decides which constants may be replaced under their own names, because nothing else reads them. */
class Ownership {
  readonly #model: Model
  readonly #index
  readonly #outputs: ReadonlySet<string>

  constructor(model: Model) {
    this.#model = model
    this.#index = indexGraph(model.graph)
    this.#outputs = new Set(model.graph.outputs.map((output) => output.name))
  }

  ownedBy(constant: ConstantValue, nodes: ReadonlySet<Node>): boolean {
    if (!this.#model.graph.initializers.has(constant.name) || this.#outputs.has(constant.name)) return false
    const readers = constantReaders(this.#index, this.#outputs, constant.name)
    return [...readers].every((reader) => nodes.has(reader) && this.#readsOnce(reader, constant))
  }

  /** A node that reads the constant twice, as weight and as something else, still needs the original. */
  #readsOnce(reader: Node, constant: ConstantValue): boolean {
    const aliases = new Set([constant.name, ...constant.via])
    return reader.inputs.filter((input) => aliases.has(input)).length === 1
  }
}

class Planner {
  readonly #model: Model
  readonly #spill: WeightSpill
  readonly #ownership: Ownership
  readonly #weights = new Map<string, QuantizedWeight>()
  readonly #quants = new Map<string, SharedQuant>()
  readonly #variantReaders = new Map<string, Set<Node>>()
  readonly names: FreshNames

  constructor(model: Model, layers: readonly ChosenLayer[], spill: WeightSpill) {
    this.#model = model
    this.#spill = spill
    this.#ownership = new Ownership(model)
    this.names = new FreshNames(model)
    for (const layer of layers) {
      const readers = this.#variantReaders.get(weightVariant(layer)) ?? new Set<Node>()
      readers.add(this.#node(layer.anatomy.nodeIndex))
      this.#variantReaders.set(weightVariant(layer), readers)
    }
  }

  #node(index: number): Node {
    return this.#model.graph.nodes[index] as Node
  }

  plan(layer: ChosenLayer, range: ObservedRange): LayerPlan {
    const { anatomy, name } = layer
    const { scale, offset } = activationScaleOffset(range.min, range.max, layer.observer.symmetric)
    const { tensor: weight, scales } = this.#weight(layer)
    const bias = anatomy.bias && this.#bias(layer, anatomy.bias, scale, scales)
    return {
      name,
      anatomy,
      quant: this.#quant(layer, scale, offset),
      activation: {
        tensor: anatomy.activation,
        ...range,
        scale,
        offset,
        symmetric: layer.observer.symmetric,
      },
      weight,
      scales,
      ...(bias && { bias }),
    }
  }

  #quant(layer: ChosenLayer, scale: number, offset: number): SharedQuant {
    const { activation: tensor, float16 } = layer.anatomy
    const key = JSON.stringify([tensor, scale, offset, float16])
    const existing = this.#quants.get(key)
    if (existing) return existing
    const quant = { name: this.names.take(`${layer.name}.quant`), tensor, scale, offset, float16 }
    this.#quants.set(key, quant)
    return quant
  }

  #weight(layer: ChosenLayer): QuantizedWeight {
    const variant = weightVariant(layer)
    const known = this.#weights.get(variant)
    if (known) return known
    const { weight, weightDims } = layer.anatomy
    const values = constantValues(weight)
    const layout = channelLayout(layer)
    const { scales, nonFinite } = weightScales(values, layout)
    if (nonFinite >= 0) {
      throw new AppError('E_WEIGHT_NOT_FINITE', {
        layer: layer.name,
        weight: weight.name,
        index: nonFinite,
        value: String(values[nonFinite]),
      })
    }
    const readers = this.#variantReaders.get(variant) ?? new Set()
    const owned = this.#ownership.ownedBy(weight, readers)
    const tensor: Tensor = {
      name: owned ? weight.name : this.names.take(`${weight.name}.int8`),
      dataType: DataType.INT8,
      dims: [...weightDims],
      data: this.#spill.put(quantizeWeight(values, layout, scales)),
    }
    const quantized = { tensor, scales }
    this.#weights.set(variant, quantized)
    return quantized
  }

  #bias(layer: ChosenLayer, constant: ConstantValue, activationScale: number, scales: Float32Array): Tensor {
    const floats = constantValues(constant)
    const { values, overflow } = quantizeBias(floats, activationScale, scales)
    if (overflow) {
      const { channel, value } = overflow
      throw new AppError('E_BIAS_OVERFLOW', {
        layer: layer.name,
        channel,
        value,
        bias: floats[channel],
        step: dequantScale(activationScale, scales[scales.length === 1 ? 0 : channel] as number),
      })
    }
    const { nodeIndex, addIndex, outputChannels } = layer.anatomy
    const owned = this.#ownership.ownedBy(constant, new Set([this.#node(addIndex ?? nodeIndex)]))
    const name = owned ? constant.name : this.names.take(`${constant.name}.int32`)
    return makeTensor(name, DataType.INT32, [outputChannels], values)
  }
}

/**
 * Quantizes the weights of the chosen layers, one at a time.
 * @param ranges Ranges of the layers' activation tensors, by observerKey.
 * @throws E_WEIGHT_NOT_FINITE, E_BIAS_OVERFLOW, E_CANCELLED
 */
export function planQuantization(
  model: Model,
  layers: readonly ChosenLayer[],
  ranges: ReadonlyMap<string, ObservedRange>,
  spill: WeightSpill,
  context: WorkContext,
): QuantizationPlan {
  const planner = new Planner(model, layers, spill)
  const plans = layers.map((layer, done) => {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
    context.onProgress?.({ stage: 'quantize', done, total: layers.length, item: layer.name })
    const range = ranges.get(observerKey(layer.anatomy.activation, layer.observer))
    return planner.plan(layer, range ?? { min: 0, max: 0, method: layer.observer.method })
  })
  context.onProgress?.({ stage: 'quantize', done: layers.length, total: layers.length })
  return { layers: plans, names: planner.names }
}
