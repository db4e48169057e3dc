// The host CPU device in its own process, on real ONNX Runtime: results, errors at the door, death and reopening.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDevice, type DeviceSession } from '../../../engine/device/index.ts'
import { DataType } from '../../../engine/onnx/index.ts'
import { asFloats, floats, saveAdd, saveMatMul, temporaryFolder } from './models.ts'

const folder = temporaryFolder()
let session: DeviceSession

beforeAll(async () => {
  session = await openDevice('cpu', { intraOpThreads: 1 })
})
afterAll(async () => {
  await session.close()
  rmSync(folder, { recursive: true })
})

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('host CPU', () => {
  it('says what it is', () => {
    expect(session.snapshot).toMatchObject({ kind: 'cpu', clock: 'wall clock', intraOpThreads: 1, soc: null })
    expect(session.snapshot.runtime).toMatchObject({ name: 'ONNX Runtime', version: '1.30.0' })
    expect(session.pid).not.toBe(process.pid)
  })

  it('computes', async () => {
    const loaded = await session.loadModel(saveMatMul(folder, 'matmul', 4))
    expect(loaded.inputs).toEqual([{ name: 'x', elementType: 'float32', dims: [1, 4], bytes: 16 }])
    expect(loaded.modelBytes).toBeGreaterThan(64)
    const { outputs, timing } = await session.run(loaded.handle, { x: floats(1, -2, 3.5, 0) })
    expect(outputs['y']).toMatchObject({ elementType: 'float32', dims: [1, 4] })
    expect(asFloats(outputs['y']?.data)).toEqual([2, -4, 7, 0])
    expect(timing).toMatchObject({ h2dMs: null, d2hMs: null })
    expect(timing.executeMs).toBeGreaterThan(0)
    await session.unload(loaded.handle)
    await expect(session.run(loaded.handle, { x: floats(1, 2, 3, 4) })).rejects.toMatchObject({
      code: 'E_DEVICE_MODEL_ID',
    })
  })

  it('takes float16 inputs (which onnxruntime-node refuses when Float16Array exists)', async () => {
    const loaded = await session.loadModel(saveAdd(folder, 'half', DataType.FLOAT16, [3]))
    // 1.0, -2.0 and 0.5 in binary16; doubled: 2.0, -4.0, 1.0.
    const x = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x3800).buffer)
    const { outputs } = await session.run(loaded.handle, { x })
    const y = outputs['y']
    expect(y?.elementType).toBe('float16')
    expect([...new Uint16Array(new Uint8Array(y?.data ?? []).buffer)]).toEqual([0x4000, 0xc400, 0x3c00])
  })

  it('takes int64 inputs from unaligned bytes', async () => {
    const loaded = await session.loadModel(saveAdd(folder, 'long', DataType.INT64, [2]))
    const whole = new Uint8Array(17)
    whole.set(new Uint8Array(BigInt64Array.of(5n, -7n).buffer), 1)
    const { outputs } = await session.run(loaded.handle, { x: whole.subarray(1) })
    expect([...new BigInt64Array(new Uint8Array(outputs['y']?.data ?? []).buffer)]).toEqual([10n, -14n])
  })

  it('runs a dynamic batch with the shape of the data', async () => {
    const loaded = await session.loadModel(saveAdd(folder, 'dynamic', DataType.FLOAT, ['N', 2]))
    expect(loaded.inputs[0]).toMatchObject({ dims: [-1, 2], bytes: 0 })
    const { outputs } = await session.run(loaded.handle, { x: floats(1, 2, 3, 4, 5, 6) })
    expect(outputs['y']?.dims).toEqual([3, 2])
    const given = await session.run(loaded.handle, { x: floats(1, 2) }, { x: [1, 2] })
    expect(given.outputs['y']?.dims).toEqual([1, 2])
  })

  it('refuses wrong data at the door and goes on working', async () => {
    const loaded = await session.loadModel(saveMatMul(folder, 'refuse', 4))
    const run = (feeds: Record<string, Uint8Array>) => session.run(loaded.handle, feeds)
    await expect(run({ x: floats(1, 2, 3) })).rejects.toMatchObject({
      code: 'E_DEVICE_INPUT_SIZE',
      details: { actual: 12, expected: 16 },
    })
    await expect(run({})).rejects.toMatchObject({ code: 'E_DEVICE_INPUT_MISSING' })
    await expect(run({ x: floats(1, 2, 3, 4), z: floats(1) })).rejects.toMatchObject({
      code: 'E_DEVICE_INPUT_UNKNOWN',
    })
    const { outputs } = await run({ x: floats(1, 2, 3, 4) })
    expect(asFloats(outputs['y']?.data)).toEqual([2, 4, 6, 8])
  })

  it('refuses files it cannot run', async () => {
    const broken = path.join(folder, 'broken.onnx')
    writeFileSync(broken, 'not a model')
    mkdirSync(path.join(folder, 'folder.onnx'))
    writeFileSync(path.join(folder, 'model.om'), 'IMOD')
    await expect(session.loadModel(path.join(folder, 'missing.onnx'))).rejects.toMatchObject({
      code: 'E_FILE_NOT_FOUND',
    })
    await expect(session.loadModel(path.join(folder, 'folder.onnx'))).rejects.toMatchObject({
      code: 'E_FILE_READ',
    })
    await expect(session.loadModel(path.join(folder, 'model.om'))).rejects.toMatchObject({
      code: 'E_DEVICE_MODEL_FORMAT',
      details: { expected: '.onnx' },
    })
    await expect(session.loadModel(broken)).rejects.toThrow(/broken\.onnx/)
  })

  it('probes with a real run', async () => {
    const probe = await session.probe()
    expect(probe).toMatchObject({ ok: true })
    expect(probe.steps.at(-1)).toBe('executed a small model and checked its result')
  })
})

describe('the device process', () => {
  it('reports its death with the reason, fails what was running, and can be opened again', async () => {
    const first = await openDevice('cpu')
    const loaded = await first.loadModel(saveMatMul(folder, 'lost', 64, 4))
    const measuring = first.measure({
      models: [{ handle: loaded.handle, feeds: { x: new Uint8Array(256) } }],
      warmup: { runs: 1, milliseconds: 0 },
      stop: { kind: 'exact', runs: 10_000_000 },
      blockRuns: 10,
    })
    setTimeout(() => process.kill(first.pid, 'SIGKILL'), 100)
    await expect(measuring).rejects.toMatchObject({
      code: 'E_DEVICE_LOST',
      details: { device: 'cpu', reason: 'signal SIGKILL' },
    })
    await expect(first.loadModel(path.join(folder, 'lost.onnx'))).rejects.toMatchObject({
      code: 'E_DEVICE_LOST',
    })
    await first.close()
    await using second = await openDevice('cpu')
    const again = await second.loadModel(path.join(folder, 'lost.onnx'))
    const { outputs } = await second.run(again.handle, { x: new Uint8Array(256) })
    expect(outputs['y']?.dims).toEqual([1, 64])
  })

  it('stops a measurement when it is cancelled and stays usable', async () => {
    const loaded = await session.loadModel(saveMatMul(folder, 'cancel', 64, 4))
    const abort = new AbortController()
    const stages: string[] = []
    const measuring = session.measure(
      {
        models: [{ handle: loaded.handle, feeds: { x: new Uint8Array(256) } }],
        warmup: { runs: 0, milliseconds: 0 },
        stop: { kind: 'exact', runs: 10_000_000 },
        blockRuns: 10,
      },
      {
        signal: abort.signal,
        onProgress: (progress) => {
          stages.push(progress.stage)
          abort.abort()
        },
      },
    )
    await expect(measuring).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(stages[0]).toBe('measure')
    const { outputs } = await session.run(loaded.handle, { x: new Uint8Array(256) })
    expect(outputs['y']).toBeDefined()
  })

  it('ends when closed, twice is fine, and later calls say so', async () => {
    const closing = await openDevice('cpu')
    await closing.close()
    await closing.close()
    expect(isAlive(closing.pid)).toBe(false)
    await expect(closing.takeSnapshot()).rejects.toMatchObject({ code: 'E_DEVICE_CLOSED' })
  })
})
