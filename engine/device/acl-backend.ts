// A device behind the ACL ABI, inside its process: one context, one stream, synchronous calls on the only thread.
// The same code runs on the vendor's library and on our simulator.
import { statSync } from 'node:fs'
import path from 'node:path'
import type {
  DeviceSelector,
  DeviceSnapshot,
  Feeds,
  LoadedModel,
  RunResult,
  Shapes,
} from '../../contract/device.ts'
import { formatDeviceSelector } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import {
  AclModel,
  AclRuntime,
  findSimulatorLibrary,
  findVendorLibrary,
  installRoots,
  queryModelSize,
  readInstalledVersions,
  relevantEnvironment,
  RunMode,
  type AclLibrary,
  type Context,
  type Stream,
} from '../../native/acl/index.ts'
import { hostFacts } from './host-facts.ts'
import { unknownDevice } from './selector.ts'
import { probeInputs, requireModelFile } from './model-file.ts'
import type { DeviceBackend, Step } from './types.ts'

/** The library a selector needs. @throws E_DEVICE_LIBRARY_MISSING, E_DEVICE_SIMULATOR_MISSING */
export function libraryFor(selector: DeviceSelector): AclLibrary {
  if (selector.kind === 'simulated') {
    const { library, searched } = findSimulatorLibrary()
    if (!library) throw new AppError('E_DEVICE_SIMULATOR_MISSING', { path: searched[0] })
    return library
  }
  const { library, searched } = findVendorLibrary()
  if (!library) throw new AppError('E_DEVICE_LIBRARY_MISSING', { roots: installRoots(process.env), searched })
  return library
}

const PROBE_BYTES = 64 * 1024

export class AclBackend implements DeviceBackend {
  readonly #selector: DeviceSelector
  readonly #runtime: AclRuntime
  readonly #deviceId: number
  readonly #context: Context
  readonly #stream: Stream
  readonly #models = new Map<number, AclModel>()
  /** Our marker symbol, not the name asked for, decides what results are called. */
  readonly #simulatorVersion: string | null

  /** Opens the device. @throws E_DEVICE_UNKNOWN, E_DEVICE_DRIVER, E_DEVICE_STUB_LIBRARY, E_DEVICE_LIBRARY_* */
  constructor(selector: DeviceSelector) {
    this.#selector = selector
    this.#deviceId = selector.kind === 'npu' ? selector.index : 0
    const runtime = new AclRuntime(libraryFor(selector))
    this.#runtime = runtime
    this.#simulatorVersion = runtime.simulatorVersion()
    runtime.init()
    const count = runtime.deviceCount()
    if (this.#deviceId >= count) {
      const available = Array.from({ length: count }, (_, index) => `npu:${index}`)
      throw unknownDevice(formatDeviceSelector(selector), available)
    }
    runtime.setDevice(this.#deviceId)
    this.#context = runtime.createContext(this.#deviceId)
    this.#stream = runtime.createStream()
  }

  snapshot(): DeviceSnapshot {
    const runtime = this.#runtime
    const simulated = this.#simulatorVersion !== null
    const installed = readInstalledVersions(runtime.library.root)
    const memory = runtime.memoryInfo()
    const soc = runtime.socName()
    const threads = Number(process.env['ASCENDSIM_THREADS'] ?? '')
    return {
      id: formatDeviceSelector(this.#selector),
      kind: simulated ? 'simulated' : 'npu',
      name: soc ?? 'Ascend NPU',
      soc,
      clock: simulated ? 'simulated device clock' : 'device events',
      runtime: {
        name: simulated ? 'AscendCL simulator' : 'AscendCL',
        path: runtime.library.path,
        version: this.#simulatorVersion ?? runtime.apiVersion(),
      },
      cannVersion: simulated ? null : installed.cann,
      driverVersion: simulated ? null : installed.driver,
      firmwareVersion: simulated ? null : installed.firmware,
      memoryTotalBytes: memory?.totalBytes ?? null,
      memoryFreeBytes: memory?.freeBytes ?? null,
      host: hostFacts(),
      intraOpThreads: simulated && Number.isInteger(threads) && threads > 0 ? threads : null,
      interOpThreads: null,
      environment: relevantEnvironment(process.env),
      takenAt: new Date().toISOString(),
    }
  }

  load(file: string): Promise<LoadedModel> {
    const device = formatDeviceSelector(this.#selector)
    requireModelFile(file, '.om', device)
    const runtime = this.#runtime
    const free = runtime.memoryInfo()?.freeBytes ?? null
    const start = performance.now()
    let model: AclModel
    try {
      model = new AclModel(runtime, this.#stream, file)
    } catch (error) {
      if (error instanceof AppError && error.code === 'E_DEVICE_MODEL_SOC') {
        throw new AppError(error.code, { ...error.details, device }, { cause: error })
      }
      throw error
    }
    const loadMs = performance.now() - start
    this.#models.set(model.id, model)
    const freeAfter = runtime.memoryInfo()?.freeBytes ?? null
    return Promise.resolve({
      handle: model.id,
      path: file,
      inputs: model.description.inputs,
      outputs: model.description.outputs,
      loadMs,
      deviceMemoryBytes: free === null || freeAfter === null ? null : Math.max(0, free - freeAfter),
      ...queryModelSize(runtime, file),
      modelBytes: statSync(file).size,
    })
  }

  #model(handle: number): AclModel {
    const model = this.#models.get(handle)
    if (!model) throw new AppError('E_DEVICE_MODEL_ID', { handle })
    return model
  }

  prepare(handle: number, feeds: Feeds, shapes?: Shapes): Step {
    const model = this.#model(handle)
    model.setInputs(feeds, shapes)
    return () => model.run()
  }

  run(handle: number, feeds: Feeds, shapes?: Shapes): Promise<RunResult> {
    const model = this.#model(handle)
    model.setInputs(feeds, shapes)
    const timing = model.run()
    return Promise.resolve({ outputs: model.readOutputs(), timing })
  }

  async probe(steps: string[], modelPath?: string): Promise<void> {
    const runtime = this.#runtime
    steps.push(`set device ${this.#deviceId}`, `SoC ${runtime.socName() ?? 'not reported'}`)
    steps.push(`run mode ${runtime.runMode() === RunMode.HOST ? 'host' : 'device'}`)
    const memory = runtime.memoryInfo()
    if (memory) steps.push(`memory ${memory.freeBytes} of ${memory.totalBytes} bytes free`)
    this.#copyRoundTrip()
    steps.push(`copied ${PROBE_BYTES} bytes to the device and back`)
    if (modelPath === undefined) return
    const model = await this.load(modelPath)
    try {
      const result = await this.run(model.handle, probeInputs(model.inputs))
      steps.push(`executed ${path.basename(modelPath)} in ${result.timing.executeMs.toFixed(3)} ms`)
    } finally {
      await this.unload(model.handle)
    }
  }

  /** Writes a pattern to device memory, reads it back and compares every byte. */
  #copyRoundTrip(): void {
    const pattern = Uint8Array.from({ length: PROBE_BYTES }, (_, index) => (index * 31 + 7) & 0xff)
    const pointer = this.#runtime.malloc(PROBE_BYTES)
    try {
      this.#runtime.copyToDevice(pointer, PROBE_BYTES, pattern)
      const back = this.#runtime.copyFromDevice(pointer, PROBE_BYTES)
      if (Buffer.compare(pattern, back) !== 0) {
        const reason = 'the bytes read back differ from the bytes written'
        throw new AppError('E_DEVICE_CALL', { call: 'aclrtMemcpy', status: 0, name: 'ACL_SUCCESS', reason })
      }
    } finally {
      this.#runtime.free(pointer)
    }
  }

  unload(handle: number): Promise<void> {
    this.#model(handle).dispose()
    this.#models.delete(handle)
    return Promise.resolve()
  }

  close(): Promise<void> {
    for (const model of this.#models.values()) model.dispose()
    this.#models.clear()
    this.#runtime.destroyStream(this.#stream)
    this.#runtime.destroyContext(this.#context)
    this.#runtime.resetDevice(this.#deviceId)
    this.#runtime.finalize()
    return Promise.resolve()
  }
}
