// A simulated NPU through the whole path: compiled model, device process, real ABI. Every documented failure, then work.
import { copyFileSync, mkdirSync, rmSync, truncateSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileModel, type CompileResult } from '../../../engine/compile/index.ts'
import {
  listDevices,
  onnxRuntimeLibrary,
  openDevice,
  type DeviceSession,
} from '../../../engine/device/index.ts'
import { DataType } from '../../../engine/onnx/index.ts'
import { asFloats, saveAdd, saveMatMul, temporaryFolder } from './models.ts'

const folder = temporaryFolder()
const om = (name: string) => path.join(folder, `${name}.om`)
const ones = (count: number, value = 1) => new Uint8Array(new Float32Array(count).fill(value).buffer)

/** Sets variables of this process; returns what puts the old values back. */
function setVariables(values: Record<string, string>): () => void {
  const previous = Object.keys(values).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, values)
  return () => {
    for (const [name, value] of previous) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

let session: DeviceSession
let compiled: CompileResult

const compile = (modelPath: string, name: string, soc = 'Ascend310P3') =>
  compileModel({ modelPath, soc, precision: 'fp16', outputPath: om(name) }, {})

beforeAll(async () => {
  compiled = await compile(saveMatMul(folder, 'small', 64, 3), 'small')
  session = await openDevice('sim:Ascend310P3', { env: { ASCENDSIM_PACE: '0' } })
})
afterAll(async () => {
  await session.close()
  rmSync(folder, { recursive: true })
})

describe('simulated NPU', () => {
  it('says that it is simulated, by which library, under which conditions', () => {
    expect(session.snapshot).toMatchObject({
      id: 'sim:Ascend310P3',
      kind: 'simulated',
      soc: 'Ascend310P3',
      clock: 'simulated device clock',
      cannVersion: null,
    })
    expect(session.snapshot.runtime.name).toBe('AscendCL simulator')
    expect(session.snapshot.runtime.path).toMatch(/libascendcl\.so$/)
    expect(session.snapshot.environment).toMatchObject({ ASCENDSIM_PACE: '0', ASCENDSIM_SOC: 'Ascend310P3' })
    expect(session.snapshot.memoryTotalBytes).toBeGreaterThan(2e10)
  })

  it('computes, and its execute time is the modelled latency', async () => {
    const loaded = await session.loadModel(om('small'))
    expect(loaded.inputs).toEqual([{ name: 'x', elementType: 'float32', dims: [1, 64], bytes: 256 }])
    expect(loaded.modelBytes).toBe(compiled.bytes)
    expect(loaded.deviceMemoryBytes).toBeGreaterThan(0)
    expect(loaded.weightBytes).toBe(compiled.manifest.weightBytes)
    const { outputs, timing } = await session.run(loaded.handle, { x: ones(64, 1.5) })
    expect(asFloats(Object.values(outputs)[0]?.data)).toEqual(new Array(64).fill(12))
    expect(timing.executeMs).toBeCloseTo(compiled.cost.totalNs / 1e6, 5)
    expect(timing.h2dMs).toBeGreaterThan(0)
    expect(timing.executeWallMs).toBeGreaterThan(0)
  })

  it('repeats its times exactly', async () => {
    const loaded = await session.loadModel(om('small'))
    const result = await session.measure({
      models: [{ handle: loaded.handle, feeds: { x: ones(64) } }],
      warmup: { runs: 1, milliseconds: 0 },
      stop: { kind: 'exact', runs: 50 },
      blockRuns: 20,
    })
    expect(result.clock).toBe('simulated device clock')
    expect(new Set(result.models[0]?.executeMs).size).toBe(1)
    expect(new Set(result.models[0]?.h2dMs).size).toBe(1)
    expect(result.models[0]?.executeMs).toHaveLength(50)
    expect(result.models[0]?.blockStarts).toEqual([0, 20, 40])
  })

  it('frees the memory of an unloaded model', async () => {
    const before = (await session.takeSnapshot()).memoryFreeBytes
    const loaded = await session.loadModel(om('small'))
    expect((await session.takeSnapshot()).memoryFreeBytes).toBeLessThan(before ?? 0)
    await session.unload(loaded.handle)
    expect((await session.takeSnapshot()).memoryFreeBytes).toBe(before)
  })

  it('runs the gear of the given batch', async () => {
    const gears = { kind: 'batch', values: [1, 4] } as const
    const modelPath = saveAdd(folder, 'gears', DataType.FLOAT, ['N', 8])
    await compileModel(
      {
        modelPath,
        soc: 'Ascend310P3',
        precision: 'fp16',
        outputPath: om('gears'),
        inputShapes: { x: [-1, 8] },
        gears: { kind: gears.kind, values: [...gears.values] },
      },
      {},
    )
    const loaded = await session.loadModel(om('gears'))
    expect(loaded.inputs.map((input) => [input.name, input.dims])).toEqual([['x', [-1, 8]]])
    const one = await session.run(loaded.handle, { x: ones(8) }, { x: [1, 8] })
    const four = await session.run(loaded.handle, { x: ones(32) }, { x: [4, 8] })
    const [small, large] = [Object.values(one.outputs)[0], Object.values(four.outputs)[0]]
    expect([small?.dims, large?.dims]).toEqual([
      [1, 8],
      [4, 8],
    ])
    expect(asFloats(small?.data)).toEqual(new Array(8).fill(2))
    expect(asFloats(large?.data)).toEqual(new Array(32).fill(2))
    await expect(session.run(loaded.handle, { x: ones(16) }, { x: [2, 8] })).rejects.toMatchObject({
      code: 'E_DEVICE_INPUT_SHAPE',
    })
  })

  it('executes a model as part of its probe', async () => {
    const probe = await session.probe(om('small'))
    expect(probe.ok).toBe(true)
    expect(probe.steps).toContain('copied 65536 bytes to the device and back')
    expect(probe.steps.at(-1)).toMatch(/^executed small\.om in 0\.0\d+ ms$/)
    const failed = await session.probe(om('missing'))
    expect(failed).toMatchObject({ ok: false, problem: { code: 'E_FILE_NOT_FOUND' } })
  })
})

describe('failures', () => {
  it('unknown and unloaded models', async () => {
    await expect(session.run(999, { x: ones(64) })).rejects.toMatchObject({ code: 'E_DEVICE_MODEL_ID' })
    const loaded = await session.loadModel(om('small'))
    await session.unload(loaded.handle)
    await expect(session.run(loaded.handle, { x: ones(64) })).rejects.toMatchObject({
      code: 'E_DEVICE_MODEL_ID',
    })
    await expect(session.unload(loaded.handle)).rejects.toMatchObject({ code: 'E_DEVICE_MODEL_ID' })
  })

  it('data of the wrong size, with both byte counts', async () => {
    const loaded = await session.loadModel(om('small'))
    await expect(session.run(loaded.handle, { x: ones(63) })).rejects.toThrow(
      /Input "x" of .*small\.om: 252 bytes given, 256 needed for float32 \[1, 64\]/,
    )
    await expect(session.run(loaded.handle, {})).rejects.toMatchObject({ code: 'E_DEVICE_INPUT_MISSING' })
  })

  it('an .om of another SoC', async () => {
    await compile(path.join(folder, 'small.onnx'), 'other', 'Ascend910B4')
    await expect(session.loadModel(om('other'))).rejects.toMatchObject({
      code: 'E_DEVICE_MODEL_SOC',
      details: { soc: 'Ascend310P3', device: 'sim:Ascend310P3', status: 500002 },
    })
  })

  it('files that are no .om', async () => {
    copyFileSync(om('small'), om('short'))
    truncateSync(om('short'), 700)
    copyFileSync(path.join(folder, 'small.onnx'), om('onnx'))
    for (const name of ['short', 'onnx']) {
      await expect(session.loadModel(om(name))).rejects.toMatchObject({ code: 'E_DEVICE_MODEL_FILE' })
    }
    await expect(session.loadModel(path.join(folder, 'small.onnx'))).rejects.toMatchObject({
      code: 'E_DEVICE_MODEL_FORMAT',
      details: { expected: '.om' },
    })
  })

  it('out of device memory, and the device stays usable', async () => {
    // 1024 x 1024 FP16 weights are 2 MiB; the device has 1 MiB.
    await compile(saveMatMul(folder, 'large', 1024), 'large')
    const env = { ASCENDSIM_PACE: '0', ASCENDSIM_MEMORY_BYTES: String(1 << 20) }
    await using tiny = await openDevice('sim:Ascend310P3', { env })
    expect(tiny.snapshot.memoryTotalBytes).toBe(1 << 20)
    await expect(tiny.loadModel(om('large'))).rejects.toMatchObject({ code: 'E_DEVICE_MEMORY' })
    expect((await tiny.takeSnapshot()).memoryFreeBytes).toBe(tiny.snapshot.memoryFreeBytes)
    const loaded = await tiny.loadModel(om('small'))
    const { outputs } = await tiny.run(loaded.handle, { x: ones(64) })
    expect(asFloats(Object.values(outputs)[0]?.data)[0]).toBe(8)
  })

  it('a killed device process: lost, then opened again', async () => {
    const first = await openDevice('sim:Ascend310P3')
    const loaded = await first.loadModel(om('small'))
    const measuring = first.measure({
      models: [{ handle: loaded.handle, feeds: { x: ones(64) } }],
      warmup: { runs: 1, milliseconds: 0 },
      stop: { kind: 'exact', runs: 10_000_000 },
      blockRuns: 10,
    })
    setTimeout(() => process.kill(first.pid, 'SIGKILL'), 150)
    await expect(measuring).rejects.toMatchObject({
      code: 'E_DEVICE_LOST',
      details: { device: 'sim:Ascend310P3', reason: 'signal SIGKILL' },
    })
    await using second = await openDevice('sim:Ascend310P3')
    const again = await second.loadModel(om('small'))
    expect((await second.run(again.handle, { x: ones(64) })).timing.executeMs).toBeGreaterThan(0)
  })

  it('a library that cannot be loaded, or is not there', async () => {
    const restore = setVariables({ ASCENDSIM_LIBRARY: path.join(folder, 'small.onnx') })
    try {
      await expect(openDevice('sim:Ascend310P3')).rejects.toMatchObject({ code: 'E_DEVICE_LIBRARY_LOAD' })
      process.env['ASCENDSIM_LIBRARY'] = path.join(folder, 'nothing.so')
      await expect(openDevice('sim:Ascend310P3')).rejects.toMatchObject({
        code: 'E_DEVICE_SIMULATOR_MISSING',
      })
    } finally {
      restore()
    }
  })
})

describe('a vendor-shaped installation', () => {
  it('is opened as npu:0, but our library in its place is still called simulated', async () => {
    const root = path.join(folder, 'cann')
    const library = session.snapshot.runtime.path ?? ''
    mkdirSync(path.join(root, 'lib64'), { recursive: true })
    copyFileSync(library, path.join(root, 'lib64/libascendcl.so'))
    const restore = setVariables({ ASCEND_HOME_PATH: root, ASCENDSIM_ORT: onnxRuntimeLibrary() ?? '' })
    try {
      await using npu = await openDevice('npu:0', { env: { ASCENDSIM_SOC: 'Ascend910B4' } })
      expect(npu.snapshot).toMatchObject({ id: 'npu:0', kind: 'simulated', soc: 'Ascend910B4' })
      expect(npu.snapshot.runtime.path).toBe(path.join(root, 'lib64/libascendcl.so'))
      await expect(openDevice('npu:5')).rejects.toMatchObject({
        code: 'E_DEVICE_UNKNOWN',
        details: { device: 'npu:5', available: ['npu:0'] },
      })
      const listed = await listDevices({ probeModelPath: om('small') })
      expect(
        listed.filter((device) => device.id.startsWith('npu:')).map(({ id, usable }) => [id, usable]),
      ).toEqual([['npu:0', true]])
      expect(listed.find((device) => device.id === 'sim:Ascend310P3')).toMatchObject({
        usable: true,
        probe: { ok: true },
      })
      expect(listed.find((device) => device.id === 'cpu')).toMatchObject({
        usable: true,
        clock: 'wall clock',
      })
    } finally {
      restore()
    }
  })

  it('lists an NPU as unusable, with the reason, where CANN is not installed', async () => {
    const listed = await listDevices({ probe: false })
    expect(listed[0]).toMatchObject({
      id: 'npu:0',
      usable: false,
      problem: { code: 'E_DEVICE_LIBRARY_MISSING' },
    })
    expect(listed.filter((device) => device.kind === 'simulated').length).toBeGreaterThan(10)
  })
})
