// Calibration data as the observers read it: checked at the door, loaded one batch at a time.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'
import { type DatasetRequest, datasetSpecSchema, type ModelInput } from '../../contract/quantization.ts'
import { hashFile, reasonOf } from '../common/hashing.ts'
import { elementType, firstNonFinite, nonFiniteName, type SampleArray } from './element-types.ts'
import { findSamples, type SampleFiles } from './layout.ts'
import { parseNpyHeader } from './npy.ts'
import { type InputSizes, inputSizes, meaningOf, shapeText } from './shapes.ts'

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
  /** SHA-256 over input names and file contents, in order, hex. @throws E_CANCELLED */
  digest: (signal?: AbortSignal) => string
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

function selectSamples(
  found: SampleFiles[],
  folder: string,
  count: number | undefined,
  perFile: number,
): SampleFiles[] {
  const available = found.length * perFile
  if (count === undefined) return found
  if (count > available) {
    throw new AppError('E_CALIBRATION_COUNT', {
      folder,
      available,
      wanted: count,
      missing: count - available,
    })
  }
  return found.slice(0, Math.ceil(count / perFile))
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

  const found = findSamples(spec, inputs)
  const opened = found.map(({ files }) => {
    const entries = inputs.map(
      (input) => [input.name, openDataFile(files.get(input.name) ?? '', input)] as const,
    )
    return new Map(entries)
  })
  const sizes = inputs.map((input) =>
    inputSizes(input, spec.inputShapes[input.name], spec.batchSize, opened[0]?.get(input.name)?.bytes),
  )
  const wholeBatches = checkSizes(opened, sizes, spec.batchSize)
  const used = selectSamples(found, spec.folder, spec.count, wholeBatches ? spec.batchSize : 1)
  const usedFiles = opened.slice(0, used.length)
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
        return [size.input.name, loadInput(files, size)] as const
      })
      return Object.fromEntries(feeds)
    },
    sampleName: (index) => used[index * filesPerFeed]?.name ?? String(index),
    digest: (signal) => digestOf(usedFiles, signal),
  }
}
