// A loaded model as evaluation uses it: numbers by tensor name in, float32 tensors out, whatever element types and device.
import {
  type ElementType,
  elementBytes,
  type LoadedModel,
  type TensorSpec,
  type TensorValue,
} from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { tensorNumbers } from '../device/tensor-values.ts'
import type { DeviceSession } from '../device/index.ts'
import { float32ToFloat16Bits } from '../onnx/index.ts'

export interface NumberTensor {
  dims: number[]
  data: ArrayLike<number>
}

export interface FloatTensor {
  dims: number[]
  data: Float32Array
}

/** One model on one device. */
export interface ModelRunner {
  session: DeviceSession
  model: LoadedModel
}

function encode(elementType: ElementType, { data }: NumberTensor): Uint8Array {
  const bytes = (array: ArrayBufferView): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  switch (elementType) {
    case 'float32':
      return bytes(data instanceof Float32Array ? data : Float32Array.from(data))
    case 'float16':
      return bytes(Uint16Array.from(data, float32ToFloat16Bits))
    case 'int64':
      return bytes(BigInt64Array.from(data, BigInt))
    case 'int32':
      return bytes(Int32Array.from(data))
    case 'float64':
      return bytes(Float64Array.from(data))
    case 'bool':
    case 'uint8':
      return Uint8Array.from(data)
    default:
      throw new RangeError(`inputs of type ${elementType} cannot be filled`)
  }
}

/** The input or output of a name; compiled models may name outputs `node:port:name`. */
export function findTensor(
  { path, inputs, outputs }: LoadedModel,
  direction: 'input' | 'output',
  tensor: string,
  role: string,
): TensorSpec {
  const specs = direction === 'input' ? inputs : outputs
  const found =
    specs.find((spec) => spec.name === tensor) ?? specs.find((spec) => spec.name.endsWith(`:${tensor}`))
  if (found) return found
  throw new AppError('E_TASK_TENSOR', {
    model: path,
    direction,
    tensor,
    role,
    known: specs.map((spec) => spec.name),
  })
}

function checkSize(path: string, spec: TensorSpec, tensor: NumberTensor): void {
  const elements = tensor.dims.reduce((product, dim) => product * dim, 1)
  const fixed = spec.dims.every((dim) => dim >= 0)
  const wanted = fixed ? spec.bytes / elementBytes[spec.elementType] : elements
  if (elements === tensor.data.length && elements === wanted) return
  throw new AppError('E_TASK_SHAPE', {
    model: path,
    tensor: spec.name,
    found: `[${spec.dims.join(', ')}]`,
    expected: `[${tensor.dims.join(', ')}]`,
  })
}

function encodeInput(path: string, spec: TensorSpec, tensor: NumberTensor): Uint8Array {
  try {
    return encode(spec.elementType, tensor)
  } catch (error) {
    // Fractions for an integer input, or a type that no task has values for: another tensor than the task means.
    if (!(error instanceof RangeError)) throw error
    const found = `of type ${spec.elementType}`
    const expected = `other values (${error.message})`
    throw new AppError('E_TASK_SHAPE', { model: path, tensor: spec.name, found, expected }, { cause: error })
  }
}

/** Numbers as float32; what is float32 already is not copied again. */
function toFloats(name: string, value: TensorValue): Float32Array {
  const numbers = tensorNumbers(name, value)
  return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers)
}

/**
 * Runs a model once.
 * @param wanted Outputs to convert: logits and hidden states that nobody asked for take gigabytes.
 * @returns these outputs, in float32, by the names the model gives them
 * @throws E_TASK_SHAPE, E_TASK_TENSOR, E_DEVICE_*
 */
export async function runModel(
  { session, model }: ModelRunner,
  feeds: Readonly<Record<string, NumberTensor>>,
  ...wanted: string[]
): Promise<Record<string, FloatTensor>> {
  const encoded: Record<string, Uint8Array> = {}
  const shapes: Record<string, number[]> = {}
  for (const [name, tensor] of Object.entries(feeds)) {
    const spec = findTensor(model, 'input', name, name)
    checkSize(model.path, spec, tensor)
    encoded[spec.name] = encodeInput(model.path, spec, tensor)
    shapes[spec.name] = tensor.dims
  }
  const names = new Set(wanted.map((name) => findTensor(model, 'output', name, 'output').name))
  const { outputs } = await session.run(model.handle, encoded, shapes)
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([name]) => names.has(name))
      .map(([name, value]) => [name, { dims: value.dims, data: toFloats(name, value) }]),
  )
}

/** One output of a run. */
export function outputOf(
  runner: ModelRunner,
  results: Readonly<Record<string, FloatTensor>>,
  tensor: string,
  role: string,
): FloatTensor {
  const { name } = findTensor(runner.model, 'output', tensor, role)
  const found = results[name]
  if (!found)
    throw new AppError('E_TASK_TENSOR', {
      model: runner.model.path,
      direction: 'output',
      tensor,
      role,
      known: Object.keys(results),
    })
  return found
}
