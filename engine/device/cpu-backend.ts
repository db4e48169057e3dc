// The host CPU as a device: ONNX Runtime in its own process, measured with the wall clock. It blocks its event loop
// while running, which is one reason it does not live in the engine process.
import { statSync } from 'node:fs'
import os from 'node:os'
import * as ort from 'onnxruntime-node'
import {
  elementBytes,
  type DeviceSnapshot,
  type ElementType,
  type Feeds,
  type LoadedModel,
  type RunResult,
  type Shapes,
  type TensorSpec,
  type TensorValue,
} from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { relevantEnvironment } from '../../native/acl/index.ts'
import { openModel } from '../onnx/index.ts'
import { cpuModel, hostFacts, onnxRuntimeVersion, saturatesInteger } from './host-facts.ts'
import { probeInputs, requireModelFile } from './model-file.ts'
import { PROBE_INPUT, PROBE_OUTPUT, probeModel } from './probe-model.ts'
import { resolveFeeds } from './resolve-feeds.ts'
import type { DeviceBackend, Step } from './types.ts'

const ELEMENT_TYPES = new Set<string>(Object.keys(elementBytes))

function elementTypeOf(type: ort.Tensor.Type): ElementType {
  return ELEMENT_TYPES.has(type) ? (type as ElementType) : 'other'
}

type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

/** Views bytes as elements; a copy only where the bytes are not aligned. float16 stays as bit patterns. */
function typedView(elementType: ElementType, bytes: Uint8Array): NumericArray {
  const size = Math.max(1, elementBytes[elementType])
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  const { buffer, byteOffset } = aligned
  const length = aligned.byteLength / size
  switch (elementType) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length)
    case 'float64':
      return new Float64Array(buffer, byteOffset, length)
    case 'int8':
      return new Int8Array(buffer, byteOffset, length)
    case 'int16':
      return new Int16Array(buffer, byteOffset, length)
    case 'int32':
      return new Int32Array(buffer, byteOffset, length)
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length)
    case 'uint32':
      return new Uint32Array(buffer, byteOffset, length)
    case 'uint64':
      return new BigUint64Array(buffer, byteOffset, length)
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(buffer, byteOffset, length)
    default:
      return new Uint8Array(buffer, byteOffset, length)
  }
}

function specOf(metadata: ort.InferenceSession.ValueMetadata): TensorSpec {
  if (!metadata.isTensor) return { name: metadata.name, elementType: 'other', dims: [], bytes: 0 }
  const dims = metadata.shape.map((size) => (typeof size === 'number' ? size : -1))
  const elementType = elementTypeOf(metadata.type)
  const elements = dims.reduce((total, size) => total * size, 1)
  return {
    name: metadata.name,
    elementType,
    dims,
    bytes: dims.includes(-1) ? 0 : elements * elementBytes[elementType],
  }
}

/** Size of a model with its external data files; each file counts once. */
function modelBytes(file: string): number {
  const files = new Set([file])
  for (const tensor of openModel(file).graph.initializers.values()) {
    if (tensor.data.kind === 'file') files.add(tensor.data.path)
  }
  return [...files].reduce((sum, name) => sum + statSync(name).size, 0)
}

function runtimeFailure(action: string, path: string, error: unknown): AppError {
  const reason = (error instanceof Error ? error.message : String(error)).slice(0, 600)
  return new AppError('E_DEVICE_ONNXRUNTIME', { action, path, reason }, { cause: error })
}

interface CpuModel {
  session: ort.InferenceSession
  path: string
  inputs: TensorSpec[]
  outputs: TensorSpec[]
}

export class CpuBackend implements DeviceBackend {
  readonly #intraOpThreads: number
  readonly #interOpThreads: number
  readonly #models = new Map<number, CpuModel>()
  #nextHandle = 1

  constructor(intraOpThreads: number = os.availableParallelism(), interOpThreads = 1) {
    this.#intraOpThreads = intraOpThreads
    this.#interOpThreads = interOpThreads
  }

  snapshot(): DeviceSnapshot {
    return {
      id: 'cpu',
      kind: 'cpu',
      name: cpuModel(),
      soc: null,
      clock: 'wall clock',
      runtime: { name: 'ONNX Runtime', path: null, version: onnxRuntimeVersion() },
      cannVersion: null,
      driverVersion: null,
      firmwareVersion: null,
      memoryTotalBytes: os.totalmem(),
      memoryFreeBytes: os.freemem(),
      host: hostFacts(),
      intraOpThreads: this.#intraOpThreads,
      interOpThreads: this.#interOpThreads,
      environment: relevantEnvironment(process.env),
      takenAt: new Date().toISOString(),
    }
  }

  #options(): ort.InferenceSession.SessionOptions {
    return {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: this.#intraOpThreads,
      interOpNumThreads: this.#interOpThreads,
      logSeverityLevel: 3,
      // Exact uint8 x int8 products where the processor saturates them (onnxruntime_session_options_config_keys.h); where
      // it does not, the setting would only make them 2.4 times slower.
      ...(saturatesInteger() && { extra: { session: { x64quantprecision: '1' } } }),
    }
  }

  async load(file: string): Promise<LoadedModel> {
    requireModelFile(file, '.onnx', 'cpu')
    const bytes = modelBytes(file)
    const residentBefore = process.memoryUsage.rss()
    const start = performance.now()
    const session = await ort.InferenceSession.create(file, this.#options()).catch((error: unknown) => {
      throw runtimeFailure('load', file, error)
    })
    const loadMs = performance.now() - start
    const model: CpuModel = {
      session,
      path: file,
      inputs: session.inputMetadata.map(specOf),
      outputs: session.outputMetadata.map(specOf),
    }
    const handle = this.#nextHandle++
    this.#models.set(handle, model)
    return {
      handle,
      path: file,
      inputs: model.inputs,
      outputs: model.outputs,
      loadMs,
      deviceMemoryBytes: Math.max(0, process.memoryUsage.rss() - residentBefore),
      workBytes: null,
      weightBytes: null,
      modelBytes: bytes,
    }
  }

  #model(handle: number): CpuModel {
    const model = this.#models.get(handle)
    if (!model) throw new AppError('E_DEVICE_MODEL_ID', { handle })
    return model
  }

  #tensors(model: CpuModel, feeds: Feeds, shapes: Shapes = {}): Record<string, ort.Tensor> {
    const tensors: Record<string, ort.Tensor> = {}
    for (const { spec, dims, data } of resolveFeeds(model.path, model.inputs, feeds, shapes)) {
      const type = spec.elementType
      if (type === 'other' || type === 'bfloat16') {
        throw new AppError('E_DEVICE_INPUT_TYPE', { path: model.path, input: spec.name, elementType: type })
      }
      tensors[spec.name] = new ort.Tensor(type as 'float32', typedView(type, data) as Float32Array, dims)
    }
    return tensors
  }

  /** Only numeric outputs: text cannot be compared or measured in bytes. */
  #fetches(model: CpuModel): string[] {
    return model.outputs.filter((output) => output.elementType !== 'other').map((output) => output.name)
  }

  async #timed(model: CpuModel, tensors: Record<string, ort.Tensor>, fetches: string[]) {
    const start = performance.now()
    const outputs = await model.session.run(tensors, fetches)
    const executeMs = performance.now() - start
    return { outputs, timing: { h2dMs: null, executeMs, d2hMs: null, executeWallMs: executeMs } }
  }

  prepare(handle: number, feeds: Feeds, shapes?: Shapes): Step {
    const model = this.#model(handle)
    const tensors = this.#tensors(model, feeds, shapes)
    const fetches = this.#fetches(model)
    return async () => {
      try {
        return (await this.#timed(model, tensors, fetches)).timing
      } catch (error) {
        throw runtimeFailure('run', model.path, error)
      }
    }
  }

  async run(handle: number, feeds: Feeds, shapes?: Shapes): Promise<RunResult> {
    const model = this.#model(handle)
    const tensors = this.#tensors(model, feeds, shapes)
    const { outputs, timing } = await this.#timed(model, tensors, this.#fetches(model)).catch(
      (error: unknown) => {
        throw runtimeFailure('run', model.path, error)
      },
    )
    const values: Record<string, TensorValue> = {}
    for (const [name, tensor] of Object.entries(outputs)) {
      const array = tensor.data as NumericArray
      const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
      values[name] = { elementType: elementTypeOf(tensor.type), dims: [...tensor.dims], data }
    }
    return { outputs: values, timing }
  }

  async probe(steps: string[], modelPath?: string): Promise<void> {
    steps.push(
      `ONNX Runtime ${onnxRuntimeVersion() ?? 'of unknown version'}`,
      `${this.#intraOpThreads} threads`,
    )
    const session = await ort.InferenceSession.create(probeModel(), this.#options())
    const input = Float32Array.of(1, -2, 0.5, 1024)
    const { [PROBE_OUTPUT]: output } = await session.run({
      [PROBE_INPUT]: new ort.Tensor('float32', input, [4]),
    })
    await session.release()
    const values = output?.data as Float32Array | undefined
    if (!values || !input.every((value, index) => values[index] === value + value)) {
      throw runtimeFailure('run', 'the probe model', new Error(`x + x gave ${String(values)}`))
    }
    steps.push('executed a small model and checked its result')
    if (modelPath === undefined) return
    const model = await this.load(modelPath)
    const { timing } = await this.run(model.handle, probeInputs(model.inputs))
    await this.unload(model.handle)
    steps.push(`executed ${modelPath} in ${timing.executeMs.toFixed(3)} ms`)
  }

  async unload(handle: number): Promise<void> {
    const model = this.#model(handle)
    this.#models.delete(handle)
    await model.session.release()
  }

  async close(): Promise<void> {
    for (const handle of [...this.#models.keys()]) await this.unload(handle)
  }
}
