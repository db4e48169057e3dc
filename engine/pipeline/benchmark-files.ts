// Benchmarks model files on a device: opens it, loads them, makes or reads inputs, measures interleaved.
import type { BenchmarkResult, ScenarioInput } from '../../contract/benchmark.ts'
import type { ElementType, Feeds, LoadedModel, Shapes, TensorSpec } from '../../contract/device.ts'
import { elementBytes } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { DatasetRequest, ModelInput } from '../../contract/quantization.ts'
import type { WorkContext } from '../../contract/work.ts'
import { benchmark, type BenchmarkModel } from '../benchmark/index.ts'
import { openDataset } from '../calibration/index.ts'
import { readOmManifest } from '../compile/index.ts'
import { openDevice } from '../device/index.ts'
import { DataType, float32ToFloat16Bits } from '../onnx/index.ts'
import { toRunInputs, type RunInputs } from './quality.ts'
import { RandomStream } from './samples/random.ts'

export interface BenchmarkFilesRequest {
  /** Baseline first. */
  models: { label: string; path: string }[]
  device: string
  scenario: ScenarioInput
  /** Real inputs; random ones when left out. */
  data?: DatasetRequest | undefined
  /** Shapes of open inputs, and a check of fixed ones. */
  inputShapes?: Record<string, number[]> | undefined
}

const DATA_TYPES: Partial<Record<ElementType, number>> = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  float64: DataType.DOUBLE,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
  int16: DataType.INT16,
  uint16: DataType.UINT16,
  int32: DataType.INT32,
  uint32: DataType.UINT32,
  int64: DataType.INT64,
  uint64: DataType.UINT64,
  bool: DataType.BOOL,
}

/**
 * One result per model, in order.
 * @throws E_DEVICE_*, E_CALIBRATION_*, E_ARGUMENT for a missing shape, E_CANCELLED
 */
export async function benchmarkFiles(
  request: BenchmarkFilesRequest,
  ctx: WorkContext,
): Promise<BenchmarkResult[]> {
  await using session = await openDevice(request.device)
  const models: BenchmarkModel[] = []
  for (const { label, path } of request.models) {
    const model = await session.loadModel(path)
    const { feeds, shapes } = inputsFor(model, request)
    const manifest = path.toLowerCase().endsWith('.om') ? readOmManifest(path) : null
    const validation = manifest ? { costValidation: manifest.validation } : {}
    models.push({ label, model, feeds, shapes, ...validation })
  }
  // Awaited here: the session must outlive the measurement.
  return await benchmark(session, models, request.scenario, ctx)
}

function inputsFor(model: LoadedModel, request: BenchmarkFilesRequest): RunInputs {
  const given = request.inputShapes ?? {}
  const known = model.inputs.map((input) => input.name)
  const stray = Object.keys(given).find((name) => !known.includes(name))
  if (stray !== undefined) {
    throw new AppError('E_DEVICE_INPUT_UNKNOWN', { path: model.path, input: stray, inputs: known })
  }
  if (request.data) {
    const inputs = model.inputs.map(toModelInput)
    return toRunInputs(openDataset({ ...request.data, inputShapes: openOnly(given, model) }, inputs).load(0))
  }
  const shapes: Shapes = Object.fromEntries(
    model.inputs.map((input) => [input.name, shapeOf(input, given, model.path)]),
  )
  const feeds: Feeds = Object.fromEntries(
    model.inputs.map((input) => [input.name, randomBytes(input, shapes[input.name] ?? [])]),
  )
  return { feeds, shapes }
}

function openOnly(given: Record<string, number[]>, model: LoadedModel): Record<string, number[]> {
  const open = model.inputs.filter((input) => input.dims.some((dim) => dim < 0)).map((input) => input.name)
  return Object.fromEntries(Object.entries(given).filter(([name]) => open.includes(name)))
}

function toModelInput(input: TensorSpec): ModelInput {
  return {
    name: input.name,
    dataType: DATA_TYPES[input.elementType] ?? DataType.UNDEFINED,
    dims: input.dims.map((dim) => (dim < 0 ? null : dim)),
  }
}

function shapeOf(input: TensorSpec, given: Record<string, number[]>, path: string): number[] {
  const shape = given[input.name]
  const text = input.dims.map((dim) => (dim < 0 ? '?' : String(dim))).join(',')
  if (shape === undefined) {
    if (!input.dims.some((dim) => dim < 0)) return input.dims
    throw new AppError('E_ARGUMENT', {
      name: 'input shape',
      reason: `input "${input.name}" of ${path} has the open shape [${text}]`,
      expected: `a shape for it, e.g. "${input.name}:${text.replaceAll('?', '1')}"`,
    })
  }
  const fits =
    shape.length === input.dims.length && input.dims.every((dim, axis) => dim < 0 || dim === shape[axis])
  if (fits) return shape
  throw new AppError('E_ARGUMENT', {
    name: 'input shape',
    reason: `"${input.name}:${shape.join(',')}" does not fit input "${input.name}" [${text}] of ${path}`,
    expected: `"${input.name}:${text}"`,
  })
}

/** Normal noise for floating point inputs, zeros for the others: indices and masks must stay in range. */
function randomBytes(input: TensorSpec, dims: readonly number[]): Uint8Array {
  const count = dims.reduce((product, size) => product * size, 1)
  const width = elementBytes[input.elementType]
  if (input.elementType !== 'float32' && input.elementType !== 'float16') {
    return new Uint8Array(width === 0 ? input.bytes : count * width)
  }
  const values = new Float32Array(count)
  new RandomStream(0, input.name).fillNormal(values, 1)
  if (input.elementType === 'float32') return new Uint8Array(values.buffer)
  return new Uint8Array(Uint16Array.from(values, float32ToFloat16Bits).buffer)
}
