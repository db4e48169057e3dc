// Whole benchmarks: A/B on the simulated NPU and on the host CPU.
import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { benchmarkResultSchema } from '../../../contract/benchmark.ts'
import { benchmark, incomparable, latencyRatio } from '../../../engine/benchmark/index.ts'
import { compileModel, type CompileResult } from '../../../engine/compile/index.ts'
import { openDevice } from '../../../engine/device/index.ts'
import { saveMatMul, temporaryFolder } from '../device/models.ts'

const folder = temporaryFolder()
const feeds = { x: new Uint8Array(512 * 4) }
const compiled: CompileResult[] = []

beforeAll(async () => {
  for (const layers of [2, 4]) {
    const modelPath = saveMatMul(folder, `layers${layers}`, 512, layers)
    const outputPath = path.join(folder, `layers${layers}.om`)
    compiled.push(await compileModel({ modelPath, soc: 'Ascend310P3', precision: 'fp16', outputPath }, {}))
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('on the simulated NPU', () => {
  it('compares two models exactly and reproducibly', async () => {
    await using session = await openDevice('sim:Ascend310P3', { env: { ASCENDSIM_PACE: '0' } })
    const models = []
    for (const { path: file, cost } of compiled) {
      const model = await session.loadModel(file)
      models.push({ label: path.basename(file), model, feeds, costValidation: cost.validation })
    }
    const results = await benchmark(session, models, { loopCount: 25 })
    const again = await benchmark(session, models, { loopCount: 25 })
    for (const [index, result] of results.entries()) {
      expect(benchmarkResultSchema.parse(result)).toEqual(result)
      expect(result).toMatchObject({ runs: 25, deterministic: true, batch: 1, interleavedWith: 1, blocks: 3 })
      expect(result.latencyMs.execute.mean).toBeCloseTo((compiled[index]?.cost.totalNs ?? 0) / 1e6, 5)
      expect(result.latencyMs.execute).toMatchObject({ stddev: 0, p90: null })
      expect(result.qps.execute).toBeCloseTo(1e9 / (compiled[index]?.cost.totalNs ?? 1), 0)
      expect(result.verdict).toMatchObject({ valid: true })
      expect(result.verdict.reasons[0]?.code).toBe('simulated')
      expect(result.warmup.runs).toBe(2)
      expect(result.samples.executeMs).toEqual(again[index]?.samples.executeMs)
    }
    const [two, four] = results
    if (!two || !four) throw new Error('two results expected')
    expect(incomparable(two, four)).toEqual([])
    const ratio = latencyRatio(two, four)
    expect(ratio.method).toBe('exact')
    expect(ratio.ratio).toBeCloseTo((compiled[1]?.cost.totalNs ?? 0) / (compiled[0]?.cost.totalNs ?? 1), 4)
    expect(ratio.noDifference).toBe(false)
  })
})

describe('on the host CPU', () => {
  it('measures both, interleaved, and refuses to call a short run valid', async () => {
    await using session = await openDevice('cpu', { intraOpThreads: 1 })
    const models = []
    for (const layers of [2, 4]) {
      const model = await session.loadModel(path.join(folder, `layers${layers}.onnx`))
      models.push({ label: `${layers} layers`, model, feeds })
    }
    const settings = { minRuns: 200, minDurationMs: 60, warmupRuns: 5, warmupMs: 0 }
    const [two, four] = await benchmark(session, models, settings)
    if (!two || !four) throw new Error('two results expected')
    for (const result of [two, four]) {
      expect(benchmarkResultSchema.parse(result)).toEqual(result)
      expect(result.runs).toBeGreaterThanOrEqual(200)
      expect(result.elapsedMs).toBeGreaterThanOrEqual(60)
      expect(result.latencyMs).toMatchObject({ h2d: null, d2h: null })
      expect(result.latencyMs.execute.p95).not.toBeNull()
      expect(result.latencyMs.endToEnd.mean).toBe(result.latencyMs.execute.mean)
      expect(result.memory.hostPeakBytes).toBeGreaterThan(1e7)
      expect(result.verdict.valid).toBe(false)
      expect(result.verdict.reasons.map((reason) => reason.code)).toContain('too-short')
    }
    expect(incomparable(two, four)).toEqual([])
    const ratio = latencyRatio(two, four)
    expect(ratio.method).toBe('bootstrap')
    expect(ratio.low).toBeLessThanOrEqual(ratio.ratio)
    expect(ratio.high).toBeGreaterThanOrEqual(ratio.ratio)
  })
})
