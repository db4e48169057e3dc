// The timing loop with a fake device and a fake clock: stop rules, interleaving, warm-up, cancelling.
import { describe, expect, it } from 'vitest'
import type { MeasureRequest, RunTiming } from '../../../contract/device.ts'
import type { Progress } from '../../../contract/work.ts'
import { measureInterleaved } from '../../../engine/device/measure-loop.ts'

/** Models that take a fixed time of a fake clock per run; records which model ran when. */
function fakeDevice(runMs: Record<number, number>) {
  let clock = 0
  const order: number[] = []
  const prepared: number[] = []
  const backend = {
    prepare: (handle: number) => {
      prepared.push(handle)
      return (): RunTiming => {
        order.push(handle)
        clock += runMs[handle] ?? 0
        const executeMs = runMs[handle] ?? 0
        return { h2dMs: 0.1, executeMs, d2hMs: 0.2, executeWallMs: executeMs + 0.01 }
      }
    },
  }
  return { backend, order, prepared, now: () => clock }
}

function request(handles: number[], changes: Partial<MeasureRequest>): MeasureRequest {
  return {
    models: handles.map((handle) => ({ handle, feeds: {} })),
    warmup: { runs: 0, milliseconds: 0 },
    stop: { kind: 'exact', runs: 5 },
    blockRuns: 2,
    ...changes,
  }
}

const control = (
  now: () => number,
  cancelled = () => false,
  onProgress: (progress: Progress) => void = () => undefined,
) => ({
  now,
  cancelled,
  onProgress,
})

describe('stop rules', () => {
  it('honours an exact count, in blocks A A B B A A B B A B', async () => {
    const device = fakeDevice({ 1: 3, 2: 1 })
    const result = await measureInterleaved(
      device.backend,
      request([1, 2], {}),
      'device events',
      control(device.now),
    )
    expect(device.order).toEqual([1, 1, 2, 2, 1, 1, 2, 2, 1, 2])
    expect(result.models.map((model) => [...model.executeMs])).toEqual([Array(5).fill(3), Array(5).fill(1)])
    expect(result.models[0]?.blockStarts).toEqual([0, 2, 4])
    expect(result.models[0]?.elapsedMs).toBe(15)
    expect([...(result.models[1]?.h2dMs ?? [])]).toEqual(Array(5).fill(0.1))
    expect(result.models[1]?.executeWallMs[4]).toBeCloseTo(1.01, 12)
  })

  it('runs until both the count and the time are reached', async () => {
    const device = fakeDevice({ 1: 1, 2: 10 })
    const stop = { kind: 'minimum', runs: 30, milliseconds: 100 } as const
    const { models } = await measureInterleaved(
      device.backend,
      request([1, 2], { stop }),
      'wall clock',
      control(device.now),
    )
    for (const model of models) {
      expect(model.executeMs.length).toBeGreaterThanOrEqual(30)
      expect(model.elapsedMs).toBeGreaterThanOrEqual(100)
    }
    // The slow model needs its 30 runs and no more than a block beyond.
    expect(models[1]?.executeMs.length).toBeLessThanOrEqual(32)
  })

  it('keeps fast and slow models interleaved to the end', async () => {
    const device = fakeDevice({ 1: 1, 2: 4 })
    const stop = { kind: 'minimum', runs: 10, milliseconds: 400 } as const
    const { models } = await measureInterleaved(
      device.backend,
      request([1, 2], { stop }),
      'wall clock',
      control(device.now),
    )
    const [fast, slow] = models.map((model) => model.elapsedMs) as [number, number]
    expect(Math.abs(fast - slow)).toBeLessThanOrEqual(16)
    expect(device.order.slice(-20)).toContain(1)
    expect(device.order.slice(-20)).toContain(2)
  })

  it('goes on for models whose clock stands still', async () => {
    const device = fakeDevice({ 1: 0 })
    const stop = { kind: 'minimum', runs: 7, milliseconds: 0 } as const
    const { models } = await measureInterleaved(
      device.backend,
      request([1], { stop }),
      'wall clock',
      control(device.now),
    )
    expect(models[0]?.executeMs.length).toBe(8)
  })
})

describe('warm-up', () => {
  it('meets both minimums, is disclosed, and is not among the samples', async () => {
    const device = fakeDevice({ 1: 5, 2: 50 })
    const warmup = { runs: 20, milliseconds: 200 }
    const { models } = await measureInterleaved(
      device.backend,
      request([1, 2], { warmup }),
      'wall clock',
      control(device.now),
    )
    expect(models.map((model) => [model.warmupRuns, model.warmupMs])).toEqual([
      [40, 200],
      [20, 1000],
    ])
    expect(models[0]?.executeMs).toHaveLength(5)
  })

  it('is skipped when zero', async () => {
    const device = fakeDevice({ 1: 5 })
    const { models } = await measureInterleaved(
      device.backend,
      request([1], {}),
      'wall clock',
      control(device.now),
    )
    expect(models[0]?.warmupRuns).toBe(0)
    expect(device.order).toHaveLength(5)
  })
})

describe('control', () => {
  it('stages the inputs anew for every block, since models may share buffers', async () => {
    const device = fakeDevice({ 1: 1 })
    await measureInterleaved(device.backend, request([1, 1], {}), 'wall clock', control(device.now))
    expect(device.prepared).toHaveLength(6)
  })

  it('stops between two runs when cancelled', async () => {
    const device = fakeDevice({ 1: 60 })
    const cancelled = () => device.order.length >= 4
    const stop = { kind: 'exact', runs: 1000 } as const
    const running = measureInterleaved(
      device.backend,
      request([1], { stop }),
      'wall clock',
      control(device.now, cancelled),
    )
    await expect(running).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(device.order.length).toBeLessThan(8)
  })

  it('reports progress that never exceeds its total', async () => {
    const device = fakeDevice({ 1: 60 })
    const reports: Progress[] = []
    const stop = { kind: 'minimum', runs: 10, milliseconds: 2000 } as const
    const onProgress = (progress: Progress) => reports.push(progress)
    const all = request([1], { stop, warmup: { runs: 4, milliseconds: 0 } })
    await measureInterleaved(
      device.backend,
      all,
      'wall clock',
      control(device.now, () => false, onProgress),
    )
    expect(reports.map((report) => report.stage)).toEqual(expect.arrayContaining(['warmup', 'measure']))
    for (const { done, total } of reports) expect(done).toBeLessThanOrEqual(total)
  })
})
