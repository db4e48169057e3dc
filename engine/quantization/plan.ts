// The quantization of a model, decided once and written twice: for every layer its integer weight, scales, integer bias
// and the quantization of its input, under the names they get in both models.
import { AppError } from '../../contract/errors/index.ts'
import type { ActivationQuantization, DeployFloatReason, LayerFallback } from '../../contract/quantization.ts'
import type { LayerPrecision, WeightMethod } from '../../contract/recipe.ts'
import type { WorkContext } from '../../contract/work.ts'
import { type ObservedRange, observerKey, type ObserverSpec } from '../calibration/index.ts'
import { FreshNames } from '../calibration/fresh-names.ts'
import { DataType, makeTensor, type Model, type Node, type Tensor, tensorBytes } from '../onnx/index.ts'
import { type ConstantValue, constantValues } from './constants.ts'
import { inputAxis, type LayerAnatomy } from './layers.ts'
import { Ownership } from './ownership.ts'
import type { ChosenPool } from './pooling.ts'
import {
  activationScaleOffset,
  dequantScale,
  quantizeBias,
  quantizeWeight,
  type WeightBits,
} from './rules.ts'
import type { WeightSpill } from './weight-spill.ts'
import { deployFloatReason, roundedFloats } from './weight-only.ts'
import { groupSize, weightLayout, type WeightValues, weightValues } from './weights.ts'

/** Precisions with integer weights. */
export type IntegerPrecision = Exclude<LayerPrecision, 'fp16' | 'float'>

/** Factors decided elsewhere: those of a record file. */
export interface GivenFactors {
  scale: number
  offset: number
  /** scale_w, one or one per output channel. */
  scales: Float32Array
}

/** A layer chosen for integers, with the recipe's settings for it. */
export interface ChosenLayer {
  name: string
  anatomy: LayerAnatomy
  precision: IntegerPrecision
  /** The precision that the recipe asked for and the layer cannot have. */
  fallback?: LayerFallback
  /** How the range of its input is found. */
  observer: ObserverSpec
  perChannelWeight: boolean
  weightBits: WeightBits
  weightMethod: WeightMethod
  /** In place of what calibration and the weight say. */
  given?: GivenFactors
}

/** What may be decided outside of the plan; both are asked layer by layer, in the order of the layers. */
export interface PlanHooks {
  /**
   * Integer weights of a layer on the scales of `weightValues`, one per byte in the order of `anatomy.weightDims`;
   * undefined: rounded to the nearest. Layers that share a weight also share the rounding of the first that has one.
   */
  rounded?: (layer: string) => Int8Array | undefined
  /**
   * The bias to quantize in place of the layer's own, one float per output channel; undefined: as it is. A Conv,
   * ConvTranspose or Gemm without a bias gets one; a MatMul has no place for it.
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
  precision: 'int8' | 'w4a8'
  quant: SharedQuant
  activation: ActivationQuantization
  /** INT8, one integer per byte whatever its bits, named as in the written models. */
  weight: Tensor
  /** One, or one per output channel. */
  scales: Float32Array
  /** INT32, one per output channel. */
  bias?: Tensor
}

/** A layer of which only the weight is integer. */
export interface WeightOnlyPlan {
  name: string
  anatomy: LayerAnatomy
  precision: 'w8a16' | 'w4a16'
  /** INT8, one integer per byte. */
  weight: Tensor
  /** One, one per output channel, or `[groups, output channels]`. */
  scales: Float32Array
  /** Inputs that share a scale; 0: all. */
  groupSize: number
  /** The deploy model holds the rounded weight in floating point, and why. */
  deployFloat?: { reason: DeployFloatReason; weight: Tensor }
}

/** An AveragePool on integers. */
export interface PoolPlan {
  name: string
  nodeIndex: number
  readerIndex: number
  output: string
  quant: SharedQuant
  activation: ActivationQuantization
}

export interface QuantizationPlan {
  layers: LayerPlan[]
  weightOnly: WeightOnlyPlan[]
  pools: PoolPlan[]
  /** Names free in the source model and not used by the plan; shared by both writers' clones. */
  names: FreshNames
}

export interface PlanOptions extends PlanHooks {
  weightOnly?: readonly ChosenLayer[]
  pools?: readonly ChosenPool[]
}

interface QuantizedWeight {
  tensor: Tensor
  scales: Float32Array
  /** The weight to put into the deploy model instead, once it is asked for. */
  rounded?: Tensor
}

/** What an integer weight is known by: layers with equal variants of a stored constant share one. */
export function weightVariant(layer: ChosenLayer): string {
  const { weight } = layer.anatomy
  const activation = layer.precision === 'w8a16' || layer.precision === 'w4a16'
  const given = layer.given && [...layer.given.scales]
  // INT4 is packed along the input channels, which a Conv and a ConvTranspose have on different axes.
  const packing = layer.weightBits === 4 ? inputAxis(layer.anatomy) : null
  const grid = [layer.weightBits, layer.weightMethod, weightLayout(layer), activation, packing, given]
  return JSON.stringify([weight.name, weight.transposed, weight.dataType, ...grid])
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

  layer(layer: ChosenLayer, range: ObservedRange): LayerPlan {
    const { anatomy, name } = layer
    const activation = activationQuantization(anatomy.activation, layer, range)
    const { tensor: weight, scales } = this.#weight(layer)
    const bias = this.#bias(layer, activation.scale, weight, scales)
    return {
      name,
      anatomy,
      precision: layer.precision === 'w4a8' ? 'w4a8' : 'int8',
      quant: this.#quant(name, activation, anatomy.float16),
      activation,
      weight,
      scales,
      ...(bias && { bias }),
    }
  }

  weightOnly(layer: ChosenLayer): WeightOnlyPlan {
    const { anatomy, name } = layer
    const quantized = this.#weight(layer)
    const reason = deployFloatReason(this.#model, layer)
    return {
      name,
      anatomy,
      precision: layer.precision === 'w4a16' ? 'w4a16' : 'w8a16',
      weight: quantized.tensor,
      scales: quantized.scales,
      groupSize: groupSize(layer),
      ...(reason && { deployFloat: { reason, weight: this.#roundedFloats(layer, quantized) } }),
    }
  }

  pool(pool: ChosenPool, range: ObservedRange): PoolPlan {
    const { name, nodeIndex, readerIndex, output } = pool
    const activation = activationQuantization(pool.activation, pool, range)
    return { name, nodeIndex, readerIndex, output, quant: this.#quant(name, activation, false), activation }
  }

  #quant(layer: string, activation: ActivationQuantization, float16: boolean): SharedQuant {
    const { tensor, scale, offset } = activation
    const key = JSON.stringify([tensor, scale, offset, float16])
    const existing = this.#quants.get(key)
    if (existing) return existing
    const quant = { name: this.names.take(`${layer}.quant`), tensor, scale, offset, float16 }
    this.#quants.set(key, quant)
    return quant
  }

  #roundedFloats(layer: ChosenLayer, quantized: QuantizedWeight): Tensor {
    const { tensor, scales } = quantized
    quantized.rounded ??= {
      name: tensor.name,
      dataType: layer.anatomy.float16 ? DataType.FLOAT16 : DataType.FLOAT,
      dims: tensor.dims,
      data: this.#spill.put(roundedFloats(tensor, weightLayout(layer), scales, layer.anatomy.float16)),
    }
    return quantized.rounded
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

/** The quantizations of a plan, each with the place of its first reader in the graph. */
export function quantReaders(plan: QuantizationPlan): Map<SharedQuant, number> {
  const readers = new Map<SharedQuant, number>()
  const add = (quant: SharedQuant, index: number): void => {
    readers.set(quant, Math.min(index, readers.get(quant) ?? index))
  }
  for (const layer of plan.layers) add(layer.quant, layer.anatomy.nodeIndex)
  for (const pool of plan.pools) add(pool.quant, pool.readerIndex)
  return readers
}

/** The weights and biases that integers take the place of. */
export function replacedConstants(plan: QuantizationPlan): ConstantValue[] {
  const biased = plan.layers.flatMap(({ anatomy }) => anatomy.bias ?? [])
  return [...[...plan.layers, ...plan.weightOnly].map(({ anatomy }) => anatomy.weight), ...biased]
}

function activationQuantization(
  tensor: string,
  { observer, given }: ChosenLayer | ChosenPool,
  range: ObservedRange,
): ActivationQuantization {
  if (given) {
    const { scale, offset } = given
    const [min, max] = [(-128 - offset) * scale, (127 - offset) * scale]
    return { tensor, min, max, scale, offset, symmetric: offset === 0 }
  }
  const { symmetric } = observer
  return { tensor, ...range, ...activationScaleOffset(range.min, range.max, symmetric), symmetric }
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
  options: PlanOptions = {},
): QuantizationPlan {
  const { weightOnly = [], pools = [] } = options
  const planner = new Planner(model, [...layers, ...weightOnly], spill, options)
  const total = layers.length + weightOnly.length + pools.length
  let done = 0
  const step = (item: string): void => {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
    context.onProgress?.({ stage: 'quantize', done: done++, total, item })
  }
  const rangeOf = (tensor: string, observer: ObserverSpec): ObservedRange =>
    ranges.get(observerKey(tensor, observer)) ?? { min: 0, max: 0, method: observer.method }
  const plan: QuantizationPlan = { layers: [], weightOnly: [], pools: [], names: planner.names }
  for (const layer of layers) {
    step(layer.name)
    plan.layers.push(planner.layer(layer, rangeOf(layer.anatomy.activation, layer.observer)))
  }
  for (const layer of weightOnly) {
    step(layer.name)
    plan.weightOnly.push(planner.weightOnly(layer))
  }
  for (const pool of pools) {
    step(pool.name)
    plan.pools.push(planner.pool(pool, rangeOf(pool.activation, pool.observer)))
  }
  context.onProgress?.({ stage: 'quantize', done: total, total })
  return plan
}
