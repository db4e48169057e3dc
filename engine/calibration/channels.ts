// Per-channel statistics of activations: the model runs on calibration data with reductions over all axes but one behind
// the wanted tensors, so that a few numbers per channel leave the runtime instead of the tensor.
import ort from 'onnxruntime-node'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import {
  type AttributeValue,
  cloneModel,
  DataType,
  makeNode,
  makeTensor,
  type Model,
  opsetVersion,
  upgradeOpset,
} from '../onnx/index.ts'
import type { CalibrationDataset } from './dataset.ts'
import { FreshNames } from './fresh-names.ts'
import { chunks, type RangeOptions, runSamples, widened, widenFloat16Inputs } from './session.ts'

export interface ChannelRequest {
  tensor: string
  /** The channel dimension: counted from the front, or -1 for the last one. */
  axis: number
}

/** Over all samples and all places of a channel; one number per channel. */
export interface ChannelStatistics {
  min: Float32Array
  max: Float32Array
  /** max(|min|, |max|). */
  absMax: Float32Array
  mean: Float32Array
}

/** Outputs per session; more tensors are collected in several passes over the data. */
const TENSORS_PER_PASS = 512
/** Flatten counts its axis from the back from opset 11 on; 13 is what quantization upgrades to anyway. */
const LEAST_OPSET = 13
/** ReduceMin, ReduceMax and ReduceMean take their axes as an input from this opset on. */
const AXES_AS_INPUT_OPSET = 18

interface Probe extends ChannelRequest {
  min: string
  max: string
  mean: string
  size: string
}

interface Running {
  min: Float32Array
  max: Float32Array
  sum: Float64Array
  count: number
}

/** What the statistics of a request are found under. */
export function channelKey(request: ChannelRequest): string {
  return JSON.stringify([request.tensor, request.axis])
}

class ProbeWriter {
  readonly #model: Model
  readonly #names: FreshNames
  readonly #axesAsInput: boolean

  constructor(model: Model, names: FreshNames) {
    this.#model = model
    this.#names = names
    this.#axesAsInput = (opsetVersion(model) ?? 0) >= AXES_AS_INPUT_OPSET
  }

  add(request: ChannelRequest, source: string): Probe {
    const { tensor, axis } = request
    const { value, axes } = this.#channelsApart(tensor, source, axis)
    const reduce = (opType: string): string => this.#output(this.#reduce(opType, tensor, value, axes))
    return {
      ...request,
      min: reduce('ReduceMin'),
      max: reduce('ReduceMax'),
      mean: reduce('ReduceMean'),
      size: this.#output(this.#node('Size', tensor, [source]), DataType.INT64),
    }
  }

  /** Everything before and after the channels in one dimension each: no rank need be known. */
  #channelsApart(tensor: string, source: string, axis: number): { value: string; axes: number[] } {
    if (axis < 0) return { value: this.#node('Flatten', tensor, [source], { axis }), axes: [0] }
    // 0 keeps a dimension, -1 takes the rest together.
    const shape = [...Array<number>(axis + 1).fill(0), -1]
    const target = this.#integers(`${tensor}.channels`, shape)
    const axes = [...shape.keys()].filter((dimension) => dimension !== axis)
    return { value: this.#node('Reshape', tensor, [source, target]), axes }
  }

  #reduce(opType: string, tensor: string, value: string, axes: number[]): string {
    if (!this.#axesAsInput) return this.#node(opType, tensor, [value], { axes, keepdims: 0 })
    const input = this.#integers(`${tensor}.axes`, axes)
    return this.#node(opType, tensor, [value, input], { keepdims: 0 })
  }

  #integers(base: string, values: readonly number[]): string {
    const name = this.#names.take(base)
    const tensor = makeTensor(name, DataType.INT64, [values.length], values.map(BigInt))
    this.#model.graph.initializers.set(name, tensor)
    return name
  }

  #node(
    opType: string,
    tensor: string,
    inputs: string[],
    attributes: Record<string, AttributeValue> = {},
  ): string {
    const output = this.#names.take(`${tensor}.${opType}`)
    this.#model.graph.nodes.push(makeNode({ opType, name: output, inputs, outputs: [output], attributes }))
    return output
  }

  #output(name: string, elementType: DataType = DataType.FLOAT): string {
    this.#model.graph.outputs.push({ name, elementType })
    return name
  }
}

function probedModel(
  source: Model,
  requests: readonly ChannelRequest[],
  options: RangeOptions,
): { model: Model; probes: Probe[] } {
  const model = cloneModel(source)
  const names = new FreshNames(model)
  model.graph.outputs = []
  const behindCast = widenFloat16Inputs(model, names)
  const writer = new ProbeWriter(model, names)
  const probes = requests.map((request) => {
    const { tensor } = request
    return writer.add(request, widened(model, tensor, behindCast.get(tensor) ?? tensor, options, names))
  })
  return { model, probes }
}

function read(results: ort.InferenceSession.OnnxValueMapType, name: string): ort.Tensor['data'] {
  const value = results[name]
  if (!(value instanceof ort.Tensor)) throw new Error(`no output ${name}`)
  return value.data
}

function begin(channels: number): Running {
  return {
    min: new Float32Array(channels).fill(Infinity),
    max: new Float32Array(channels).fill(-Infinity),
    sum: new Float64Array(channels),
    count: 0,
  }
}

/** Adds one run. Returns the first value that is not finite, if any; NaN may vanish in extremes, never in a mean. */
function addRun(
  running: Running,
  min: Float32Array,
  max: Float32Array,
  mean: Float32Array,
  count: number,
): number | undefined {
  for (let channel = 0; channel < min.length; channel++) {
    const [low, high, average] = [min[channel] as number, max[channel] as number, mean[channel] as number]
    if (!Number.isFinite(low)) return low
    if (!Number.isFinite(high)) return high
    if (Number.isNaN(average)) return average
    running.min[channel] = Math.min(running.min[channel] as number, low)
    running.max[channel] = Math.max(running.max[channel] as number, high)
    running.sum[channel] = (running.sum[channel] as number) + average * count
  }
  running.count += count
  return undefined
}

function finish({ min, max, sum, count }: Running): ChannelStatistics {
  return {
    min,
    max,
    absMax: min.map((low, channel) => Math.max(Math.abs(low), Math.abs(max[channel] as number))),
    mean: Float32Array.from(sum, (total) => (count === 0 ? 0 : total / count)),
  }
}

/**
 * Runs the model over a data set and returns the statistics of every wanted tensor, by {@link channelKey}. Memory is
 * bounded by one run of the model. A tensor that is empty in every run is left out.
 * @throws E_ACTIVATION_NOT_FINITE naming the first layer that reads a NaN or infinity; E_CALIBRATION_RUN when ONNX
 * Runtime refuses the model, an input or an axis; E_CANCELLED; what loading a sample throws
 */
export async function collectChannelStatistics(
  source: Model,
  dataset: CalibrationDataset,
  requests: readonly ChannelRequest[],
  options: RangeOptions = {},
  context: WorkContext = {},
): Promise<Map<string, ChannelStatistics>> {
  const model = upgradeOpset(source, LEAST_OPSET)
  const label = model.path ?? 'the model'
  const unique = [...new Map(requests.map((request) => [channelKey(request), request])).values()]
  const passes = chunks(unique, TENSORS_PER_PASS)
  const total = passes.length * dataset.count
  const statistics = new Map<string, Running>()
  let done = 0
  for (const pass of passes) {
    const { model: probed, probes } = probedModel(model, pass, options)
    await runSamples(probed, label, dataset, options, context, ({ sample, results }) => {
      for (const probe of probes) {
        const [min, max, mean] = [probe.min, probe.max, probe.mean].map(
          (name) => read(results, name) as Float32Array,
        ) as [Float32Array, Float32Array, Float32Array]
        const elements = Number((read(results, probe.size) as BigInt64Array)[0])
        if (elements === 0) continue
        const running = statistics.get(channelKey(probe)) ?? begin(min.length)
        const bad = addRun(running, min, max, mean, elements / min.length)
        if (bad !== undefined) {
          const layer = options.layerOf?.(probe.tensor) ?? probe.tensor
          const details = { layer, tensor: probe.tensor, value: String(bad), sample }
          throw new AppError('E_ACTIVATION_NOT_FINITE', details)
        }
        statistics.set(channelKey(probe), running)
      }
      done++
      context.onProgress?.({ stage: 'calibrate', done, total, item: sample })
    })
  }
  return new Map([...statistics].map(([key, running]) => [key, finish(running)]))
}
