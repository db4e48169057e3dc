// Running a model over calibration data with outputs of our own: the session, its inputs, float16 made readable.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { reasonOf } from '../common/hashing.ts'
import {
  DataType,
  float16BitsToFloat32,
  makeNode,
  type Model,
  renameUses,
  saveModel,
  serializeModel,
  tensorDataLength,
} from '../onnx/index.ts'
import type { CalibrationDataset, Feed } from './dataset.ts'
import type { FreshNames } from './fresh-names.ts'

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
/** Above this weights are not kept in the layout of their kernels as well: that would be a second copy. */
export const PREPACKED_BYTES = IN_MEMORY_BYTES
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

/**
 * float16 inputs become float32 ones behind a Cast: onnxruntime-node cannot take float16 (issue 26791).
 * @returns the name behind the Cast for each such input
 */
export function widenFloat16Inputs(model: Model, names: FreshNames): Map<string, string> {
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
export function widened(
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

export function weightBytes(model: Model): number {
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

export function runFailure(error: unknown, model: string): AppError {
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

export function chunks<T>(items: readonly T[], size: number): T[][] {
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

/** What the session needs of a sample. */
function sessionFeeds(
  session: ort.InferenceSession,
  feeds: Record<string, Feed>,
  label: string,
): Record<string, ort.Tensor> {
  const inputs = session.inputNames.flatMap((name) => {
    const feed = feeds[name]
    return feed ? [[name, toOrtTensor(feed, name, label)] as const] : []
  })
  return Object.fromEntries(inputs)
}

/** The results of one run and what went into it. */
export interface SampleRun {
  /** Name of the sample, for messages. */
  sample: string
  feeds: Record<string, Feed>
  results: ort.InferenceSession.OnnxValueMapType
}

/**
 * Runs a model once per calibration sample and hands the results on; the session is closed in the end.
 * @throws E_CALIBRATION_RUN, E_CANCELLED, what loading a sample or `visit` throws
 */
export async function runSamples(
  model: Model,
  label: string,
  dataset: CalibrationDataset,
  options: RangeOptions,
  context: WorkContext,
  visit: (run: SampleRun) => void | Promise<void>,
): Promise<void> {
  checkCancelled(context)
  // ONNX Runtime refuses a run without outputs: nothing but inputs is wanted then.
  const opened = model.graph.outputs.length > 0 ? await openSession(model, label, options) : undefined
  const run = async (feeds: Record<string, Feed>): Promise<SampleRun['results']> => {
    if (!opened) return {}
    return opened.session.run(sessionFeeds(opened.session, feeds, label)).catch((error: unknown) => {
      throw runFailure(error, label)
    })
  }
  try {
    for (let index = 0; index < dataset.count; index++) {
      checkCancelled(context)
      const sample = dataset.sampleName(index)
      const feeds = dataset.load(index)
      await visit({ sample, feeds, results: await run(feeds) })
      await breathe()
    }
  } finally {
    await opened?.close()
  }
}
