// Activation ranges: the model runs on calibration data with ReduceMin / ReduceMax / ReduceSum added behind the wanted
// tensors, so that three numbers per tensor leave the runtime instead of the tensor.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { reasonOf } from '../common/hashing.ts'
import {
  cloneModel,
  DataType,
  float16BitsToFloat32,
  makeNode,
  type Model,
  openModel,
  renameUses,
  saveModel,
  serializeModel,
  tensorDataLength,
} from '../onnx/index.ts'
import type { CalibrationDataset, Feed } from './dataset.ts'
import { FreshNames } from './fresh-names.ts'

/** Smallest and largest value of a tensor over all samples. */
export interface TensorRange {
  min: number
  max: number
}

export interface RangeOptions {
  /** What to call the reader of a tensor in messages; the tensor's own name by default. */
  layerOf?: (tensor: string) => string
  /** Tensors of element type float16: reduced in float32, since the CPU has no float16 reductions. */
  float16Tensors?: ReadonlySet<string>
  /** Where a model too large for memory is written for the run; the system's temporary folder by default. */
  temporaryFolder?: string
  /** Threads inside an operator; all cores by default. */
  threads?: number
}

/** Above this the model goes through a file: in memory it would be held twice. */
const IN_MEMORY_BYTES = 64 * 1024 * 1024
/** Outputs per session; more tensors are collected in several passes over the data. */
const TENSORS_PER_PASS = 1024

const ORT_TYPES: Partial<Record<number, ort.Tensor.Type>> = {
  [DataType.FLOAT]: 'float32',
  [DataType.DOUBLE]: 'float64',
  [DataType.INT8]: 'int8',
  [DataType.UINT8]: 'uint8',
  [DataType.BOOL]: 'bool',
  [DataType.INT16]: 'int16',
  [DataType.UINT16]: 'uint16',
  [DataType.INT32]: 'int32',
  [DataType.UINT32]: 'uint32',
  [DataType.INT64]: 'int64',
  [DataType.UINT64]: 'uint64',
}

interface Probe {
  tensor: string
  min: string
  max: string
  sum: string
}

/**
 * float16 inputs become float32 ones behind a Cast: onnxruntime-node cannot take float16 (issue 26791).
 * @returns the name behind the Cast for each such input
 */
function widenFloat16Inputs(model: Model, names: FreshNames): Map<string, string> {
  const behindCast = new Map<string, string>()
  for (const input of model.graph.inputs) {
    if (input.elementType !== DataType.FLOAT16) continue
    const inner = names.take(`${input.name}.float16`)
    renameUses(model.graph, input.name, inner)
    input.elementType = DataType.FLOAT
    const cast = { opType: 'Cast', name: inner, inputs: [input.name], outputs: [inner] }
    model.graph.nodes.unshift(makeNode({ ...cast, attributes: { to: DataType.FLOAT16 } }))
    behindCast.set(input.name, inner)
  }
  return behindCast
}

/** `source` in float32, cast if the tensor is known to be float16. */
function widened(
  model: Model,
  tensor: string,
  source: string,
  options: RangeOptions,
  names: FreshNames,
): string {
  if (!options.float16Tensors?.has(tensor)) return source
  const output = names.take(`${tensor}.float32`)
  const cast = { opType: 'Cast', name: output, inputs: [source], outputs: [output] }
  model.graph.nodes.push(makeNode({ ...cast, attributes: { to: DataType.FLOAT } }))
  return output
}

/** Reductions over all axes need no axes in any opset: omitted means all, as attribute and as input. */
function addProbe(
  model: Model,
  tensor: string,
  source: string,
  options: RangeOptions,
  names: FreshNames,
): Probe {
  const input = widened(model, tensor, source, options, names)
  const reduce = (opType: string): string => {
    const output = names.take(`${tensor}.${opType}`)
    const spec = { opType, name: output, inputs: [input], outputs: [output], attributes: { keepdims: 0 } }
    model.graph.nodes.push(makeNode(spec))
    model.graph.outputs.push({ name: output, elementType: DataType.FLOAT, shape: [] })
    return output
  }
  // A NaN can vanish in minimum and maximum, never in a sum.
  return { tensor, min: reduce('ReduceMin'), max: reduce('ReduceMax'), sum: reduce('ReduceSum') }
}

function probedModel(
  source: Model,
  tensors: readonly string[],
  options: RangeOptions,
): { model: Model; probes: Probe[] } {
  const model = cloneModel(source)
  const names = new FreshNames(model)
  model.graph.outputs = []
  const behindCast = widenFloat16Inputs(model, names)
  const probes = tensors.map((tensor) =>
    addProbe(model, tensor, behindCast.get(tensor) ?? tensor, options, names),
  )
  return { model, probes }
}

function weightBytes(model: Model): number {
  return [...model.graph.initializers.values()].reduce(
    (sum, tensor) => sum + tensorDataLength(tensor.data),
    0,
  )
}

/** Loads the probed model, through a temporary file when it is large; `close` frees both. */
async function openSession(
  model: Model,
  label: string,
  options: RangeOptions,
): Promise<{ session: ort.InferenceSession; close: () => Promise<void> }> {
  const sessionOptions: ort.InferenceSession.SessionOptions = {
    graphOptimizationLevel: 'basic',
    // Errors only: warnings about foreign models would go to stderr past our log.
    logSeverityLevel: 3,
    ...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
  }
  let folder: string | undefined
  try {
    if (weightBytes(model) <= IN_MEMORY_BYTES) {
      const session = await ort.InferenceSession.create(serializeModel(model), sessionOptions)
      return { session, close: () => session.release() }
    }
    folder = mkdtempSync(path.join(options.temporaryFolder ?? tmpdir(), '.calibration-'))
    const file = path.join(folder, 'probed.onnx')
    saveModel(model, file, { external: 'single-file' })
    // Prepacking would keep a second copy of the weights.
    const extra = { session: { disable_prepacking: '1' } }
    const session = await ort.InferenceSession.create(file, { ...sessionOptions, extra })
    const written = folder
    const close = async (): Promise<void> => {
      await session.release()
      rmSync(written, { recursive: true, force: true })
    }
    return { session, close }
  } catch (error) {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    throw runFailure(error, label)
  }
}

function runFailure(error: unknown, model: string): AppError {
  if (error instanceof AppError) return error
  return new AppError('E_CALIBRATION_RUN', { model, reason: reasonOf(error) }, { cause: error })
}

function toOrtTensor(feed: Feed, name: string, label: string): ort.Tensor {
  if (feed.dataType === DataType.FLOAT16) {
    return new ort.Tensor(
      'float32',
      Float32Array.from(feed.data as Uint16Array, float16BitsToFloat32),
      feed.dims,
    )
  }
  const type = ORT_TYPES[feed.dataType]
  if (!type) throw runFailure(new Error(`input ${name} has element type ${feed.dataType}`), label)
  return new ort.Tensor(type, feed.data as ort.Tensor.DataType, feed.dims)
}

function readScalar(results: ort.InferenceSession.OnnxValueMapType, name: string): number {
  const value = results[name]
  if (!(value instanceof ort.Tensor)) throw new Error(`no output ${name}`)
  return Number((value.data as Float32Array)[0])
}

function updateRange(
  ranges: Map<string, TensorRange>,
  probe: Probe,
  results: ort.InferenceSession.OnnxValueMapType,
  sample: string,
  options: RangeOptions,
): void {
  const [min, max, sum] = [probe.min, probe.max, probe.sum].map((name) => readScalar(results, name))
  // A finite tensor may overflow to an infinite sum, but only NaN makes it NaN while both ends are finite.
  const bad =
    [min, max].find((value) => !Number.isFinite(value)) ?? (Number.isNaN(sum) ? Number.NaN : undefined)
  if (bad !== undefined) {
    const layer = options.layerOf?.(probe.tensor) ?? probe.tensor
    throw new AppError('E_ACTIVATION_NOT_FINITE', { layer, tensor: probe.tensor, value: String(bad), sample })
  }
  const range = ranges.get(probe.tensor)
  if (!range) ranges.set(probe.tensor, { min: min as number, max: max as number })
  else {
    range.min = Math.min(range.min, min as number)
    range.max = Math.max(range.max, max as number)
  }
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}

function checkCancelled(context: WorkContext): void {
  if (context.signal?.aborted) throw new AppError('E_CANCELLED')
}

/** Lets timers and messages through: onnxruntime-node runs on the calling thread. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * Runs the model over a data set and returns the range of every wanted tensor. Memory is bounded by one run of the
 * model: nothing of a sample is kept but its minima and maxima.
 * @throws E_ACTIVATION_NOT_FINITE naming the first layer that reads a NaN or infinity; E_CALIBRATION_RUN when ONNX
 * Runtime refuses the model or an input; E_CANCELLED; what loading a sample throws
 */
export async function collectRanges(
  source: string | Model,
  dataset: CalibrationDataset,
  tensors: readonly string[],
  options: RangeOptions = {},
  context: WorkContext = {},
): Promise<Map<string, TensorRange>> {
  const model = typeof source === 'string' ? openModel(source) : source
  const label = model.path ?? 'the model'
  const ranges = new Map<string, TensorRange>()
  const passes = chunks(tensors, TENSORS_PER_PASS)
  const total = passes.length * dataset.count
  let done = 0
  for (const pass of passes) {
    checkCancelled(context)
    const { model: probed, probes } = probedModel(model, pass, options)
    const { session, close } = await openSession(probed, label, options)
    try {
      for (let index = 0; index < dataset.count; index++) {
        checkCancelled(context)
        const sample = dataset.sampleName(index)
        const feeds = dataset.load(index)
        const inputs = session.inputNames.flatMap((name) => {
          const feed = feeds[name]
          return feed ? [[name, toOrtTensor(feed, name, label)] as const] : []
        })
        const results = await session.run(Object.fromEntries(inputs)).catch((error: unknown) => {
          throw runFailure(error, label)
        })
        for (const probe of probes) updateRange(ranges, probe, results, sample, options)
        done++
        context.onProgress?.({ stage: 'calibrate', done, total, item: sample })
        await breathe()
      }
    } finally {
      await close()
    }
  }
  return ranges
}
