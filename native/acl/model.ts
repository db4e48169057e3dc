// A model on the device: load, describe, select a gear, run. Buffers are allocated once and reused by every run.
import type { ElementType, RunTiming, TensorSpec, TensorValue } from '../../contract/device.ts'
import { elementBytes } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { ACL_SUCCESS, DYNAMIC_GEAR_INPUT, elementTypeOfAcl, MemcpyKind } from './constants.ts'
import { describeGears, findGear, type Gears } from './gears.ts'
import type { Out } from './library.ts'
import type {
  Dataset,
  DataBuffer,
  DevicePointer,
  Event,
  HostPointer,
  ModelDesc,
  ModelId,
  Stream,
} from './pointers.ts'
import type { AclRuntime } from './runtime.ts'
import { decodeIoDims, encodeIoDims, IO_DIMS_BYTES } from './structs.ts'

export interface ModelDescription {
  /** Data inputs, without the gear helper input. */
  inputs: TensorSpec[]
  outputs: TensorSpec[]
  /** null for a static model. */
  gears: Gears | null
}

/** One input or output with its memory on both sides. */
interface Slot {
  spec: TensorSpec
  device: DevicePointer
  host: HostPointer
  capacity: number
  /** Bytes of the current shape. */
  bytes: number
}

const product = (dims: number[]) => dims.reduce((total, size) => total * size, 1)

function nonNull<T>(value: T | null, runtime: AclRuntime, call: string): T {
  if (value !== null) return value
  const reason = runtime.fn.aclGetRecentErrMsg?.() ?? 'it returned NULL'
  throw new AppError('E_DEVICE_CALL', { call, status: 0, name: 'NULL', reason })
}

/** Sizes a model states about itself, before it is loaded. */
export function queryModelSize(
  runtime: AclRuntime,
  path: string,
): { workBytes: number; weightBytes: number } {
  const work: Out<number> = [null]
  const weight: Out<number> = [null]
  runtime.check('aclmdlQuerySize', runtime.fn.aclmdlQuerySize(path, work, weight), { path })
  return { workBytes: Number(work[0] ?? 0), weightBytes: Number(weight[0] ?? 0) }
}

export class AclModel {
  readonly id: ModelId
  readonly path: string
  readonly description: ModelDescription
  readonly #runtime: AclRuntime
  readonly #stream: Stream
  readonly #desc: ModelDesc
  readonly #release: (() => void)[] = []
  readonly #inputs: Slot[] = []
  readonly #outputs: Slot[] = []
  readonly #inputSet: Dataset
  readonly #outputSet: Dataset
  readonly #events: Event[]
  #disposed = false

  /**
   * Loads an .om and allocates its buffers. Nothing stays allocated when this throws.
   * @throws E_DEVICE_MODEL_FILE, E_DEVICE_MODEL_SOC, E_DEVICE_MEMORY, E_DEVICE_DYNAMIC_SHAPE
   */
  constructor(runtime: AclRuntime, stream: Stream, path: string) {
    this.#runtime = runtime
    this.#stream = stream
    this.path = path
    const { fn } = runtime
    try {
      const id: Out<number> = [null]
      runtime.check('aclmdlLoadFromFile', fn.aclmdlLoadFromFile(path, id), { path, soc: runtime.socName() })
      const loaded = id[0] as ModelId
      this.id = loaded
      this.#release.push(() => fn.aclmdlUnload(loaded))
      const desc = nonNull(fn.aclmdlCreateDesc(), runtime, 'aclmdlCreateDesc')
      this.#desc = desc
      this.#release.push(() => fn.aclmdlDestroyDesc(desc))
      runtime.check('aclmdlGetDesc', fn.aclmdlGetDesc(desc, loaded), { path })
      this.description = this.#describe()
      this.#inputSet = this.#createDataset()
      this.#outputSet = this.#createDataset()
      this.#allocate()
      this.#events = Array.from({ length: 6 }, () => this.#createEvent())
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  #describe(): ModelDescription {
    const { fn } = this.#runtime
    const desc = this.#desc
    const specs = (side: 'Input' | 'Output'): TensorSpec[] => {
      const count = Number(fn[`aclmdlGetNum${side}s`](desc))
      return Array.from({ length: count }, (_, index) => ({
        name: fn[`aclmdlGet${side}NameByIndex`](desc, index) ?? `${side.toLowerCase()}_${index}`,
        elementType: elementTypeOfAcl(fn[`aclmdlGet${side}DataType`](desc, index)),
        dims: this.#dims(`aclmdlGet${side}Dims`, index),
        bytes: Number(fn[`aclmdlGet${side}SizeByIndex`](desc, index)),
      }))
    }
    const all = specs('Input')
    const inputs = all.filter((input) => input.name !== DYNAMIC_GEAR_INPUT)
    const gears = all.length === inputs.length ? null : describeGears(this.#runtime, desc, inputs)
    const open = inputs.filter((input) => gears === null && (input.bytes === 0 || input.dims.includes(-1)))
    if (open.length > 0) {
      throw new AppError('E_DEVICE_DYNAMIC_SHAPE', {
        path: this.path,
        inputs: open.map((input) => input.name),
      })
    }
    return { inputs, outputs: specs('Output'), gears }
  }

  #dims(
    call: 'aclmdlGetInputDims' | 'aclmdlGetOutputDims' | 'aclmdlGetCurOutputDims',
    index: number,
  ): number[] {
    const buffer = Buffer.alloc(IO_DIMS_BYTES)
    this.#runtime.check(call, this.#runtime.fn[call](this.#desc, index, buffer), { path: this.path })
    return decodeIoDims(buffer).dims
  }

  #createDataset(): Dataset {
    const { fn } = this.#runtime
    const dataset = nonNull(fn.aclmdlCreateDataset(), this.#runtime, 'aclmdlCreateDataset')
    this.#release.push(() => fn.aclmdlDestroyDataset(dataset))
    return dataset
  }

  #createEvent(): Event {
    const event = this.#runtime.createTimingEvent()
    this.#release.push(() => this.#runtime.fn.aclrtDestroyEvent(event))
    return event
  }

  #addBuffer(dataset: Dataset, bytes: number): DevicePointer {
    const { fn } = this.#runtime
    const device = this.#runtime.malloc(Math.max(bytes, 1))
    this.#release.push(() => fn.aclrtFree(device))
    const buffer: DataBuffer = nonNull(
      fn.aclCreateDataBuffer(device, bytes),
      this.#runtime,
      'aclCreateDataBuffer',
    )
    this.#release.push(() => fn.aclDestroyDataBuffer(buffer))
    this.#runtime.check('aclmdlAddDatasetBuffer', fn.aclmdlAddDatasetBuffer(dataset, buffer))
    return device
  }

  #slot(dataset: Dataset, spec: TensorSpec): Slot {
    const device = this.#addBuffer(dataset, spec.bytes)
    const host = this.#runtime.mallocHost(Math.max(spec.bytes, 1))
    this.#release.push(() => this.#runtime.fn.aclrtFreeHost(host))
    return { spec, device, host, capacity: spec.bytes, bytes: spec.bytes }
  }

  #allocate(): void {
    const { fn } = this.#runtime
    for (const spec of this.description.inputs) this.#inputs.push(this.#slot(this.#inputSet, spec))
    if (this.description.gears) {
      const helper = this.description.gears.inputIndex
      this.#addBuffer(this.#inputSet, Number(fn.aclmdlGetInputSizeByIndex(this.#desc, helper)))
    }
    for (const spec of this.description.outputs) this.#outputs.push(this.#slot(this.#outputSet, spec))
  }

  /**
   * Sets the inputs of the following runs: selects the gear of a dynamic model and stages the bytes in page-locked
   * memory.
   * @throws E_DEVICE_INPUT_MISSING, E_DEVICE_INPUT_UNKNOWN, E_DEVICE_INPUT_SIZE, E_DEVICE_INPUT_SHAPE
   */
  setInputs(
    feeds: Readonly<Record<string, Uint8Array>>,
    shapes: Readonly<Record<string, number[]>> = {},
  ): void {
    const names = this.description.inputs.map((input) => input.name)
    for (const name of [...Object.keys(feeds), ...Object.keys(shapes)]) {
      if (!names.includes(name)) {
        throw new AppError('E_DEVICE_INPUT_UNKNOWN', { path: this.path, input: name, inputs: names })
      }
    }
    const resolved = this.#resolveShapes(shapes)
    this.#inputs.forEach((slot, index) => {
      const dims = resolved[index] ?? slot.spec.dims
      const bytes =
        slot.spec.elementType === 'other'
          ? slot.spec.bytes
          : product(dims) * elementBytes[slot.spec.elementType]
      const data = feeds[slot.spec.name]
      if (data === undefined) {
        throw new AppError('E_DEVICE_INPUT_MISSING', {
          path: this.path,
          input: slot.spec.name,
          inputs: names,
        })
      }
      if (data.byteLength !== bytes) throw inputSizeError(this.path, slot.spec, dims, data.byteLength, bytes)
      slot.bytes = bytes
    })
    for (const slot of this.#inputs) {
      const data = feeds[slot.spec.name]
      if (data !== undefined && data.byteLength > 0) this.#runtime.copyToHost(slot.host, slot.capacity, data)
    }
  }

  /** Checks given shapes against the model and selects the gear; returns one concrete shape per input. */
  #resolveShapes(shapes: Readonly<Record<string, number[]>>): number[][] {
    const { inputs, gears } = this.description
    if (gears) {
      const gear = findGear(this.path, inputs, gears, shapes)
      this.#selectGear(gears, gear.value, gear.shapes)
      return gear.shapes
    }
    for (const input of inputs) {
      const given = shapes[input.name]
      if (
        given !== undefined &&
        (given.length !== input.dims.length || given.some((size, axis) => size !== input.dims[axis]))
      ) {
        throw new AppError('E_DEVICE_INPUT_SHAPE', {
          path: this.path,
          input: input.name,
          actual: given,
          expected: input.dims,
          choices: `[${input.dims.join(', ')}]`,
        })
      }
    }
    return inputs.map((input) => input.dims)
  }

  #selectGear(gears: Gears, value: number[], shapes: number[][]): void {
    const { fn } = this.#runtime
    const index = gears.inputIndex
    const [first = 0, second = 0] = value
    const details = { path: this.path, gear: value }
    if (gears.kind === 'batch') {
      const status = fn.aclmdlSetDynamicBatchSize(this.id, this.#inputSet, index, first)
      this.#runtime.check('aclmdlSetDynamicBatchSize', status, details)
    } else if (gears.kind === 'image') {
      const status = fn.aclmdlSetDynamicHWSize(this.id, this.#inputSet, index, first, second)
      this.#runtime.check('aclmdlSetDynamicHWSize', status, details)
    } else {
      const status = fn.aclmdlSetInputDynamicDims(this.id, this.#inputSet, index, encodeIoDims(shapes.flat()))
      this.#runtime.check('aclmdlSetInputDynamicDims', status, details)
    }
    this.#outputs.forEach((slot, position) => {
      if (slot.spec.elementType === 'other') return
      const dims = this.#dims('aclmdlGetCurOutputDims', position)
      slot.bytes = Math.min(slot.capacity, product(dims) * elementBytes[slot.spec.elementType])
    })
  }

  #copyAll(slots: Slot[], kind: number): void {
    const call = this.#runtime.fn.aclrtMemcpyAsync
    for (const slot of slots) {
      if (slot.bytes === 0) continue
      const toDevice = kind === MemcpyKind.HOST_TO_DEVICE
      const target = toDevice ? slot.device : slot.host
      const source = toDevice ? slot.host : slot.device
      const status = call(target, slot.capacity, source, slot.bytes, kind, this.#stream)
      if (status !== ACL_SUCCESS) this.#runtime.check('aclrtMemcpyAsync', status, { input: slot.spec.name })
    }
  }

  /**
   * One inference with the current inputs. Each phase is bracketed by its own pair of events and ends with a stream
   * synchronisation, so that the next phase's device time does not contain the host's gap between the two.
   * @returns device milliseconds per phase, and the host's view of the execute phase
   */
  run(): RunTiming {
    const runtime = this.#runtime
    const stream = this.#stream
    const [h2dStart, h2dEnd, start, end, d2hStart, d2hEnd] = this.#events as [
      Event,
      Event,
      Event,
      Event,
      Event,
      Event,
    ]
    runtime.recordEvent(h2dStart, stream)
    this.#copyAll(this.#inputs, MemcpyKind.HOST_TO_DEVICE)
    runtime.recordEvent(h2dEnd, stream)
    this.#synchronize()
    const wallStart = performance.now()
    runtime.recordEvent(start, stream)
    const status = runtime.fn.aclmdlExecuteAsync(this.id, this.#inputSet, this.#outputSet, stream)
    if (status !== ACL_SUCCESS)
      runtime.check('aclmdlExecuteAsync', status, { path: this.path, handle: this.id })
    runtime.recordEvent(end, stream)
    this.#synchronize()
    const wallEnd = performance.now()
    runtime.recordEvent(d2hStart, stream)
    this.#copyAll(this.#outputs, MemcpyKind.DEVICE_TO_HOST)
    runtime.recordEvent(d2hEnd, stream)
    this.#synchronize()
    return {
      h2dMs: runtime.elapsedMs(h2dStart, h2dEnd),
      executeMs: runtime.elapsedMs(start, end),
      d2hMs: runtime.elapsedMs(d2hStart, d2hEnd),
      executeWallMs: wallEnd - wallStart,
    }
  }

  #synchronize(): void {
    const status = this.#runtime.fn.aclrtSynchronizeStream(this.#stream)
    if (status !== ACL_SUCCESS) this.#runtime.check('aclrtSynchronizeStream', status, { path: this.path })
  }

  /** Outputs of the last run, copied into JavaScript's memory, with their current dimensions. */
  readOutputs(): Record<string, TensorValue> {
    const outputs: Record<string, TensorValue> = {}
    this.#outputs.forEach((slot, index) => {
      const data = new Uint8Array(slot.bytes)
      if (slot.bytes > 0) {
        const { fn } = this.#runtime
        const status = fn.aclrtMemcpy(data, slot.bytes, slot.host, slot.bytes, MemcpyKind.HOST_TO_HOST)
        this.#runtime.check('aclrtMemcpy', status, { output: slot.spec.name })
      }
      const dims = this.description.gears ? this.#dims('aclmdlGetCurOutputDims', index) : slot.spec.dims
      outputs[slot.spec.name] = { elementType: slot.spec.elementType, dims, data }
    })
    return outputs
  }

  /** Unloads the model and frees its memory, last allocated first. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const release of this.#release.reverse()) release()
  }
}

/** The error of data that does not have the size of the input's shape. */
export function inputSizeError(
  path: string,
  spec: TensorSpec,
  dims: number[],
  actual: number,
  expected: number,
): AppError {
  const elementType: ElementType = spec.elementType
  return new AppError('E_DEVICE_INPUT_SIZE', { path, input: spec.name, actual, expected, elementType, dims })
}
