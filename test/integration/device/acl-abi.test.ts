// The documented failures of the ABI itself, below our own checks: status, name and text of each.
import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileModel } from '../../../engine/compile/index.ts'
import { onnxRuntimeLibrary } from '../../../engine/device/index.ts'
import type { Context, DataBuffer, Dataset, DevicePointer, Stream } from '../../../native/acl/pointers.ts'
import { AclModel, AclRuntime, findSimulatorLibrary, MemcpyKind, RunMode } from '../../../native/acl/index.ts'
import { saveMatMul, temporaryFolder } from './models.ts'

// Read by the library when it is loaded; each test file is a process of its own.
process.env['ASCENDSIM_SOC'] = 'Ascend310P3'
process.env['ASCENDSIM_PACE'] = '0'
process.env['ASCENDSIM_ORT'] = onnxRuntimeLibrary() ?? ''
process.env['ASCENDSIM_MEMORY_BYTES'] = String(64 << 20)

const folder = temporaryFolder()
const om = path.join(folder, 'model.om')
let runtime: AclRuntime
let context: Context
let stream: Stream
let model: AclModel

/** The status and the message it left, as check() sees them. */
function failure(
  call: string,
  status: number,
): { status: unknown; name: unknown; reason: unknown; code: string } {
  try {
    runtime.check(call, status)
  } catch (error) {
    const { code, details } = error as { code: string; details: Record<string, unknown> }
    return { code, status: details['status'], name: details['name'], reason: details['reason'] }
  }
  throw new Error(`${call} succeeded`)
}

function dataset(pointer: DevicePointer, bytes: number): Dataset {
  const created = runtime.fn.aclmdlCreateDataset() as Dataset
  runtime.check(
    'add',
    runtime.fn.aclmdlAddDatasetBuffer(created, runtime.fn.aclCreateDataBuffer(pointer, bytes) as DataBuffer),
  )
  return created
}

beforeAll(async () => {
  const modelPath = saveMatMul(folder, 'model', 64)
  await compileModel({ modelPath, soc: 'Ascend310P3', precision: 'fp16', outputPath: om }, {})
  const { library } = findSimulatorLibrary()
  if (!library) throw new Error('the simulator is not built: npm run build:native')
  runtime = new AclRuntime(library)
})
afterAll(() => {
  model.dispose()
  runtime.destroyStream(stream)
  runtime.destroyContext(context)
  runtime.resetDevice(0)
  runtime.finalize()
  rmSync(folder, { recursive: true })
})

describe('before a device is set', () => {
  it('finalizing without initializing, initializing twice', () => {
    expect(failure('aclFinalize', runtime.fn.aclFinalize()).status).toBe(100037)
    runtime.init()
    expect(runtime.fn.aclInit(null)).toBe(100002)
    runtime.init()
  })

  it('memory without a context', () => {
    const call = failure('aclrtMalloc', runtime.fn.aclrtMalloc([null], 64, 0))
    expect(call).toMatchObject({
      code: 'E_DEVICE_CONTEXT',
      status: 107002,
      name: 'ACL_ERROR_RT_CONTEXT_NULL',
    })
    expect(call.reason).not.toBe('')
  })

  it('a device that does not exist', () => {
    expect(runtime.deviceCount()).toBe(1)
    expect(failure('aclrtSetDevice', runtime.fn.aclrtSetDevice(7))).toMatchObject({
      code: 'E_DEVICE_DRIVER',
      status: 107001,
      name: 'ACL_ERROR_RT_INVALID_DEVICEID',
    })
  })

  it('then opens', () => {
    runtime.setDevice(0)
    context = runtime.createContext(0)
    stream = runtime.createStream()
    expect(runtime.runMode()).toBe(RunMode.HOST)
    expect(runtime.socName()).toBe('Ascend310P3')
    expect(runtime.memoryInfo()?.totalBytes).toBe(64 << 20)
    expect(runtime.simulatorVersion()).toMatch(/^\d/)
    model = new AclModel(runtime, stream, om)
  })
})

describe('messages', () => {
  it('are there after a failure and gone after they were read', () => {
    runtime.fn.aclrtSetDevice(7)
    expect(runtime.fn.aclGetRecentErrMsg?.()).toContain('E')
    expect(runtime.fn.aclGetRecentErrMsg?.()).toBeNull()
  })
})

describe('memory', () => {
  it('copies there and back through JavaScript-owned arrays', () => {
    const data = Uint8Array.from({ length: 1000 }, (_, index) => index & 0xff)
    const pointer = runtime.malloc(1000)
    runtime.copyToDevice(pointer, 1000, data)
    expect(runtime.copyFromDevice(pointer, 1000)).toEqual(data)
    runtime.free(pointer)
  })

  it('refuses what does not fit', () => {
    expect(() => runtime.malloc(65 << 20)).toThrow(
      expect.objectContaining({ code: 'E_DEVICE_MEMORY' }) as Error,
    )
    const pointer = runtime.malloc(64)
    const copy = runtime.fn.aclrtMemcpy(pointer, 64, new Uint8Array(65), 65, MemcpyKind.HOST_TO_DEVICE)
    expect(failure('aclrtMemcpy', copy)).toMatchObject({ code: 'E_DEVICE_ARGUMENT', status: 100000 })
    runtime.free(pointer)
    expect(runtime.fn.aclrtFree(pointer)).not.toBe(0)
    expect(runtime.fn.aclGetRecentErrMsg?.()).not.toBeNull()
  })
})

describe('models', () => {
  it('unknown id', () => {
    const pointer = runtime.malloc(256)
    const [input, output] = [dataset(pointer, 256), dataset(pointer, 256)]
    expect(failure('aclmdlExecute', runtime.fn.aclmdlExecute(4711, input, output))).toMatchObject({
      code: 'E_DEVICE_MODEL_ID',
      status: 145003,
      name: 'ACL_ERROR_GE_EXEC_MODEL_ID_INVALID',
    })
    expect(failure('aclmdlUnload', runtime.fn.aclmdlUnload(4711)).code).toBe('E_DEVICE_MODEL_ID')
    runtime.free(pointer)
  })

  it('unloaded id', () => {
    const other = new AclModel(runtime, stream, om)
    other.dispose()
    other.dispose()
    expect(failure('aclmdlUnload', runtime.fn.aclmdlUnload(other.id)).status).toBe(145003)
  })

  it('an input buffer more than 64 bytes short is refused, one within them is accepted', () => {
    const pointer = runtime.malloc(256)
    const output = dataset(pointer, 256)
    const short = failure('aclmdlExecute', runtime.fn.aclmdlExecute(model.id, dataset(pointer, 191), output))
    expect(short).toMatchObject({
      code: 'E_DEVICE_ARGUMENT',
      status: 145000,
      name: 'ACL_ERROR_GE_PARAM_INVALID',
    })
    expect(short.reason).toMatch(/191/)
    runtime.check('aclmdlExecute', runtime.fn.aclmdlExecute(model.id, dataset(pointer, 192), output))
    runtime.free(pointer)
  })

  it('a missing file', () => {
    const load = failure(
      'aclmdlLoadFromFile',
      runtime.fn.aclmdlLoadFromFile(path.join(folder, 'nothing.om'), [null]),
    )
    expect(load).toMatchObject({ code: 'E_DEVICE_MODEL_FILE' })
    expect(load.reason).toContain('nothing.om')
  })

  it('events of a stream measure the modelled time', () => {
    model.setInputs({ x: new Uint8Array(256) })
    const first = model.run()
    const second = model.run()
    expect(second.executeMs).toBe(first.executeMs)
    expect(first.executeMs).toBeGreaterThan(0)
  })

  it('leaks no device memory over many loads', () => {
    const before = runtime.memoryInfo()?.freeBytes
    for (let load = 0; load < 50; load++) new AclModel(runtime, stream, om).dispose()
    expect(runtime.memoryInfo()?.freeBytes).toBe(before)
  })
})
