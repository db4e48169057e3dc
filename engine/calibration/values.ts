// Observers that need the values: the wanted tensors become outputs of the model, in groups whose outputs of one run
// stay within a memory bound, and every run's values go through the observers and are dropped.
import ort from 'onnxruntime-node'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { cloneModel, DataType, float16BitsToFloat32, inferShapes, type Model } from '../onnx/index.ts'
import type { CalibrationDataset, Feed } from './dataset.ts'
import { FreshNames } from './fresh-names.ts'
import type { TensorValues } from './observers/index.ts'
import { type RangeOptions, runSamples, type SampleRun, widened, widenFloat16Inputs } from './session.ts'

/** Bytes of values that leave the runtime in one run; a single larger tensor gets a pass of its own. */
const BYTES_PER_RUN = 256 * 1024 * 1024
/** Taken for a tensor whose size cannot be inferred. */
const UNKNOWN_BYTES = 16 * 1024 * 1024

/** Receives the values of a tensor; they are gone after the call. */
export type ValueListener = (tensor: string, values: TensorValues) => void

/** Where a tensor's values come from: an input's file, or an output of the prepared model. */
export interface Capture {
  tensor: string
  output?: string
}

/** Shapes only bound memory here: whether the model can run at all is for ONNX Runtime to say. */
function knownShapes(
  model: Model,
  given: Record<string, number[]>,
): ReturnType<typeof inferShapes> | undefined {
  try {
    return inferShapes(model, given)
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

/** Bytes of each tensor in one run as float32, by the shapes of the first sample. */
export function tensorBytes(model: Model, dataset: CalibrationDataset): (tensor: string) => number {
  const feeds = dataset.count > 0 ? dataset.load(0) : {}
  const given = Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, feed.dims]))
  const shapes = knownShapes(model, given)
  return (tensor) => {
    const dims = shapes?.get(tensor)?.dims
    if (!dims) return UNKNOWN_BYTES
    const elements = dims.reduce<number>((count, dim) => count * (dim ?? NaN), 1)
    return Number.isNaN(elements) ? UNKNOWN_BYTES : 4 * elements
  }
}

/** Splits tensors, in their order, into groups of bounded size: later groups run more of the model. */
function groups(tensors: readonly string[], bytesOf: (tensor: string) => number): string[][] {
  const result: string[][] = []
  let room = 0
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor)
    const current = result.at(-1)
    if (current && bytes <= room) {
      current.push(tensor)
    } else {
      result.push([tensor])
      room = BYTES_PER_RUN
    }
    room -= bytes
  }
  return result
}

/** A clone whose outputs are the wanted tensors, in float32; tensors that are inputs come from the feeds. */
export function capturingModel(
  source: Model,
  tensors: readonly string[],
  options: RangeOptions,
): { model: Model; captures: Capture[] } {
  const model = cloneModel(source)
  const names = new FreshNames(model)
  const inputs = new Set(model.graph.inputs.map((input) => input.name))
  model.graph.outputs = []
  widenFloat16Inputs(model, names)
  const captures = tensors.map((tensor): Capture => {
    if (inputs.has(tensor)) return { tensor }
    const output = widened(model, tensor, tensor, options, names)
    model.graph.outputs.push({ name: output, elementType: DataType.FLOAT })
    return { tensor, output }
  })
  return { model, captures }
}

function feedValues(feed: Feed | undefined): Float32Array {
  if (!feed) return new Float32Array()
  if (feed.data instanceof Float32Array) return feed.data
  if (feed.dataType === DataType.FLOAT16) {
    return Float32Array.from(feed.data as Uint16Array, float16BitsToFloat32)
  }
  return Float32Array.from(feed.data as ArrayLike<number>)
}

/** The values of a captured tensor in one run, and their shape. */
export function capturedTensor(
  { tensor, output }: Capture,
  { feeds, results }: SampleRun,
): { data: Float32Array; dims: readonly number[] } {
  if (output === undefined) return { data: feedValues(feeds[tensor]), dims: feeds[tensor]?.dims ?? [0] }
  const value = results[output]
  if (!(value instanceof ort.Tensor)) throw new Error(`no output ${output}`)
  return { data: value.data as Float32Array, dims: value.dims }
}

/** The values with their range. @throws E_ACTIVATION_NOT_FINITE */
function examined(tensor: string, data: Float32Array, sample: string, options: RangeOptions): TensorValues {
  let [min, max, nonFinite] = [Infinity, -Infinity, 0]
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number
    if (value < min) min = value
    if (value > max) max = value
    // 0 for every finite value, NaN for the others.
    nonFinite += value - value
  }
  if (nonFinite !== 0) {
    const layer = options.layerOf?.(tensor) ?? tensor
    const value = String(data.find((candidate) => !Number.isFinite(candidate)))
    throw new AppError('E_ACTIVATION_NOT_FINITE', { layer, tensor, value, sample })
  }
  return { data, min, max }
}

/**
 * Runs the model over a data set and shows `listen` the values of every wanted tensor, run by run. Tensors whose values
 * together exceed 256 MiB per run take several passes over the data.
 * @throws E_ACTIVATION_NOT_FINITE naming the first layer that reads a NaN or infinity; E_CALIBRATION_RUN when ONNX
 * Runtime refuses the model or an input; E_CANCELLED; what loading a sample throws
 */
export async function collectValues(
  source: Model,
  dataset: CalibrationDataset,
  tensors: readonly string[],
  options: RangeOptions,
  context: WorkContext,
  listen: ValueListener,
): Promise<void> {
  if (tensors.length === 0) return
  const label = source.path ?? 'the model'
  const passes = groups(tensors, tensorBytes(source, dataset))
  const total = passes.length * dataset.count
  let done = 0
  for (const pass of passes) {
    const { model, captures } = capturingModel(source, pass, options)
    const visit = (run: SampleRun): void => {
      for (const capture of captures) {
        const data = capturedTensor(capture, run).data
        if (data.length > 0) listen(capture.tensor, examined(capture.tensor, data, run.sample, options))
      }
      done++
      context.onProgress?.({ stage: 'calibrate', done, total, item: run.sample })
    }
    await runSamples(model, label, dataset, options, context, visit)
  }
}
