// Verdicts, the comparability guard, settings, and ais_bench's keys.
import { describe, expect, it } from 'vitest'
import { benchmarkResultSchema, defaultScenario, describeVerdictReason } from '../../../contract/benchmark.ts'
import { aisBenchSummary } from '../../../engine/benchmark/ais-bench.ts'
import { hashInputs, latencyRatio } from '../../../engine/benchmark/benchmark.ts'
import { incomparable } from '../../../engine/benchmark/comparability.ts'
import { resolveScenario, stopRuleOf } from '../../../engine/benchmark/scenario.ts'
import { summarizeLatencies } from '../../../engine/benchmark/statistics.ts'
import { driftOf, judge, type VerdictInput } from '../../../engine/benchmark/verdict.ts'
import { makeResult } from './results.ts'

function input(executeMs: number[], changes: Partial<VerdictInput> = {}): VerdictInput {
  return {
    scenario: defaultScenario('npu'),
    execute: summarizeLatencies(executeMs),
    executeMs,
    elapsedMs: 5000,
    warmup: { runs: 20, milliseconds: 2000 },
    deterministic: false,
    soc: 'Ascend310P3',
    costValidation: null,
    ...changes,
  }
}

const steady = (count: number, level = 10) =>
  Array.from({ length: count }, (_, index) => level + (index % 3) * 0.01)
const codes = (given: VerdictInput) => judge(given).reasons.map((reason) => reason.code)

describe('verdict', () => {
  it('is VALID without reasons for a long, steady, warm run', () => {
    expect(judge(input(steady(200)))).toEqual({ valid: true, reasons: [] })
  })

  it('is INVALID for too few runs, too short a time, no warm-up', () => {
    const verdict = judge(input(steady(30), { elapsedMs: 300, warmup: { runs: 0, milliseconds: 0 } }))
    expect(verdict.valid).toBe(false)
    expect(verdict.reasons.map((reason) => reason.code)).toEqual(['too-few-runs', 'too-short', 'no-warmup'])
    expect(verdict.reasons[0]?.message).toBe('Only 30 runs; 100 are needed.')
  })

  it('does not become valid by asking for less', () => {
    const scenario = { ...defaultScenario('npu'), minRuns: 5, minDurationMs: 0, loopCount: 5 }
    expect(codes(input(steady(5), { scenario, elapsedMs: 50 }))).toEqual(['too-few-runs', 'too-short'])
  })

  it('sees drift between the first and the last quarter', () => {
    const warming = Array.from({ length: 200 }, (_, index) => 10 + index * 0.01)
    expect(driftOf(warming)).toBeCloseTo(11.745 / 10.245 - 1, 9)
    expect(codes(input(warming))).toEqual(['drift'])
    expect(driftOf(steady(200))).toBeCloseTo(0, 2)
  })

  it('notes scatter and a short warm-up without failing', () => {
    const scattered = Array.from({ length: 200 }, (_, index) => (index % 10 === 0 ? 20 : 10))
    const verdict = judge(input(scattered, { warmup: { runs: 3, milliseconds: 30 } }))
    expect(verdict.valid).toBe(true)
    expect(verdict.reasons.map((reason) => reason.code)).toEqual(['short-warmup', 'noisy'])
  })

  it('labels simulated results and asks nothing of their duration', () => {
    const costValidation = {
      status: 'not validated',
      band: { factor: 2, share: null },
      text: 'derived',
    } as const
    const changes = {
      deterministic: true,
      elapsedMs: 1,
      warmup: { runs: 0, milliseconds: 0 },
      costValidation,
    }
    const verdict = judge(input([1, 1], changes))
    expect(verdict.valid).toBe(true)
    expect(verdict.reasons.map((reason) => reason.code)).toEqual(['simulated', 'cost-model-not-validated'])
  })

  it('speaks Chinese too', () => {
    const [reason] = judge(input(steady(30))).reasons
    expect(reason && describeVerdictReason(reason, 'zh')).toBe('仅运行 30 次，需要 100 次。')
  })
})

describe('comparability guard', () => {
  it('lets results through that differ in the model only', () => {
    const candidate = { ...makeResult([1, 1]), label: 'INT8', model: { ...makeResult().model, path: 'b.om' } }
    expect(incomparable(makeResult(), candidate)).toEqual([])
  })

  it('names every condition that differs, with both values', () => {
    const base = makeResult()
    const other = {
      ...makeResult(),
      device: { ...base.device, cannVersion: '8.1.RC1', driverVersion: null, intraOpThreads: 2 },
      clock: 'wall clock' as const,
      batch: 4,
      inputsHash: 'bb',
      harnessVersion: '2',
    }
    const fields = incomparable(base, other)
    expect(fields.map((item) => item.field)).toEqual([
      'cann',
      'driver',
      'clock',
      'threads',
      'inputs',
      'batch',
      'harness',
    ])
    expect(fields[0]).toEqual({ field: 'cann', baseline: '8.0.0', candidate: '8.1.RC1' })
    expect(fields[1]?.candidate).toBe('not reported, firmware 7.7.0.1.231')
  })

  it('hashes inputs by name, shape and bytes, not by order', () => {
    const one = { a: Uint8Array.of(1), b: Uint8Array.of(2) }
    expect(hashInputs(one)).toBe(hashInputs({ b: Uint8Array.of(2), a: Uint8Array.of(1) }))
    expect(hashInputs(one)).not.toBe(hashInputs({ a: Uint8Array.of(2), b: Uint8Array.of(1) }))
    expect(hashInputs(one)).not.toBe(hashInputs(one, { a: [1] }))
  })
})

describe('settings', () => {
  it('fills defaults by kind and honours a loop count exactly', () => {
    expect(resolveScenario({}, 'npu')).toMatchObject({
      minRuns: 100,
      minDurationMs: 3000,
      warmupRuns: 20,
      warmupMs: 2000,
    })
    expect(resolveScenario({}, 'simulated')).toMatchObject({ minDurationMs: 0, warmupRuns: 2, warmupMs: 0 })
    expect(stopRuleOf(resolveScenario({ loopCount: 7 }, 'cpu'))).toEqual({ kind: 'exact', runs: 7 })
    expect(stopRuleOf(resolveScenario({ minRuns: undefined }, 'cpu'))).toEqual({
      kind: 'minimum',
      runs: 100,
      milliseconds: 3000,
    })
  })

  it.each([{ loopCount: 0 }, { loopCount: 1.5 }, { warmupMs: -1 }, { blockRuns: Number.NaN }])(
    'refuses %j',
    (settings) => {
      expect(() => resolveScenario(settings, 'cpu')).toThrow(Object.keys(settings)[0])
    },
  )
})

describe('result', () => {
  it('fits its schema and compares by its samples', () => {
    expect(benchmarkResultSchema.parse(makeResult())).toEqual(makeResult())
    const exact = { deterministic: true }
    const ratio = latencyRatio({ ...makeResult([2, 2]), ...exact }, { ...makeResult([1, 1]), ...exact })
    expect(ratio).toMatchObject({ ratio: 0.5, method: 'exact' })
  })

  it("has ais_bench's keys, its median and its percentile (numpy.percentile of 1, 2, 3, 10 at 99 is 9.79)", () => {
    const summary = aisBenchSummary(makeResult([10, 1, 2, 3]))
    expect(Object.keys(summary.NPU_compute_time)).toEqual([
      'min',
      'max',
      'mean',
      'median',
      'percentile(99%)',
      'count',
    ])
    expect(summary.NPU_compute_time).toMatchObject({ min: 1, max: 10, mean: 4, median: 2.5, count: 4 })
    expect(summary.NPU_compute_time['percentile(99%)']).toBeCloseTo(9.79, 12)
    expect(summary.H2D_latency.count).toBe(0)
    expect(summary.npu_compute_time_list).toEqual([10, 1, 2, 3])
  })
})
