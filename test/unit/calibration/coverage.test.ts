// Coverage against figures computed by hand, and what of a tensor's statistics holds for any data.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { observerSpec } from '../../../engine/calibration/index.ts'
import {
  coverageOf,
  CoverageTracker,
  type CoveredTensor,
  gridRange,
  growthOf,
  isGrowing,
  sampleCoverage,
  tailLength,
} from '../../../engine/calibration/report/coverage.ts'
import { displayHistogram, summarizeChannels } from '../../../engine/calibration/report/display.ts'
import { TensorStatistics } from '../../../engine/calibration/report/tensor.ts'
import { GrowingHistogram } from '../../../engine/calibration/observers/histogram.ts'
import { tensorReportSchema } from '../../../contract/calibration.ts'

function values(...data: number[]): { data: Float32Array; min: number; max: number } {
  return { data: Float32Array.from(data), min: Math.min(...data), max: Math.max(...data) }
}

describe('growth and clipping', () => {
  it('are those computed by hand', () => {
    const tracker = new CoverageTracker(false)
    expect(tracker.add(values(1, 2, 3, 4))).toEqual({ min: 1, max: 4, growth: 1, clipped: 1 })
    // Inside [0, 4].
    expect(tracker.add(values(2, 3))).toEqual({ min: 2, max: 3, growth: 0, clipped: 0 })
    // [0, 4] becomes [0, 5]: a fifth is new, one value of four lies outside.
    expect(tracker.add(values(0.5, 1, 2, 5))).toEqual({ min: 0.5, max: 5, growth: 1 - 4 / 5, clipped: 0.25 })
    // [0, 5] becomes [-5, 5].
    expect(tracker.add(values(-5, -1))).toEqual({ min: -5, max: -1, growth: 0.5, clipped: 1 })
  })

  it('of a symmetric grid count the larger side only', () => {
    const tracker = new CoverageTracker(true)
    tracker.add(values(-4, 1))
    expect(tracker.add(values(3))).toMatchObject({ growth: 0, clipped: 0 })
    expect(tracker.add(values(8, 1))).toMatchObject({ growth: 0.5, clipped: 0.5 })
  })

  it('lie between 0 and 1 and grow only when something is outside', () => {
    const arrays = fc.array(
      fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 20 }),
      { minLength: 1, maxLength: 10 },
    )
    fc.assert(
      fc.property(arrays, fc.boolean(), (runs, symmetric) => {
        const tracker = new CoverageTracker(symmetric)
        runs.forEach((run, index) => {
          const { growth, clipped } = tracker.add(values(...run))
          expect(growth).toBeGreaterThanOrEqual(0)
          expect(growth).toBeLessThanOrEqual(1)
          if (index > 0 && growth > 0) expect(clipped).toBeGreaterThan(0)
          if (growth === 0) expect(clipped).toBe(0)
        })
      }),
    )
  })

  it('take ranges with zero', () => {
    expect(gridRange({ min: 2, max: 3 }, false)).toEqual({ min: 0, max: 3 })
    expect(gridRange({ min: -3, max: 1 }, true)).toEqual({ min: -3, max: 3 })
    expect(growthOf({ min: 0, max: 0 }, { min: 0, max: 0 })).toBe(0)
  })
})

describe('the verdict', () => {
  /** A tensor with the given growth in its last samples; every other sample adds nothing. */
  function tensor(name: string, count: number, last: { growth: number; clipped: number }): CoveredTensor {
    const samples = Array.from({ length: count }, (_, index) =>
      index === 0
        ? { min: 0, max: 1, growth: 1, clipped: 1 }
        : index === count - 1
          ? { min: 0, max: 1, ...last }
          : { min: 0, max: 1, growth: 0, clipped: 0 },
    )
    return { tensor: name, layer: `${name} reader`, samples, single: 0 }
  }
  const names = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ name: `s${index}`, index, timestep: index * 10 }))
  const judge = (count: number, ...tensors: CoveredTensor[]) =>
    coverageOf(sampleCoverage(names(count), tensors), tensors)

  it('needs both limits passed in the last quarter', () => {
    expect(judge(8, tensor('a', 8, { growth: 0.5, clipped: 0.00009 })).verdict).toBe('enough')
    expect(judge(8, tensor('a', 8, { growth: 0.01, clipped: 0.5 })).verdict).toBe('enough')
    expect(isGrowing({ growth: 0.0101, clipped: 0.0001 })).toBe(true)
    const found = judge(
      8,
      tensor('a', 8, { growth: 0.02, clipped: 0.001 }),
      tensor('b', 8, { growth: 0, clipped: 0 }),
      tensor('c', 8, { growth: 0.4, clipped: 0.2 }),
    )
    expect(found).toMatchObject({
      verdict: 'not_enough',
      tail_samples: 2,
      growing_tensors: 2,
      growing_steps: [{ timestep: 70, tensors: 2 }],
    })
    expect(found.growing.map((entry) => [entry.tensor, entry.layer, entry.sample, entry.timestep])).toEqual([
      ['c', 'c reader', 's7', 70],
      ['a', 'a reader', 's7', 70],
    ])
    expect(found.advice[0]?.en).toMatch(/2 of 3 tensors still grow.*time steps 70/)
  })

  it('is not given for fewer than eight samples', () => {
    expect(judge(7, tensor('a', 7, { growth: 0, clipped: 0 })).verdict).toBe('too_few')
    expect([1, 4, 5, 8, 24].map(tailLength)).toEqual([1, 1, 2, 2, 6])
  })

  it('says after which sample nothing grew', () => {
    const quiet = tensor('a', 12, { growth: 0, clipped: 0 })
    const samples = quiet.samples.map((sample, index) =>
      index === 3 ? { ...sample, growth: 0.3, clipped: 0.1 } : sample,
    )
    expect(judge(12, { ...quiet, samples }).advice[0]?.en).toMatch(/From sample 5 of 12 on/)
  })
})

describe('a tensor', () => {
  const spec = observerSpec({ method: 'auto' })
  const runs = [
    { index: 2, timestep: 30 },
    { index: 0, timestep: 10 },
    { index: 1, timestep: 10 },
  ]

  it('is reported by sample, by step, and without its largest sample', () => {
    const statistics = new TensorStatistics(
      { tensor: 'x', spec, layers: [{ name: 'l', op_type: 'Conv' }] },
      0,
    )
    statistics.add(0, values(0, 1, 2))
    statistics.add(1, values(-1, 3))
    statistics.add(2, values(0, 10))
    const report = statistics.report(runs)
    expect(report).toMatchObject({ elements: 7, min: -1, max: 10, symmetric: false })
    expect(report.steps).toEqual([
      { timestep: 10, samples: 2, min: -1, max: 10 },
      { timestep: 30, samples: 1, min: 0, max: 2 },
    ])
    expect(report.step_ratio).toBe(11 / 2)
    // Without the third sample [-1, 10] is [-1, 3].
    expect(report.leave_one_out).toEqual({ sample: 2, shrinks: 1 - 4 / 11 })
    // Order of the data: the runs with index 0, 1, 2; each moves the ends by a hundredth.
    const average = report.methods.find(({ method }) => method === 'moving_average')
    expect(average?.min).toBeCloseTo(-1 * 0.99 * 0.99, 12)
    expect(average?.max).toBeCloseTo((3 + 0.01 * (10 - 3)) * 0.99 + 0.02, 12)
    expect(report.methods.find(({ method }) => method === 'min_max')).toMatchObject({
      clipped: 0,
      min: -1,
      max: 10,
    })
    expect(tensorReportSchema.parse({ ...report, channels: null })).toEqual({ ...report, channels: null })
  })

  it('of zeros only, or never there, has no best method', () => {
    const zeros = new TensorStatistics({ tensor: 'x', spec, layers: [] }, 0)
    zeros.add(0, values(0, 0))
    expect(zeros.report([runs[0] ?? { index: 0, timestep: null }]).chosen).toMatchObject({
      method: 'min_max',
      scale: 1,
      sqnr_db: null,
    })
    const empty = new TensorStatistics({ tensor: 'x', spec, layers: [] }, 0).report(runs)
    expect(empty).toMatchObject({ elements: 0, min: 0, max: 0, histogram: { counts: [] } })
    expect(empty.samples).toHaveLength(3)
    expect(tensorReportSchema.parse({ ...empty, channels: null })).toEqual({ ...empty, channels: null })
  })

  it('takes the range of the method that the recipe names', () => {
    const data = values(...Array.from({ length: 2000 }, (_, index) => Math.sin(index) ** 3), 40)
    for (const method of [
      'min_max',
      'max_abs',
      'percentile',
      'kl',
      'mse',
      'ifmr',
      'hfmg',
      'moving_average',
    ] as const) {
      const statistics = new TensorStatistics(
        { tensor: 'x', spec: observerSpec({ method }), layers: [] },
        10_000,
      )
      statistics.add(0, data)
      const { chosen, methods, best } = statistics.report([{ index: 0, timestep: null }])
      expect(chosen.method).toBe(method)
      const top = Math.max(...methods.map((entry) => entry.sqnr_db ?? -Infinity))
      expect(methods.find((entry) => entry.method === best)?.sqnr_db).toBe(top)
    }
  })
})

describe('what is shown', () => {
  it('folds a histogram without losing a count', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), {
          minLength: 1,
          maxLength: 400,
        }),
        (data) => {
          const histogram = new GrowingHistogram(8192)
          histogram.add(values(...data))
          const shown = displayHistogram(histogram.bins())
          expect(shown.counts.length).toBeLessThanOrEqual(256)
          expect(shown.counts.reduce((sum, count) => sum + count, 0)).toBe(data.length)
          expect(shown.low).toBeLessThanOrEqual(Math.min(...data))
          expect(shown.low + shown.width * shown.counts.length).toBeGreaterThanOrEqual(Math.max(...data))
        },
      ),
    )
  })

  it('names channels above six times the median, the largest eight', () => {
    const absMax = Float32Array.from({ length: 20 }, (_, channel) => (channel < 9 ? 7 + channel : 1))
    const statistics = { min: absMax, max: absMax, absMax, mean: absMax }
    const summary = summarizeChannels(statistics, 1)
    expect(summary).toMatchObject({
      channels: 20,
      median: 1,
      smallest: 1,
      largest: 15,
      outlier_channels: 9,
      group: 1,
    })
    expect(summary.outliers.map(({ channel }) => channel)).toEqual([8, 7, 6, 5, 4, 3, 2, 1])
    expect(summary.outliers[0]).toEqual({ channel: 8, abs_max: 15, ratio: 15 })
    const wide = new Float32Array(1000).fill(0)
    wide[999] = 3
    const folded = summarizeChannels({ ...statistics, absMax: wide }, -1)
    expect([folded.group, folded.abs_max.length, folded.abs_max.at(-1)]).toEqual([4, 250, 3])
    expect(folded.outliers).toEqual([{ channel: 999, abs_max: 3, ratio: null }])
  })
})
