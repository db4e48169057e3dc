// The interval of a ratio: coverage on simulated data, determinism, and the exact case.
import { describe, expect, it } from 'vitest'
import { bootstrapRatio } from '../../../engine/benchmark/bootstrap.ts'
import { createRandom, randomIndex } from '../../../engine/common/random.ts'

/** Gamma-like latencies: a floor plus a sum of exponentials, as real latencies are skewed to the right. */
function latencies(next: () => number, count: number, floor: number): number[] {
  const exponential = () => -Math.log((next() + 1) / 0x1_0000_0001)
  return Array.from({ length: count }, () => floor + 0.2 * (exponential() + exponential()))
}

describe('sfc32', () => {
  it('repeats for a seed and differs between seeds', () => {
    const draw = (seed: number) => {
      const next = createRandom(seed)
      return Array.from({ length: 8 }, () => next())
    }
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it('fills 16 cells evenly (chi-square below its 99.9 % point, 15 degrees of freedom)', () => {
    const next = createRandom(1)
    const cells = new Array<number>(16).fill(0)
    for (let draw = 0; draw < 160_000; draw++) {
      const cell = randomIndex(next, 16)
      cells[cell] = (cells[cell] ?? 0) + 1
    }
    const chiSquare = cells.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)
    expect(chiSquare).toBeLessThan(37.7)
  })
})

describe('bootstrap of the ratio', () => {
  it('covers the true ratio in about 95 of 100 experiments', () => {
    const next = createRandom(42)
    const experiments = 400
    let covered = 0
    // Both means are floor + 0.4, so the true ratio is 1.4 / 2.4.
    for (let experiment = 0; experiment < experiments; experiment++) {
      const interval = bootstrapRatio(latencies(next, 120, 2), latencies(next, 120, 1), {
        seed: experiment,
        resamples: 400,
      })
      if (interval.low <= 1.4 / 2.4 && 1.4 / 2.4 <= interval.high) covered++
    }
    // Binomial(400, 0.95) has a standard deviation of 1.1 points; the percentile method falls a little short of 95.
    expect(covered / experiments).toBeGreaterThan(0.91)
    expect(covered / experiments).toBeLessThan(0.985)
  })

  it('says "no difference" for the same distribution and a difference for a shifted one', () => {
    const next = createRandom(3)
    const same = bootstrapRatio(latencies(next, 200, 2), latencies(next, 200, 2))
    expect(same.noDifference).toBe(true)
    const faster = bootstrapRatio(latencies(next, 200, 2), latencies(next, 200, 1))
    expect(faster.noDifference).toBe(false)
    expect(faster.high).toBeLessThan(1)
    expect(faster.low).toBeLessThanOrEqual(faster.ratio)
    expect(faster.high).toBeGreaterThanOrEqual(faster.ratio)
  })

  it('is reproducible for a seed', () => {
    const next = createRandom(9)
    const [baseline, candidate] = [latencies(next, 150, 2), latencies(next, 150, 2)]
    expect(bootstrapRatio(baseline, candidate, { seed: 5 })).toEqual(
      bootstrapRatio(baseline, candidate, { seed: 5 }),
    )
    expect(bootstrapRatio(baseline, candidate, { seed: 6 }).low).not.toBe(
      bootstrapRatio(baseline, candidate, { seed: 5 }).low,
    )
  })

  it('widens the interval when blocks differ from one another, which single runs would hide', () => {
    const next = createRandom(11)
    const blocks = 30
    const perBlock = 20
    const drifting = (floor: number) =>
      Array.from({ length: blocks }, () => latencies(next, 1, floor)[0] as number).flatMap((level) =>
        latencies(next, perBlock, level),
      )
    const starts = Array.from({ length: blocks }, (_, block) => block * perBlock)
    const [baseline, candidate] = [drifting(2), drifting(2)]
    const single = bootstrapRatio(baseline, candidate)
    const grouped = bootstrapRatio(baseline, candidate, {
      blockStarts: { baseline: starts, candidate: starts },
    })
    expect(grouped.high - grouped.low).toBeGreaterThan((single.high - single.low) * 1.5)
    expect(grouped.ratio).toBe(single.ratio)
  })

  it('is exact for deterministic samples', () => {
    const ratio = bootstrapRatio([2, 2, 2], [1, 1, 1], { deterministic: true })
    expect(ratio).toMatchObject({ ratio: 0.5, low: 0.5, high: 0.5, method: 'exact', noDifference: false })
    expect(bootstrapRatio([2, 2], [2, 2], { deterministic: true }).noDifference).toBe(true)
  })

  it('keeps large sample sets cheap without changing the ratio', () => {
    const next = createRandom(21)
    const baseline = latencies(next, 50_000, 2)
    const candidate = latencies(next, 50_000, 2)
    const interval = bootstrapRatio(baseline, candidate, { resamples: 500 })
    expect(interval.low).toBeLessThan(interval.ratio)
    expect(interval.high).toBeGreaterThan(interval.ratio)
    // Standard error of each mean: 0.2 * sqrt(2) / sqrt(50000), relative to a mean of 2.4.
    const expectedWidth = 2 * 1.96 * Math.SQRT2 * ((0.2 * Math.SQRT2) / Math.sqrt(50_000) / 2.4)
    expect(interval.high - interval.low).toBeGreaterThan(expectedWidth * 0.8)
    expect(interval.high - interval.low).toBeLessThan(expectedWidth * 1.2)
  })

  it('refuses empty and impossible samples', () => {
    expect(() => bootstrapRatio([], [1])).toThrow(/no samples/i)
    expect(() => bootstrapRatio([1], [Number.NaN])).toThrow(/Sample 0/)
  })
})
