// Cost of the FFI: one synchronous ACL call, and one iteration of the benchmark loop against the same loop in C++.
// The C++ loop is compiled here against the simulator; pacing is off, so that only the calls themselves take time.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { compileModel } from '../../engine/compile/index.ts'
import { onnxRuntimeLibrary, openDevice, type DeviceSession } from '../../engine/device/index.ts'
import { DataType, makeNode, saveModel } from '../../engine/onnx/index.ts'
import { AclModel, AclRuntime, simulatorPath } from '../../native/acl/index.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const SOC = 'Ascend310P3'
const RUNS = 5000
const ROUNDS = 5
const ROOT = path.resolve(import.meta.dirname, '../..')

function simulatorVariables(): Record<string, string> {
  return { ASCENDSIM_SOC: SOC, ASCENDSIM_PACE: '0', ASCENDSIM_ORT: onnxRuntimeLibrary() ?? '' }
}

/** y = x + x over 16 floats, compiled: as little work on the device as a model can have. */
async function tinyModel(folder: string): Promise<string> {
  const value = (name: string) => ({
    name,
    elementType: DataType.FLOAT,
    shape: [{ value: 1 }, { value: 16 }],
  })
  const onnx = path.join(folder, 'tiny.onnx')
  const om = path.join(folder, 'tiny.om')
  saveModel(
    {
      irVersion: 8,
      producerName: 'bench',
      producerVersion: '',
      domain: '',
      modelVersion: 0n,
      docString: '',
      opsetImports: [{ domain: '', version: 17 }],
      metadata: [],
      graph: {
        name: 'tiny',
        nodes: [makeNode({ opType: 'Add', name: 'add', inputs: ['x', 'x'], outputs: ['y'] })],
        initializers: new Map(),
        inputs: [value('x')],
        initializerInputs: [],
        outputs: [value('y')],
        valueInfo: [],
      },
    },
    onnx,
  )
  await compileModel({ modelPath: onnx, soc: SOC, precision: 'fp16', outputPath: om }, {})
  return om
}

/** Mean microseconds of one call: the best of several passes, so that a busy machine does not decide. */
function callMicroseconds(call: () => void): number {
  const CALLS = 200_000
  let best = Infinity
  for (let pass = 0; pass < 7; pass++) {
    const start = performance.now()
    for (let index = 0; index < CALLS; index++) call()
    best = Math.min(best, ((performance.now() - start) * 1000) / CALLS)
  }
  return best
}

function ffiMetrics(om: string): Metric[] {
  Object.assign(process.env, simulatorVariables())
  const runtime = new AclRuntime({ kind: 'simulator', path: simulatorPath(), root: null })
  runtime.init()
  runtime.setDevice(0)
  const context = runtime.createContext(0)
  const stream = runtime.createStream()
  const model = new AclModel(runtime, stream, om)
  const { fn } = runtime
  const desc = fn.aclmdlCreateDesc()
  if (desc === null) throw new Error('aclmdlCreateDesc returned NULL')
  runtime.check('aclmdlGetDesc', fn.aclmdlGetDesc(desc, model.id))
  const mode: [number | null] = [null]
  const value = callMicroseconds(() => fn.aclmdlGetNumInputs(desc))
  const out = callMicroseconds(() => fn.aclrtGetRunMode(mode))
  runtime.check('aclmdlDestroyDesc', fn.aclmdlDestroyDesc(desc))
  model.dispose()
  runtime.destroyStream(stream)
  runtime.destroyContext(context)
  runtime.resetDevice(0)
  runtime.finalize()
  const metric = (name: string, microseconds: number): Metric => {
    return { name, value: microseconds, unit: 'us', target: '<= 1', ok: microseconds <= 1 }
  }
  return [metric('device.ffi_call_us', value), metric('device.ffi_out_pointer_call_us', out)]
}

function buildLoop(folder: string): string {
  const program = path.join(folder, 'device-loop')
  const library = path.dirname(simulatorPath())
  const flags = ['-O2', '-std=c++17', `-I${path.join(ROOT, 'native/simulator/include')}`]
  const link = [`-L${library}`, '-lascendcl', `-Wl,-rpath,${library}`]
  execFileSync('g++', [...flags, path.join(import.meta.dirname, 'device-loop.cpp'), '-o', program, ...link])
  return program
}

function nativeIteration(program: string, om: string): number {
  const env = { ...process.env, ...simulatorVariables() }
  return Number(execFileSync(program, [om, String(RUNS)], { env, encoding: 'utf8' }))
}

/** Mean of one iteration as the engine sees it: the loop, its turns of the event loop, and sending the samples back. */
async function sessionIteration(session: DeviceSession, handle: number): Promise<number> {
  const measure = (runs: number) =>
    session.measure({
      models: [{ handle, feeds: { x: new Uint8Array(64) } }],
      warmup: { runs: 0, milliseconds: 0 },
      stop: { kind: 'exact', runs },
      blockRuns: 10,
    })
  await measure(200)
  const start = performance.now()
  await measure(RUNS)
  return ((performance.now() - start) * 1000) / RUNS
}

async function loopMetrics(folder: string, om: string): Promise<Metric[]> {
  const program = buildLoop(folder)
  await using session = await openDevice(`sim:${SOC}`, { env: { ASCENDSIM_PACE: '0' } })
  const loaded = await session.loadModel(om)
  let native = Infinity
  let ours = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    native = Math.min(native, nativeIteration(program, om))
    ours = Math.min(ours, await sessionIteration(session, loaded.handle))
  }
  const overhead = ours - native
  return [
    { name: 'device.loop_us', value: ours, unit: 'us' },
    { name: 'device.loop_native_us', value: native, unit: 'us' },
    { name: 'device.loop_overhead_us', value: overhead, unit: 'us', target: '<= 20', ok: overhead <= 20 },
  ]
}

/** All figures of this file. */
export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'aqw-bench-device-'))
  try {
    const om = await tinyModel(folder)
    return [...ffiMetrics(om), ...(await loopMetrics(folder, om))]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
