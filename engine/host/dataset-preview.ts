// What is in a dataset: value ranges, histograms and pictures of its first samples, and files that do not fit a model.
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import path from 'node:path'
import { toErrorShape } from '../../contract/errors/index.ts'
import { elementTypeSchema, type ElementType } from '../../contract/device.ts'
import type { ModelInput } from '../../contract/quantization.ts'
import type { DatasetPreview, DatasetRow, Histogram } from '../../contract/workspace.ts'
import { elementType } from '../calibration/element-types.ts'
import { openDataset } from '../calibration/index.ts'
import { parseNpyHeader } from '../common/npy.ts'
import { readSampleIndex, type SampleIndex } from '../calibration/sample-index.ts'
import { DataType, float16BitsToFloat32 } from '../onnx/index.ts'
import { groupSamples, type DatasetSample } from './dataset-files.ts'
import { pngDataUrl } from '../common/png.ts'
import { tensorPicture } from './thumbnail.ts'

const HISTOGRAM_BINS = 48
const STATISTICS_SAMPLES = 32
const THUMBNAILS = 12
const LISTED_SAMPLES = 200
/** Statistics read at most this much per input. */
const MAX_READ_BYTES = 64 * 1024 * 1024
const NPY_PROBE_BYTES = 65_548

type InputPreview = DatasetPreview['inputs'][number]

interface InputShape {
  dataType: number
  dims: number[]
  dimsFrom: InputPreview['dimsFrom']
}

function shapeOf(
  name: string,
  file: string,
  index: SampleIndex | null,
  model: readonly ModelInput[] | null,
): InputShape {
  const input = model?.find((entry) => entry.name === name) ?? (model?.length === 1 ? model[0] : undefined)
  if (input && input.dims.every((size) => size !== null)) {
    return { dataType: input.dataType, dims: input.dims as number[], dimsFrom: 'model' }
  }
  const dataType = input?.dataType ?? DataType.FLOAT
  const indexed = index?.samples[0]?.inputs[name]?.shape
  if (indexed) return { dataType, dims: indexed, dimsFrom: 'index' }
  const header = npyHeader(file)
  if (header) return { dataType, dims: header.dims, dimsFrom: 'size' }
  const elements = Math.floor(statSync(file).size / (elementType(dataType)?.size ?? 4))
  return { dataType, dims: [elements], dimsFrom: 'size' }
}

function npyHeader(file: string): { dims: number[]; dataOffset: number } | null {
  if (!/\.npy$/i.test(file)) return null
  const descriptor = openSync(file, 'r')
  try {
    const bytes = new Uint8Array(NPY_PROBE_BYTES)
    const header = parseNpyHeader(bytes.subarray(0, readSync(descriptor, bytes, 0, NPY_PROBE_BYTES, 0)))
    return typeof header === 'string' ? null : header
  } finally {
    closeSync(descriptor)
  }
}

/** Values of a file as numbers; a trailing part of an element is left out. */
function readNumbers(file: string, dataType: number): Float64Array {
  const offset = npyHeader(file)?.dataOffset ?? 0
  const bytes = readFileSync(file).subarray(offset)
  const type = elementType(dataType)
  if (!type) return new Float64Array()
  const whole = bytes.length - (bytes.length % type.size)
  const values = type.view(new Uint8Array(bytes.subarray(0, whole)).buffer as ArrayBuffer)
  const numbers = new Float64Array(values.length)
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0
    numbers[index] = dataType === DataType.FLOAT16 ? float16BitsToFloat32(Number(value)) : Number(value)
  }
  return numbers
}

function histogramOf(arrays: readonly Float64Array[], min: number, max: number): Histogram {
  const width = (max - min) / HISTOGRAM_BINS || 1
  const counts = new Array<number>(HISTOGRAM_BINS).fill(0)
  for (const values of arrays) {
    for (const value of values) {
      if (!Number.isFinite(value)) continue
      const bin = Math.min(HISTOGRAM_BINS - 1, Math.max(0, Math.floor((value - min) / width)))
      counts[bin] = (counts[bin] ?? 0) + 1
    }
  }
  const edges = Array.from({ length: HISTOGRAM_BINS + 1 }, (_, index) => min + index * width)
  return { edges, counts }
}

interface Statistics {
  min: number | null
  max: number | null
  mean: number | null
  stddev: number | null
  nonFinite: number
  histogram: Histogram | null
}

export function statisticsOf(arrays: readonly Float64Array[]): Statistics {
  let [count, nonFinite, min, max, mean, squares] = [0, 0, Infinity, -Infinity, 0, 0]
  for (const values of arrays) {
    for (const value of values) {
      if (!Number.isFinite(value)) {
        nonFinite++
        continue
      }
      count++
      if (value < min) min = value
      if (value > max) max = value
      // Welford's update: one pass without cancellation.
      const change = value - mean
      mean += change / count
      squares += change * (value - mean)
    }
  }
  if (count === 0) return { min: null, max: null, mean: null, stddev: null, nonFinite, histogram: null }
  const stddev = count > 1 ? Math.sqrt(squares / (count - 1)) : 0
  return { min, max, mean, stddev, nonFinite, histogram: histogramOf(arrays, min, max) }
}

/** `count` positions spread evenly over 0..length-1. */
function spread(length: number, count: number): number[] {
  if (length <= count) return Array.from({ length }, (_, index) => index)
  return Array.from({ length: count }, (_, index) => Math.floor((index * length) / count))
}

function elementName(dataType: number): ElementType {
  const parsed = elementTypeSchema.safeParse(elementType(dataType)?.name)
  return parsed.success ? parsed.data : 'other'
}

function previewInput(
  folder: string,
  name: string,
  samples: readonly DatasetSample[],
  shape: InputShape,
): InputPreview {
  const files = samples.map((sample) => sample.files.find((file) => file.input === name)?.file ?? '')
  const arrays: Float64Array[] = []
  const thumbnails: InputPreview['thumbnails'] = []
  let read = 0
  for (const [position, at] of spread(files.length, STATISTICS_SAMPLES).entries()) {
    const file = files[at]
    if (!file || read > MAX_READ_BYTES) continue
    const values = readNumbers(path.join(folder, ...file.split('/')), shape.dataType)
    read += values.byteLength
    arrays.push(values)
    if (position >= THUMBNAILS) continue
    const picture = tensorPicture(values, shape.dims)
    if (!picture) continue
    const { width, height, rgba } = picture
    thumbnails.push({ sample: at, file, width, height, dataUrl: pngDataUrl(width, height, rgba) })
  }
  return {
    name,
    elementType: elementName(shape.dataType),
    dims: shape.dims,
    dimsFrom: shape.dimsFrom,
    sampled: arrays.length,
    ...statisticsOf(arrays),
    thumbnails,
  }
}

/** @param model inputs of the model the data is for; null when none is known */
export function previewDataset(
  dataset: DatasetRow,
  fileNames: readonly string[],
  model: readonly ModelInput[] | null,
): DatasetPreview {
  const names = fileNames.filter((name) => /\.(?:bin|npy)$/i.test(name))
  const { samples } = groupSamples(names, model?.map((input) => input.name) ?? dataset.inputs)
  const index = readSampleIndex(dataset.path)
  const inputs = samples[0]?.files ?? []
  return {
    dataset,
    inputs: inputs.map(({ input, file }) => {
      const shape = shapeOf(input, path.join(dataset.path, ...file.split('/')), index, model)
      return previewInput(dataset.path, input, samples, shape)
    }),
    samples: samples.slice(0, LISTED_SAMPLES).map((sample, position) => ({
      index: position,
      label: index?.samples[position]?.caption ?? null,
      files: sample.files.map(({ input, file }) => ({
        input,
        file,
        bytes: statSync(path.join(dataset.path, ...file.split('/'))).size,
      })),
    })),
    problems: model ? problemsOf(dataset.path, model) : [],
  }
}

/** The door check of a job, without its failure. */
function problemsOf(folder: string, model: readonly ModelInput[]): DatasetPreview['problems'] {
  try {
    openDataset({ folder }, model)
    return []
  } catch (error) {
    return [toErrorShape(error)]
  }
}
