// How large one calibration sample of an input is, and what a file of another size may have been meant to hold.
import { AppError } from '../../contract/errors/index.ts'
import type { ModelInput } from '../../contract/quantization.ts'
import { elementType, FLOATING_TYPES } from './element-types.ts'

/** Sizes of one input: `sample` is what a file holds, `feed` what a full batch holds. */
export interface InputSizes {
  input: ModelInput
  typeName: string
  elementBytes: number
  sampleDims: number[]
  sampleBytes: number
  feedDims: number[]
  feedBytes: number
  /** The model fixes the first dimension, so a last, smaller batch is impossible. */
  fixedBatch: boolean
}

function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1)
}

/** A shape as people write it: [1,4,?,64]. */
export function shapeText(dims: readonly (number | null)[]): string {
  return `[${dims.map((dim) => dim ?? '?').join(',')}]`
}

function mergedDims(input: ModelInput, given: readonly number[] | undefined): (number | null)[] {
  if (!given) return [...input.dims]
  const contradicts =
    given.length !== input.dims.length ||
    // The first dimension may be the batch: checked against the batch size, not here.
    given.some((size, axis) => axis > 0 && input.dims[axis] !== null && input.dims[axis] !== size)
  if (contradicts) {
    throw new AppError('E_CALIBRATION_INPUT_SHAPE', {
      input: input.name,
      given: shapeText(given),
      dims: shapeText(input.dims),
    })
  }
  return [...given]
}

function batchError(batch: number, reason: string, advice: string): AppError {
  return new AppError('E_CALIBRATION_BATCH', { batch, reason, advice })
}

function batchedDims(
  input: ModelInput,
  dims: readonly number[],
  written: number | null,
  batch: number,
): { sampleDims: number[]; feedDims: number[] } {
  if (dims.length === 0) {
    if (batch > 1) {
      throw batchError(
        batch,
        `input "${input.name}" is a scalar and cannot be joined`,
        'Use a batch size of 1.',
      )
    }
    return { sampleDims: [], feedDims: [] }
  }
  const first = written === null || (batch > 1 && written === batch) ? 1 : written
  const fixed = input.dims[0]
  if (fixed !== null && fixed !== undefined && fixed !== first * batch) {
    throw batchError(
      batch,
      `input "${input.name}" has ${shapeText(input.dims)}, so its first dimension must stay ${fixed}`,
      `Use a batch size of ${fixed % first === 0 ? fixed / first : 1}, or export the model with a free batch dimension.`,
    )
  }
  const rest = dims.slice(1)
  return { sampleDims: [first, ...rest], feedDims: [first * batch, ...rest] }
}

/**
 * Sizes of an input for a batch size. One open dimension besides the batch is derived from `exampleBytes`, the size of
 * a data file.
 * @throws E_CALIBRATION_DTYPE, E_CALIBRATION_INPUT_SHAPE, E_CALIBRATION_OPEN_SHAPE, E_CALIBRATION_BATCH
 */
export function inputSizes(
  input: ModelInput,
  given: readonly number[] | undefined,
  batch: number,
  exampleBytes?: number,
): InputSizes {
  const type = elementType(input.dataType)
  if (!type) {
    throw new AppError('E_CALIBRATION_DTYPE', {
      path: input.name,
      reason: `element type ${input.dataType} cannot be read from raw files`,
      input: input.name,
      expected: 'an input of float, int or bool type',
    })
  }
  const merged = mergedDims(input, given)
  const open = merged.map((dim, axis) => (dim === null && axis > 0 ? axis : -1)).filter((axis) => axis >= 0)
  const dims = merged.map((dim) => dim ?? 1)
  const [axis] = open
  if (axis !== undefined) {
    const others = product(dims) * type.size
    const size = exampleBytes === undefined ? 0 : exampleBytes / others
    if (open.length > 1 || size < 1 || !Number.isInteger(size)) {
      throw new AppError('E_CALIBRATION_OPEN_SHAPE', { input: input.name, dims: shapeText(input.dims) })
    }
    dims[axis] = size
  }
  const { sampleDims, feedDims } = batchedDims(input, dims, merged[0] ?? null, batch)
  return {
    input,
    typeName: type.name,
    elementBytes: type.size,
    sampleDims,
    sampleBytes: product(sampleDims) * type.size,
    feedDims,
    feedBytes: product(feedDims) * type.size,
    fixedBatch: typeof input.dims[0] === 'number',
  }
}

/** Shapes that `bytes` could hold, the likeliest first: more samples, another float type, one other dimension. */
export function meaningOf(bytes: number, sizes: InputSizes): string {
  const { sampleDims, sampleBytes, elementBytes, typeName } = sizes
  const guesses: string[] = []
  if (sampleDims.length > 0 && bytes > sampleBytes && bytes % sampleBytes === 0) {
    const [first = 1, ...rest] = sampleDims
    guesses.push(`${typeName}${shapeText([(first * bytes) / sampleBytes, ...rest])}`)
  }
  const elements = sampleBytes / elementBytes
  for (const type of FLOATING_TYPES) {
    if (type.name !== typeName && type.size * elements === bytes)
      guesses.push(`${type.name}${shapeText(sampleDims)}`)
  }
  guesses.push(...squareGuess(bytes, sizes), ...oneDimensionGuesses(bytes, sizes))
  if (guesses.length > 0) return [...new Set(guesses)].slice(0, 3).join(' or ')
  if (bytes % elementBytes !== 0) return `not a whole number of ${typeName} values`
  return `${bytes / elementBytes} values of ${typeName}`
}

/** Images of another size: the last two dimensions change together. */
function squareGuess(bytes: number, sizes: InputSizes): string[] {
  const { sampleDims, elementBytes, typeName } = sizes
  const [height, width] = sampleDims.slice(-2)
  if (sampleDims.length < 3 || height !== width) return []
  const outer = sampleDims.slice(0, -2)
  const side = Math.sqrt(bytes / elementBytes / product(outer))
  return side >= 1 && Number.isInteger(side) ? [`${typeName}${shapeText([...outer, side, side])}`] : []
}

function oneDimensionGuesses(bytes: number, sizes: InputSizes): string[] {
  const { sampleDims, sampleBytes, typeName } = sizes
  return sampleDims.flatMap((dim, axis) => {
    const size = dim === 0 ? 0 : bytes / (sampleBytes / dim)
    if (axis === 0 || size < 1 || !Number.isInteger(size)) return []
    return [`${typeName}${shapeText(sampleDims.with(axis, size))}`]
  })
}
