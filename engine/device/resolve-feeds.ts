// Data against the inputs of an ONNX model: every input given once, of the right size, with one concrete shape.
import { elementBytes, type Feeds, type Shapes, type TensorSpec } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { inputSizeError } from '../../native/acl/index.ts'

export interface ResolvedFeed {
  spec: TensorSpec
  dims: number[]
  data: Uint8Array
}

const product = (dims: number[]) => dims.reduce((total, size) => total * size, 1)

function shapeError(path: string, spec: TensorSpec, actual: number[]): AppError {
  const expected = spec.dims.map((size) => (size < 0 ? '?' : String(size)))
  return new AppError('E_DEVICE_INPUT_SHAPE', {
    path,
    input: spec.name,
    actual,
    expected,
    choices: `[${expected.join(', ')}]`,
  })
}

/** One dynamic dimension follows from the number of bytes; more than one must be given. */
function inferDims(path: string, spec: TensorSpec, bytes: number): number[] {
  const open = spec.dims.filter((size) => size < 0).length
  if (open === 0) return spec.dims
  const fixed = product(spec.dims.filter((size) => size >= 0)) * elementBytes[spec.elementType]
  if (open > 1 || fixed === 0 || bytes % fixed !== 0) throw shapeError(path, spec, [])
  return spec.dims.map((size) => (size < 0 ? bytes / fixed : size))
}

/**
 * Pairs inputs and data.
 * @throws E_DEVICE_INPUT_MISSING, E_DEVICE_INPUT_UNKNOWN, E_DEVICE_INPUT_SIZE, E_DEVICE_INPUT_SHAPE
 */
export function resolveFeeds(
  path: string,
  inputs: TensorSpec[],
  feeds: Feeds,
  shapes: Shapes,
): ResolvedFeed[] {
  const names = inputs.map((input) => input.name)
  const stray = [...Object.keys(feeds), ...Object.keys(shapes)].find((name) => !names.includes(name))
  if (stray !== undefined) throw new AppError('E_DEVICE_INPUT_UNKNOWN', { path, input: stray, inputs: names })
  return inputs.map((spec) => {
    const data = feeds[spec.name]
    if (data === undefined)
      throw new AppError('E_DEVICE_INPUT_MISSING', { path, input: spec.name, inputs: names })
    const dims = shapes[spec.name] ?? inferDims(path, spec, data.byteLength)
    const fits =
      dims.length === spec.dims.length && spec.dims.every((size, axis) => size < 0 || size === dims[axis])
    if (!fits) throw shapeError(path, spec, dims)
    const expected = product(dims) * elementBytes[spec.elementType]
    if (spec.elementType !== 'other' && data.byteLength !== expected) {
      throw inputSizeError(path, spec, dims, data.byteLength, expected)
    }
    return { spec, dims, data }
  })
}
