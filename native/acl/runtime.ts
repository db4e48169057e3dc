// Device, context, stream, event and memory calls with every status checked. All calls are synchronous and bound to
// the calling thread: an AclRuntime lives on one thread of one process (the device process) and is never shared.
import { AppError, type ErrorDetails } from '../../contract/errors/index.ts'
import {
  ACL_SUCCESS,
  AclStatus,
  EVENT_TIME_LINE,
  MallocPolicy,
  MemcpyKind,
  MemoryAttribute,
} from './constants.ts'
import type { AclLibrary } from './discovery.ts'
import { aclError } from './errors.ts'
import { loadAclFunctions, type AclFunctions, type Out } from './library.ts'
import type { Context, DevicePointer, Event, HostPointer, Stream } from './pointers.ts'
import { decodeUtilization, UTILIZATION_BYTES, type Utilization } from './structs.ts'

export interface MemoryInfo {
  freeBytes: number
  totalBytes: number
}

/** The value an out parameter received. */
function received<T>(out: Out<T>, call: string): T {
  if (out[0] === null) {
    throw new AppError('E_DEVICE_CALL', {
      call,
      status: 0,
      name: 'ACL_SUCCESS',
      reason: 'the call gave no value',
    })
  }
  return out[0]
}

export class AclRuntime {
  readonly library: AclLibrary
  readonly fn: AclFunctions

  /** Loads the library; no device is touched. @throws E_DEVICE_LIBRARY_LOAD */
  constructor(library: AclLibrary) {
    this.library = library
    this.fn = loadAclFunctions(library.path)
  }

  /** Throws the error of a status other than success, with the runtime's own text. */
  check(call: string, status: number, details?: ErrorDetails): void {
    if (status === ACL_SUCCESS) return
    // Thread-local and cleared by reading: must be the very next call on this thread.
    const message = this.fn.aclGetRecentErrMsg?.() ?? null
    throw aclError(call, status, message, { path: this.library.path, ...details })
  }

  /** aclInit without a configuration. Initialising twice is documented as harmless and ignored here. */
  init(): void {
    const status = this.fn.aclInit(null)
    if (status === AclStatus.REPEAT_INITIALIZE) {
      this.fn.aclGetRecentErrMsg?.()
      return
    }
    this.check('aclInit', status)
  }

  finalize(): void {
    this.check('aclFinalize', this.fn.aclFinalize())
  }

  deviceCount(): number {
    const count: Out<number> = [null]
    this.check('aclrtGetDeviceCount', this.fn.aclrtGetDeviceCount(count))
    return received(count, 'aclrtGetDeviceCount')
  }

  setDevice(deviceId: number): void {
    this.check('aclrtSetDevice', this.fn.aclrtSetDevice(deviceId), { deviceId })
  }

  resetDevice(deviceId: number): void {
    this.check('aclrtResetDevice', this.fn.aclrtResetDevice(deviceId), { deviceId })
  }

  /** `RunMode.HOST` on a PCIe card: buffers must be copied to the device. */
  runMode(): number {
    const mode: Out<number> = [null]
    this.check('aclrtGetRunMode', this.fn.aclrtGetRunMode(mode))
    return received(mode, 'aclrtGetRunMode')
  }

  createContext(deviceId: number): Context {
    const context: Out<Context> = [null]
    this.check('aclrtCreateContext', this.fn.aclrtCreateContext(context, deviceId), { deviceId })
    return received(context, 'aclrtCreateContext')
  }

  setCurrentContext(context: Context): void {
    this.check('aclrtSetCurrentContext', this.fn.aclrtSetCurrentContext(context))
  }

  destroyContext(context: Context): void {
    this.check('aclrtDestroyContext', this.fn.aclrtDestroyContext(context))
  }

  createStream(): Stream {
    const stream: Out<Stream> = [null]
    this.check('aclrtCreateStream', this.fn.aclrtCreateStream(stream))
    return received(stream, 'aclrtCreateStream')
  }

  destroyStream(stream: Stream): void {
    this.check('aclrtDestroyStream', this.fn.aclrtDestroyStream(stream))
  }

  /** Blocks until everything enqueued on the stream is done. */
  synchronizeStream(stream: Stream): void {
    this.check('aclrtSynchronizeStream', this.fn.aclrtSynchronizeStream(stream))
  }

  /** An event that carries a time stamp. */
  createTimingEvent(): Event {
    const event: Out<Event> = [null]
    const withFlag = this.fn.aclrtCreateEventWithFlag
    if (withFlag) this.check('aclrtCreateEventWithFlag', withFlag(event, EVENT_TIME_LINE))
    else this.check('aclrtCreateEvent', this.fn.aclrtCreateEvent(event))
    return received(event, 'aclrtCreateEvent')
  }

  destroyEvent(event: Event): void {
    this.check('aclrtDestroyEvent', this.fn.aclrtDestroyEvent(event))
  }

  recordEvent(event: Event, stream: Stream): void {
    const status = this.fn.aclrtRecordEvent(event, stream)
    if (status !== ACL_SUCCESS) this.check('aclrtRecordEvent', status)
  }

  /**
   * Device milliseconds between two completed events. The ABI gives a 32-bit float; rounding to whole nanoseconds
   * removes the digits that only the conversion to a double adds.
   */
  elapsedMs(start: Event, end: Event): number {
    const out: Out<number> = [null]
    const status = this.fn.aclrtEventElapsedTime(out, start, end)
    if (status !== ACL_SUCCESS) this.check('aclrtEventElapsedTime', status)
    return Math.round(received(out, 'aclrtEventElapsedTime') * 1e6) / 1e6
  }

  /** Device memory, not initialised. @throws E_DEVICE_MEMORY */
  malloc(bytes: number): DevicePointer {
    const out: Out<DevicePointer> = [null]
    this.check('aclrtMalloc', this.fn.aclrtMalloc(out, bytes, MallocPolicy.HUGE_FIRST), { bytes })
    return received(out, 'aclrtMalloc')
  }

  free(pointer: DevicePointer): void {
    this.check('aclrtFree', this.fn.aclrtFree(pointer))
  }

  /** Page-locked host memory: only from there are asynchronous copies asynchronous. */
  mallocHost(bytes: number): HostPointer {
    const out: Out<HostPointer> = [null]
    this.check('aclrtMallocHost', this.fn.aclrtMallocHost(out, bytes), { bytes })
    return received(out, 'aclrtMallocHost')
  }

  freeHost(pointer: HostPointer): void {
    this.check('aclrtFreeHost', this.fn.aclrtFreeHost(pointer))
  }

  copyToDevice(target: DevicePointer, capacity: number, source: Uint8Array): void {
    const status = this.fn.aclrtMemcpy(target, capacity, source, source.byteLength, MemcpyKind.HOST_TO_DEVICE)
    this.check('aclrtMemcpy', status, { bytes: source.byteLength, capacity })
  }

  /** Copies device memory into an array that JavaScript owns; native memory is never exposed. */
  copyFromDevice(source: DevicePointer, bytes: number): Uint8Array {
    const target = new Uint8Array(bytes)
    if (bytes === 0) return target
    const status = this.fn.aclrtMemcpy(target, bytes, source, bytes, MemcpyKind.DEVICE_TO_HOST)
    this.check('aclrtMemcpy', status, { bytes })
    return target
  }

  /** Fills page-locked host memory. */
  copyToHost(target: HostPointer, capacity: number, source: Uint8Array): void {
    const status = this.fn.aclrtMemcpy(target, capacity, source, source.byteLength, MemcpyKind.HOST_TO_HOST)
    this.check('aclrtMemcpy', status, { bytes: source.byteLength, capacity })
  }

  /** Name of device 0's SoC, e.g. `Ascend310P3`; null when the release cannot tell. */
  socName(): string | null {
    return this.fn.aclrtGetSocName?.() ?? null
  }

  /** Memory of the current device: HBM where there is any, else DDR. Null when the release cannot tell. */
  memoryInfo(): MemoryInfo | null {
    const call = this.fn.aclrtGetMemInfo
    if (!call) return null
    for (const attribute of [MemoryAttribute.HBM, MemoryAttribute.DDR]) {
      const free: Out<number> = [null]
      const total: Out<number> = [null]
      this.check('aclrtGetMemInfo', call(attribute, free, total))
      const totalBytes = Number(received(total, 'aclrtGetMemInfo'))
      // An attribute the hardware lacks is answered with zeros and success.
      if (totalBytes > 0) return { freeBytes: Number(received(free, 'aclrtGetMemInfo')), totalBytes }
    }
    return null
  }

  /** Version of the API, e.g. `1.17.0`; null when the release cannot tell. */
  apiVersion(): string | null {
    const major: Out<number> = [null]
    const minor: Out<number> = [null]
    const patch: Out<number> = [null]
    const status = this.fn.aclrtGetVersion?.(major, minor, patch)
    return status === ACL_SUCCESS ? `${major[0]}.${minor[0]}.${patch[0]}` : null
  }

  /** Version of our simulator; null for the vendor's library, which lacks the symbol. */
  simulatorVersion(): string | null {
    return this.fn.ascendsim_version?.() ?? null
  }

  /** Momentary utilisation; null when the release cannot tell. Needs no context. */
  utilization(deviceId: number): Utilization | null {
    const call = this.fn.aclrtGetDeviceUtilizationRate
    if (!call) return null
    // Zeroed: the extension pointer must be NULL on input.
    const bytes = Buffer.alloc(UTILIZATION_BYTES)
    this.check('aclrtGetDeviceUtilizationRate', call(deviceId, bytes))
    return decodeUtilization(bytes)
  }
}
