// Summaries against published values: LoadGen's sample counts, numpy's percentiles, textbook standard deviations.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import {
  mean,
  percentileOfSorted,
  samplesNeeded,
  standardDeviation,
  summarizeLatencies,
} from '../../../engine/benchmark/statistics.ts'

describe('samples a percentile needs', () => {
  it.each([
    [0.9, 64],
    [0.95, 130],
    [0.97, 219],
    [0.99, 662],
    [0.999, 6636],
  ])('p%d needs %d (MLPerf LoadGen, confidence 0.99, tolerance 0)', (share, count) => {
    expect(samplesNeeded(share)).toBe(count)
  })
})

describe('percentiles', () => {
  // numpy.percentile([15, 20, 35, 40, 50], [5, 30, 40, 50, 95, 100]) -> 16, 23, 29, 35, 48, 50
  it.each([
    [0.05, 16],
    [0.3, 23],
    [0.4, 29],
    [0.5, 35],
    [0.95, 48],
    [1, 50],
  ])('matches numpy (linear) at %d', (share, value) => {
    expect(percentileOfSorted([15, 20, 35, 40, 50], share)).toBeCloseTo(value, 12)
  })

  it('stays within the samples and grows with the share', () => {
    const samples = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const sorted = Float64Array.from(values).sort()
        const value = percentileOfSorted(sorted, share)
        expect(value).toBeGreaterThanOrEqual(sorted[0] as number)
        expect(value).toBeLessThanOrEqual(sorted.at(-1) as number)
        expect(percentileOfSorted(sorted, Math.min(1, share + 0.1))).toBeGreaterThanOrEqual(value - 1e-9)
      }),
    )
  })
})

describe('mean and standard deviation', () => {
  // NIST/ITL StRD univariate data set NumAcc1: mean 10000002, sample standard deviation 1.
  it('meets NIST NumAcc1', () => {
    const values = [10000001, 10000003, 10000002]
    expect(mean(values)).toBe(10000002)
    expect(standardDeviation(values)).toBe(1)
  })

  it('meets NIST NumAcc2: 1.2, then 1.1 and 1.3 alternating, mean 1.2, deviation 0.1', () => {
    const values = [1.2, ...Array.from({ length: 1000 }, (_, index) => (index % 2 === 0 ? 1.1 : 1.3))]
    expect(mean(values)).toBeCloseTo(1.2, 12)
    expect(standardDeviation(values)).toBeCloseTo(0.1, 12)
  })

  it('has no spread for one sample', () => {
    expect(standardDeviation([3])).toBe(0)
  })
})

describe('summary', () => {
  const samples = (count: number) => Float64Array.from({ length: count }, (_, index) => index + 1)

  it.each([
    [63, null, null, null, null],
    [64, 57.7, null, null, null],
    [130, 117.1, 123.55, null, null],
    [662, 595.9, 628.95, 655.39, null],
    [6636, 5972.5, 6304.25, 6569.65, 6629.365],
  ])('shows only the percentiles that %d samples justify', (count, p90, p95, p99, p999) => {
    const summary = summarizeLatencies(samples(count))
    const close = (value: number | null, expected: number | null) => {
      if (expected === null) expect(value).toBeNull()
      else expect(value).toBeCloseTo(expected, 9)
    }
    close(summary.p90, p90)
    close(summary.p95, p95)
    close(summary.p99, p99)
    close(summary.p999, p999)
    expect(summary.needed).toEqual({ p50: 1, p90: 64, p95: 130, p99: 662, p999: 6636 })
  })

  it('does not depend on the order of the samples and leaves them alone', () => {
    const given = [3, 1, 2]
    expect(summarizeLatencies(given)).toMatchObject({ min: 1, max: 3, mean: 2, stddev: 1, p50: 2, count: 3 })
    expect(given).toEqual([3, 1, 2])
  })

  it.each([[[]], [[1, Number.NaN]], [[1, -0.1]], [[Number.POSITIVE_INFINITY]]])(
    'refuses %j',
    (values: number[]) => {
      expect(() => summarizeLatencies(values)).toThrow(AppError)
    },
  )
})
