// The quantization of a model, decided once and written twice: for every layer its integer weight, scales, integer bias
// and the quantization of its input, under the names they get in both models.
import { AppError } from '../../contract/errors/index.ts'
import type { ActivationQuantization } from '../../contract/quantization.ts'
import type { WeightMethod } from '../../contract/recipe.ts'
import type { WorkContext } from '../../contract/work.ts'
import { type ObservedRange, observerKey, type ObserverSpec } from '../calibration/index.ts'
import { FreshNames } from '../calibration/fresh-names.ts'
import {
  DataType,
  indexGraph,
  makeTensor,
  type Model,
  type Node,
  type Tensor,
  tensorBytes,
} from '../onnx/index.ts'
import { constantReaders, type ConstantValue, constantValues } from './constants.ts'
import type { LayerAnatomy } from './layers.ts'
import {
  activationScaleOffset,
  dequantScale,
  quantizeBias,
  quantizeWeight,
  type WeightBits,
} from './rules.ts'
import type { WeightSpill } from './weight-spill.ts'
import { weightLayout, type WeightValues, weightValues } from './weights.ts'

/** A layer chosen for integers, with the recipe's settings for it. */
export interface ChosenLayer {
  name: string
  anatomy: LayerAnatomy
  /** How the range of its input is found. */
  observer: ObserverSpec
  perChannelWeight: boolean
  weightBits: WeightBits
  weightMethod: WeightMethod
}

/** What may be decided outside of the plan; both are asked layer by layer, in the order of the layers. */
export interface PlanHooks {
  /**
   * Integer weights of a layer on the scales of `weightValues`, one per byte in the order of `anatomy.weightDims`;
   * undefined: rounded to the nearest. Layers that share a weight also share the rounding of the first that has one.
   */
  rounded?: (layer: string) => Int8Array | undefined
  /**
   * The bias to quantize in place of the layer's own, one float per output channel; undefined: as it is. A layer without
   * a bias gets one.
   */
  correctBias?: (
    layer: string,
    weights: Float32Array,
    quantized: Int8Array,
    scales: Float32Array,
  ) => Float32Array | undefined
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

/** Layers with equal variants of a stored constant share one integer weight. */
function weightVariant(layer: ChosenLayer): string {
  const { weight } = layer.anatomy
  const grid = [layer.weightBits, layer.weightMethod, weightLayout(layer)]
  return JSON.stringify([weight.name, weight.transposed, weight.dataType, ...grid])
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
  readonly #variantLayers = new Map<string, string[]>()
  readonly #hooks: PlanHooks
  #latest: { layer: ChosenLayer; read: WeightValues } | undefined
  readonly names: FreshNames

  constructor(model: Model, layers: readonly ChosenLayer[], spill: WeightSpill, hooks: PlanHooks) {
    this.#model = model
    this.#spill = spill
    this.#hooks = hooks
    this.#ownership = new Ownership(model)
    this.names = new FreshNames(model)
    for (const layer of layers) {
      const variant = weightVariant(layer)
      const readers = this.#variantReaders.get(variant) ?? new Set<Node>()
      readers.add(this.#node(layer.anatomy.nodeIndex))
      this.#variantReaders.set(variant, readers)
      this.#variantLayers.set(variant, [...(this.#variantLayers.get(variant) ?? []), layer.name])
    }
  }

  #node(index: number): Node {
    return this.#model.graph.nodes[index] as Node
  }

  plan(layer: ChosenLayer, range: ObservedRange): LayerPlan {
    const { anatomy, name } = layer
    const { scale, offset } = activationScaleOffset(range.min, range.max, layer.observer.symmetric)
    const { tensor: weight, scales } = this.#weight(layer)
    const bias = this.#bias(layer, scale, weight, scales)
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
    const read = this.#read(layer)
    const readers = this.#variantReaders.get(variant) ?? new Set()
    const owned = this.#ownership.ownedBy(weight, readers)
    const tensor: Tensor = {
      name: owned ? weight.name : this.names.take(`${weight.name}.int8`),
      dataType: DataType.INT8,
      dims: [...weightDims],
      data: this.#spill.put(this.#rounded(layer, read)),
    }
    const quantized = { tensor, scales: read.scales }
    this.#weights.set(variant, quantized)
    return quantized
  }

  /** The weight just read is often asked for again, by the bias. */
  #read(layer: ChosenLayer): WeightValues {
    if (this.#latest?.layer !== layer) this.#latest = { layer, read: weightValues(layer) }
    return this.#latest.read
  }

  #rounded(layer: ChosenLayer, { values, layout, scales }: WeightValues): Int8Array {
    const sharing = this.#variantLayers.get(weightVariant(layer)) ?? [layer.name]
    for (const name of sharing) {
      const rounded = this.#hooks.rounded?.(name)
      if (rounded) return rounded
    }
    return quantizeWeight(values, layout, scales, layer.weightBits)
  }

  /** The float bias to quantize: the corrected one, or the model's. */
  #floatBias(layer: ChosenLayer, weight: Tensor, scales: Float32Array): Float32Array | undefined {
    const { bias } = layer.anatomy
    const own = bias && constantValues(bias)
    if (!this.#hooks.correctBias) return own
    const bytes = tensorBytes(weight)
    const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return this.#hooks.correctBias(layer.name, this.#read(layer).values, integers, scales) ?? own
  }

  #bias(
    layer: ChosenLayer,
    activationScale: number,
    weight: Tensor,
    scales: Float32Array,
  ): Tensor | undefined {
    const floats = this.#floatBias(layer, weight, scales)
    if (!floats) return undefined
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
    return makeTensor(this.#biasName(layer), DataType.INT32, [layer.anatomy.outputChannels], values)
  }

  #biasName(layer: ChosenLayer): string {
    const { bias, nodeIndex, addIndex } = layer.anatomy
    if (!bias) return this.names.take(`${layer.name}.bias`)
    const owned = this.#ownership.ownedBy(bias, new Set([this.#node(addIndex ?? nodeIndex)]))
    return owned ? bias.name : this.names.take(`${bias.name}.int32`)
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
  hooks: PlanHooks = {},
): QuantizationPlan {
  const planner = new Planner(model, layers, spill, hooks)
  const plans = layers.map((layer, done) => {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
    context.onProgress?.({ stage: 'quantize', done, total: layers.length, item: layer.name })
    const range = ranges.get(observerKey(layer.anatomy.activation, layer.observer))
    return planner.plan(layer, range ?? { min: 0, max: 0, method: layer.observer.method })
  })
  context.onProgress?.({ stage: 'quantize', done: layers.length, total: layers.length })
  return { layers: plans, names: planner.names }
}
