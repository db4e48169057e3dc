// Calibration data as the observers read it: checked at the door, loaded one batch at a time.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import path from 'node:path'
import type { TimestepSource } from '../../contract/calibration.ts'
import { AppError } from '../../contract/errors/index.ts'
import {
  type DatasetRequest,
  type DatasetSpec,
  datasetSpecSchema,
  type ModelInput,
} from '../../contract/quantization.ts'
import { hashFile, reasonOf } from '../common/hashing.ts'
import { DataType, float16BitsToFloat32 } from '../onnx/index.ts'
import { chooseByStep, chooseSpread } from './choice.ts'
import { elementType, firstNonFinite, nonFiniteName, type SampleArray } from './element-types.ts'
import { channelsFirst, channelsLastInputs } from './input-layout.ts'
import { findSamples, type SampleFiles } from './layout.ts'
import { parseNpyHeader } from '../common/npy.ts'
import { readSampleIndex } from './sample-index.ts'
import { type InputSizes, inputSizes, meaningOf, shapeText } from './shapes.ts'
import { findBranches, findSteps, type SampleSteps } from './timesteps.ts'

/** One input of one run. */
export interface Feed {
  /** TensorProto.DataType number; FLOAT16 data are bit patterns. */
  dataType: number
  dims: number[]
  data: SampleArray
}

export interface CalibrationDataset {
  /** Runs of the model: `load` takes 0 to count - 1. */
  count: number
  /** Samples in them; `count` times the batch size, or less for a smaller last batch. */
  samples: number
  /** Absolute paths, in reading order. */
  files: string[]
  /** Reads and checks one batch. @throws E_CALIBRATION_NOT_FINITE, E_FILE_READ */
  load: (index: number) => Record<string, Feed>
  /** Name of the first sample of a batch, for messages. */
  sampleName: (index: number) => string
  /**
   * Diffusion time step of every run, where all samples carry one; null for a run that joins samples of different steps.
   * undefined when they carry none. @throws E_FILE_READ, E_CALIBRATION_NOT_FINITE
   */
  timesteps: () => { source: TimestepSource; values: (number | null)[] } | undefined
  /** SHA-256 over input names and file contents, in order, hex. @throws E_CANCELLED */
  digest: (signal?: AbortSignal) => string
  /** One SHA-256 per sample, in order: equal for samples of equal content. @throws E_CANCELLED */
  sampleDigests: (signal?: AbortSignal) => string[]
}

const NPY_PROBE_BYTES = 65_548

/** A data file of known content length; `skip` is the header before the values. */
interface DataFile {
  path: string
  skip: number
  bytes: number
}

function readStart(path: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let descriptor: number | undefined
  try {
    descriptor = openSync(path, 'r')
    return bytes.subarray(0, readSync(descriptor, bytes, 0, length, 0))
  } catch (error) {
    throw new AppError('E_FILE_READ', { path, reason: reasonOf(error) }, { cause: error })
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function fileBytes(path: string): number {
  try {
    return statSync(path).size
  } catch (error) {
    throw new AppError('E_FILE_READ', { path, reason: reasonOf(error) }, { cause: error })
  }
}

function openDataFile(path: string, input: ModelInput): DataFile {
  const bytes = fileBytes(path)
  if (!/\.npy$/i.test(path)) return { path, skip: 0, bytes }
  const header = parseNpyHeader(readStart(path, NPY_PROBE_BYTES))
  const type = elementType(input.dataType)
  const reason =
    typeof header === 'string'
      ? header
      : header.type === type?.npy
        ? undefined
        : `it holds ${header.type}${shapeText(header.dims)}`
  if (typeof header === 'string' || reason !== undefined) {
    const expected = `little-endian ${type?.name ?? ''} values in C order`
    throw new AppError('E_CALIBRATION_DTYPE', { path, reason, input: input.name, expected })
  }
  return { path, skip: header.dataOffset, bytes: bytes - header.dataOffset }
}

function sizeError(file: DataFile, sizes: InputSizes): AppError {
  return new AppError('E_CALIBRATION_SHAPE', {
    path: file.path,
    bytes: file.bytes,
    meaning: meaningOf(file.bytes, sizes),
    input: sizes.input.name,
    expectedBytes: sizes.sampleBytes,
    expected: `${sizes.typeName}${shapeText(sizes.sampleDims)}`,
  })
}

/** True when every file of every input holds a whole batch instead of one sample. */
function checkSizes(
  samples: readonly Map<string, DataFile>[],
  sizes: readonly InputSizes[],
  batch: number,
): boolean {
  const wholeBatches =
    batch > 1 &&
    samples.every((files) => sizes.every((size) => files.get(size.input.name)?.bytes === size.feedBytes))
  if (wholeBatches) return true
  for (const files of samples) {
    for (const size of sizes) {
      const file = files.get(size.input.name)
      if (file && file.bytes !== size.sampleBytes) throw sizeError(file, size)
    }
  }
  return false
}

function readValues(file: DataFile, target: Uint8Array): void {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(file.path)
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file.path, reason: reasonOf(error) }, { cause: error })
  }
  const values = bytes.subarray(file.skip)
  if (values.byteLength !== target.byteLength) {
    throw new AppError('E_FILE_READ', { path: file.path, reason: 'its size changed while it was being used' })
  }
  target.set(values)
}

function loadInput(files: readonly DataFile[], sizes: InputSizes): Feed {
  const { input } = sizes
  const total = files.reduce((sum, file) => sum + file.bytes, 0)
  const buffer = new ArrayBuffer(total)
  const view = (elementType(input.dataType) as NonNullable<ReturnType<typeof elementType>>).view
  let offset = 0
  for (const file of files) {
    const target = new Uint8Array(buffer, offset, file.bytes)
    readValues(file, target)
    const values = view(buffer.slice(offset, offset + file.bytes))
    const index = firstNonFinite(values, input.dataType)
    if (index >= 0) {
      const value = nonFiniteName(values, input.dataType, index)
      throw new AppError('E_CALIBRATION_NOT_FINITE', { path: file.path, index, input: input.name, value })
    }
    offset += file.bytes
  }
  const [, ...rest] = sizes.feedDims
  const rowBytes = rest.reduce((size, dim) => size * dim, sizes.elementBytes)
  const dims = sizes.feedDims.length === 0 ? [] : [rowBytes === 0 ? 0 : total / rowBytes, ...rest]
  return { dataType: input.dataType, dims, data: view(buffer) }
}

/** A found sample with its opened files. */
interface OpenedSample extends SampleFiles {
  opened: Map<string, DataFile>
}

/** The one value in a sample's data of an input, the mean where a file holds a batch; undefined when it has another shape. */
function readStep(file: DataFile, sizes: InputSizes): number | undefined {
  if (sizes.sampleBytes !== sizes.elementBytes) return undefined
  const { data, dataType } = loadInput([file], sizes)
  const values = Array.from(data as ArrayLike<number | bigint>, Number)
  const steps = dataType === DataType.FLOAT16 ? values.map(float16BitsToFloat32) : values
  return steps.length === 0 ? undefined : steps.reduce((sum, step) => sum + step, 0) / steps.length
}

function stepsOf(
  samples: readonly OpenedSample[],
  folder: string,
  sizes: readonly InputSizes[],
): SampleSteps | undefined {
  const inputs = sizes.map((size) => size.input)
  return findSteps(samples, path.resolve(folder), inputs, readSampleIndex(folder), (sample, input) => {
    const file = samples[sample]?.opened.get(input)
    const size = sizes.find((candidate) => candidate.input.name === input)
    return file && size && readStep(file, size)
  })
}

function chooseByTimesteps(
  samples: readonly OpenedSample[],
  count: number,
  folder: string,
  sizes: readonly InputSizes[],
): number[] {
  const steps = stepsOf(samples, folder, sizes)
  if (!steps) throw new AppError('E_CALIBRATION_TIMESTEPS', { folder, samples: samples.length })
  const branches = findBranches(samples, path.resolve(folder), readSampleIndex(folder))
  const candidates = steps.values.map((step, index) => ({ step, branch: branches[index] ?? '' }))
  return chooseByStep(candidates, count)
}

/** The samples that are used, in the order of the data. @param perFile Samples that one file holds. */
function selectSamples(
  found: OpenedSample[],
  spec: DatasetSpec,
  sizes: readonly InputSizes[],
  perFile: number,
): OpenedSample[] {
  const { folder, selection } = spec
  const available = found.length * perFile
  const wanted = spec.count ?? available
  if (wanted > available) {
    throw new AppError('E_CALIBRATION_COUNT', { folder, available, wanted, missing: wanted - available })
  }
  const files = Math.ceil(wanted / perFile)
  if (selection === 'timesteps') {
    // Also when all are used: who asks for time steps should hear that there are none.
    return chooseByTimesteps(found, files, folder, sizes).flatMap((index) => found[index] ?? [])
  }
  if (selection === 'spread') return chooseSpread(found.length, files).flatMap((index) => found[index] ?? [])
  return found.slice(0, files)
}

/** Steps of runs from those of samples. */
function stepsOfRuns(steps: SampleSteps, perRun: number): (number | null)[] {
  return Array.from({ length: Math.ceil(steps.values.length / perRun) }, (_, run) => {
    const distinct = new Set(steps.values.slice(run * perRun, (run + 1) * perRun))
    return distinct.size === 1 ? ([...distinct][0] ?? null) : null
  })
}

function checkWholeBatches(samples: number, batch: number, sizes: readonly InputSizes[]): void {
  const fixed = sizes.find((size) => size.fixedBatch)
  if (samples % batch === 0 || !fixed) return
  throw new AppError('E_CALIBRATION_BATCH', {
    batch,
    reason: `${samples} samples leave an incomplete batch, and input "${fixed.input.name}" has a fixed first dimension`,
    advice: `Use a multiple of ${batch} samples.`,
  })
}

function digestOf(samples: readonly Map<string, DataFile>[], signal?: AbortSignal): string {
  const hash = createHash('sha256')
  for (const files of samples) {
    for (const [input, file] of files) hash.update(`${input}\0${hashFile(file.path, signal)}\n`)
  }
  return hash.digest('hex')
}

/**
 * Opens calibration data for a model. Names, counts and sizes are checked here; values when they are loaded.
 * @param inputs The model's inputs, in its order: the order of columns in a list file.
 * @throws E_CALIBRATION_* as described in docs/quantization.md
 */
export function openDataset(request: DatasetRequest, inputs: readonly ModelInput[]): CalibrationDataset {
  const spec = datasetSpecSchema.parse(request)
  const known = inputs.map((input) => input.name)
  const stray = Object.keys(spec.inputShapes).find((name) => !known.includes(name))
  if (stray !== undefined) throw new AppError('E_CALIBRATION_INPUT_UNKNOWN', { input: stray, known })

  const channelsLast = channelsLastInputs(spec, inputs)
  const found = findSamples(spec, inputs).map((sample): OpenedSample => {
    const entries = inputs.map(
      (input) => [input.name, openDataFile(sample.files.get(input.name) ?? '', input)] as const,
    )
    return { ...sample, opened: new Map(entries) }
  })
  const [first] = found
  const sizes = inputs.map((input) =>
    inputSizes(input, spec.inputShapes[input.name], spec.batchSize, first?.opened.get(input.name)?.bytes),
  )
  const wholeBatches = checkSizes(
    found.map((sample) => sample.opened),
    sizes,
    spec.batchSize,
  )
  const used = selectSamples(found, spec, sizes, wholeBatches ? spec.batchSize : 1)
  const usedFiles = used.map((sample) => sample.opened)
  const filesPerFeed = wholeBatches ? 1 : spec.batchSize
  if (!wholeBatches) checkWholeBatches(used.length, spec.batchSize, sizes)

  return {
    count: Math.ceil(used.length / filesPerFeed),
    samples: used.length * (wholeBatches ? spec.batchSize : 1),
    files: used.flatMap((sample) => [...sample.files.values()]),
    load(index) {
      const batch = usedFiles.slice(index * filesPerFeed, (index + 1) * filesPerFeed)
      const feeds = sizes.map((size) => {
        const files = batch.map((sample) => sample.get(size.input.name) as DataFile)
        const feed = loadInput(files, size)
        return [
          size.input.name,
          channelsLast.has(size.input.name) ? { ...feed, data: channelsFirst(feed.data, feed.dims) } : feed,
        ] as const
      })
      return Object.fromEntries(feeds)
    },
    sampleName: (index) => used[index * filesPerFeed]?.name ?? String(index),
    timesteps() {
      const steps = stepsOf(used, spec.folder, sizes)
      return steps && { source: steps.source, values: stepsOfRuns(steps, filesPerFeed) }
    },
    digest: (signal) => digestOf(usedFiles, signal),
    sampleDigests: (signal) => usedFiles.map((files) => digestOf([files], signal)),
  }
}
