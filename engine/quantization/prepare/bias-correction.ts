// Bias correction (Nagel et al. 2019, section 4.2): rounding weights and activations shifts the mean of each output
// channel by a constant, which the bias can take back: b + W E[x] - Wq E[xq], with the means of calibration data.
import type { RepairNote } from '../../../contract/repair.ts'
import type { WorkContext } from '../../../contract/work.ts'
import {
  type CalibrationDataset,
  channelKey,
  type ChannelRequest,
  type ChannelStatistics,
  collectChannelStatistics,
  type ObservedRange,
  observerKey,
  type RangeOptions,
} from '../../calibration/index.ts'
import { FreshNames } from '../../calibration/fresh-names.ts'
import { cloneModel, DataType, intsAttribute, makeNode, makeScalar, type Model } from '../../onnx/index.ts'
import { constantValues } from '../constants.ts'
import type { ChosenLayer, PlanHooks } from '../plan.ts'
import { activationScaleOffset, type ChannelLayout } from '../rules.ts'
import { weightLayout } from '../weights.ts'
import { LinearLayer } from './linear-layer.ts'
import { forEachBlock } from './weight-channels.ts'

/** int8 -> uint8: the same grid, shifted; QuantizeLinear has no kernel for int8 everywhere. */
const UINT8_SHIFT = 128

export interface BiasCorrector {
  correctBias: NonNullable<PlanHooks['correctBias']>
  /** Grows as layers are corrected. */
  notes: RepairNote[]
}

interface Means {
  exact: Float32Array
  quantized: Float32Array
}

/** What is asked of the calibration data for one layer. */
interface MeanRequest {
  exact: ChannelRequest
  quantized: ChannelRequest
}

/** A layer without a bias gets one where its operator has a place for it. */
function canCorrect({ anatomy }: ChosenLayer): boolean {
  return anatomy.bias !== undefined || anatomy.opType !== 'MatMul'
}

/** Adds the activations as the quantized layers see them, so that their means come from the same pass over the data. */
class QuantizedCopies {
  readonly model: Model
  readonly #names: FreshNames
  readonly #known = new Map<string, string>()

  constructor(source: Model) {
    this.model = cloneModel(source)
    this.#names = new FreshNames(this.model)
  }

  /** @returns the name of the tensor in float32, on the grid */
  of(layer: ChosenLayer, range: ObservedRange): string {
    const { activation, float16 } = layer.anatomy
    const { scale, offset } = activationScaleOffset(range.min, range.max, layer.observer.symmetric)
    const key = JSON.stringify([activation, scale, offset])
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const constant = (suffix: string, type: DataType, value: number): string => {
      const name = this.#names.take(`${activation}.${suffix}`)
      this.model.graph.initializers.set(name, makeScalar(name, type, value))
      return name
    }
    const grid = [
      constant('scale', DataType.FLOAT, scale),
      constant('zero_point', DataType.UINT8, offset + UINT8_SHIFT),
    ]
    const input = float16 ? this.#node('Cast', activation, [activation], { to: DataType.FLOAT }) : activation
    const integers = this.#node('QuantizeLinear', activation, [input, ...grid])
    const output = this.#node('DequantizeLinear', activation, [integers, ...grid])
    this.#known.set(key, output)
    return output
  }

  #node(opType: string, tensor: string, inputs: string[], attributes: Record<string, number> = {}): string {
    const output = this.#names.take(`${tensor}.${opType}`)
    this.model.graph.nodes.push(makeNode({ opType, name: output, inputs, outputs: [output], attributes }))
    return output
  }
}

/** Index of the scale of the element at `position`. */
function scaleIndex(layout: ChannelLayout, position: number): number {
  const row = Math.floor(position / layout.inner)
  const group =
    layout.blocksPerGroup === 0 ? 0 : Math.floor(Math.floor(row / layout.channels) / layout.blocksPerGroup)
  return group * layout.channels + (row % layout.channels)
}

/**
 * Mean error of each output channel: the sum over inputs and kernel of Wq E[xq] - W E[x]. Every tap is taken to see the
 * mean of its whole channel: that it sees padding at the border is left out of account.
 */
export function meanErrors(
  layer: LinearLayer,
  weights: Float32Array,
  quantized: Int8Array,
  scaleOf: (position: number) => number,
  means: Means,
): Float64Array {
  const errors = new Float64Array(layer.count('output'))
  forEachBlock(layer.channels, (input, output, start, end) => {
    let [exact, integers] = [0, 0]
    for (let index = start; index < end; index++) {
      exact += weights[index] as number
      integers += quantized[index] as number
    }
    const error =
      integers * scaleOf(start) * (means.quantized[input] as number) - exact * (means.exact[input] as number)
    errors[output] = (errors[output] as number) + error
  })
  return errors.map((error) => error / placesPerOutput(layer))
}

/** A ConvTranspose spreads each input over stride-many outputs per dimension: an output sees that share of the taps. */
function placesPerOutput({ anatomy, node }: LinearLayer): number {
  if (anatomy.opType !== 'ConvTranspose') return 1
  const kernel = anatomy.weightDims.slice(2)
  return intsAttribute(
    node,
    'strides',
    kernel.map(() => 1),
  ).reduce((product, stride) => product * stride, 1)
}

/**
 * Prepares bias correction: collects the means of the layers' inputs, as they are and as they are quantized, in one pass.
 * @param ranges Ranges of the layers' activations, by observerKey; a layer without one keeps its activations as they are.
 * @throws what collectChannelStatistics throws
 */
export async function biasCorrector(
  model: Model,
  chosen: readonly ChosenLayer[],
  ranges: ReadonlyMap<string, ObservedRange>,
  dataset: CalibrationDataset,
  options: RangeOptions = {},
  context: WorkContext = {},
): Promise<BiasCorrector> {
  const layers = new Map(
    chosen
      .filter(canCorrect)
      .map((layer) => [layer.name, { layer, linear: new LinearLayer(model.graph.nodes, layer.anatomy) }]),
  )
  const copies = new QuantizedCopies(model)
  const requests = new Map<string, MeanRequest>()
  for (const { layer, linear } of layers.values()) {
    const { activation: tensor } = layer.anatomy
    const exact = { tensor, axis: linear.inputAxis }
    const range = ranges.get(observerKey(tensor, layer.observer))
    const quantized = range ? { ...exact, tensor: copies.of(layer, range) } : exact
    requests.set(layer.name, { exact, quantized })
  }
  const wanted = [...requests.values()].flatMap(({ exact, quantized }) => [exact, quantized])
  const float16 = chosen.filter(({ anatomy }) => anatomy.float16).map(({ anatomy }) => anatomy.activation)
  const own = { ...options, float16Tensors: new Set(float16) }
  const statistics = await collectChannelStatistics(copies.model, dataset, wanted, own, context)
  const notes: RepairNote[] = []
  const meanOf = (request: ChannelRequest): ChannelStatistics['mean'] | undefined =>
    statistics.get(channelKey(request))?.mean

  const correctBias: BiasCorrector['correctBias'] = (name, weights, quantized, scales) => {
    const request = requests.get(name)
    const found = layers.get(name)
    const [exact, image] = request ? [meanOf(request.exact), meanOf(request.quantized)] : []
    if (!found || !exact || !image) return undefined
    const { layer, linear } = found
    const layout = weightLayout(layer)
    const scaleOf = (position: number): number => scales[scaleIndex(layout, position)] as number
    const errors = meanErrors(linear, weights, quantized, scaleOf, { exact, quantized: image })
    const own = layer.anatomy.bias && constantValues(layer.anatomy.bias)
    notes.push({
      kind: 'bias_correction',
      layer: name,
      channels: errors.length,
      largest: errors.reduce((largest, error) => Math.max(largest, Math.abs(error)), 0),
    })
    return Float32Array.from(errors, (error, channel) => (own?.[channel] ?? 0) - error)
  }
  return { correctBias, notes }
}
