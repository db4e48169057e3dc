// Percentile, KL, MSE, moving average and the automatic choice, against their definitions written down directly.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ACTIVATION_DEFAULTS, activationSchema } from '../../../contract/recipe.ts'
import { activationScaleOffset } from '../../../engine/calibration/grid.ts'
import { chooseRange, compareMethods } from '../../../engine/calibration/observers/auto.ts'
import {
  BinnedDistribution,
  clippingError,
  quantizationError,
  SampleDistribution,
} from '../../../engine/calibration/observers/distribution.ts'
import { GrowingHistogram } from '../../../engine/calibration/observers/histogram.ts'
import { createObserver, observerSpec } from '../../../engine/calibration/observers/index.ts'
import { entropyBins } from '../../../engine/calibration/observers/kl.ts'
import { mseRange, weightedError } from '../../../engine/calibration/observers/mse.ts'
import type { ClipRange, Observer } from '../../../engine/calibration/observers/observer.ts'
import { generate } from '../quantization/vectors.ts'
import { DATASETS, valuesOf, withOutliers } from './values.ts'

const METHODS = [
  'min_max',
  'max_abs',
  'moving_average',
  'percentile',
  'kl',
  'mse',
  'ifmr',
  'hfmg',
  'auto',
] as const

function observer(settings: object): Observer {
  return createObserver(observerSpec(activationSchema.parse(settings)), 1_000_000)
}

function rangeOf(settings: object, ...parts: Iterable<number>[]): ClipRange {
  const created = observer(settings)
  for (const part of parts) created.add(valuesOf(part))
  const { min, max } = created.range()
  return { min, max }
}

function histogramOf(data: Float32Array, capacity = 8192): GrowingHistogram {
  const histogram = new GrowingHistogram(capacity)
  histogram.add(valuesOf(data))
  return histogram
}

describe('percentile', () => {
  // numpy 2.4.6: quantile(gen(4096, 0.5, 1), [r, 1 - r], method='inverted_cdf') with r = (1 - p / 100) / 2, and
  // quantile(abs(gen(4096, 0.5, 1)), p / 100, method='inverted_cdf').
  const NUMPY = [
    [99.99, -0.9600647687911987, 2.84844970703125, 2.84844970703125],
    [99.9, -0.7786380648612976, 2.6998214721679688, 2.5317792892456055],
    [99, -0.3093873858451843, 2.3045332431793213, 2.1811115741729736],
    [97.3, -0.1133369505405426, 2.0981998443603516, 1.9652705192565918],
    [90, 0.17965224385261536, 1.8217148780822754, 1.6395988464355469],
  ] as const
  const data = generate(4096, 0.5, 1)
  const width = histogramOf(data).width

  it.each(NUMPY)("%d is numpy's to the width of a bin", (percentile, low, high, magnitude) => {
    const range = rangeOf({ method: 'percentile', percentile }, data)
    expect(Math.abs(range.min - low)).toBeLessThanOrEqual(width)
    expect(Math.abs(range.max - high)).toBeLessThanOrEqual(width)
    const symmetric = rangeOf({ method: 'percentile', percentile, symmetric: true }, data)
    const limit = Math.max(-symmetric.min, symmetric.max)
    expect(Math.abs(limit - magnitude)).toBeLessThanOrEqual(2 * width)
  })

  it('100 is the whole range', () => {
    const { min, max } = valuesOf(data)
    expect(rangeOf({ method: 'percentile', percentile: 100 }, data)).toEqual({ min, max })
  })

  it('holds at least its share of any data', () => {
    const numbers = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(numbers, fc.double({ min: 51, max: 100, noNaN: true }), (values, percentile) => {
        const { min, max } = rangeOf({ method: 'percentile', percentile }, values)
        const slack = histogramOf(Float32Array.from(values)).width
        const inside = values.filter((x) => x >= min - slack && x <= max + slack).length
        expect(inside).toBeGreaterThanOrEqual(Math.floor((percentile / 100) * values.length))
      }),
    )
  })
})

describe('KL', () => {
  /** NVIDIA's code, line by line: histogram.py, _compute_amax_entropy. */
  function slowDivergence(source: readonly number[], levels: number, kept: number): number {
    const bins = [...source]
    bins[0] = bins[1]!
    const group = Array.from({ length: kept }, (_, index) =>
      bins[index] === 0 ? -1 : Math.floor((index * levels) / kept + 1e-9),
    )
    const density = new Array<number>(levels).fill(0)
    const members = new Array<number>(levels).fill(0)
    group.forEach((level, index) => {
      if (level < 0) return
      density[level]! += bins[index]!
      members[level]!++
    })
    const q = group.map((level) => (level < 0 ? 0 : density[level]! / members[level]!))
    const p = bins.slice(0, kept)
    p[kept - 1]! += bins.slice(kept).reduce((sum, count) => sum + count, 0)
    const [sumP, sumQ] = [p, q].map((values) => values.reduce((sum, value) => sum + value, 0))
    if (sumQ === 0) return Infinity
    return p.reduce((sum, value, index) => {
      if (value === 0) return sum
      return sum + (value / sumP!) * Math.log(value / sumP! / (q[index]! / sumQ!))
    }, 0)
  }

  function slowBins(source: readonly number[], levels: number): [number, number[]] {
    const divergences: number[] = []
    for (let kept = levels; kept <= source.length; kept++) {
      divergences.push(slowDivergence(source, levels, kept))
    }
    return [levels + divergences.lastIndexOf(Math.min(...divergences)), divergences]
  }

  it('keeps the bins that the direct computation keeps', () => {
    for (const data of [DATASETS.g, DATASETS.relu, DATASETS.heavy, generate(2000, 3, 1)]) {
      for (const [bins, levels] of [
        [200, 16],
        [256, 32],
        [300, 128],
      ] as const) {
        const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
        const counts = new Float64Array(bins)
        for (const x of data) counts[Math.min(bins - 1, Math.floor((Math.abs(x) / largest) * bins))]!++
        const [expected, divergences] = slowBins([...counts], levels)
        const kept = entropyBins(counts, levels)
        // Equal divergences may differ in their last bit.
        expect(divergences[kept - levels]).toBeCloseTo(divergences[expected - levels]!, 9)
      }
    }
  })

  it("keeps any histogram's best, however sparse", () => {
    const counts = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1000 })), {
      minLength: 9,
      maxLength: 60,
    })
    fc.assert(
      fc.property(counts, (source) => {
        fc.pre(source.slice(1).some((count) => count > 0))
        const [, divergences] = slowBins(source, 8)
        const kept = entropyBins(Float64Array.from(source), 8)
        const least = Math.min(...divergences)
        if (Number.isFinite(least)) expect(divergences[kept - 8]).toBeCloseTo(least, 9)
      }),
    )
  })

  it('cuts outliers off', () => {
    const { min, max } = rangeOf({ method: 'kl' }, generate(100_000), [40, -25])
    expect(max).toBeLessThan(10)
    expect(min).toBeGreaterThan(-10)
    expect(max).toBeGreaterThan(2)
  })
})

describe('MSE', () => {
  it.each(Object.entries(DATASETS))('is not beaten by any range of a dense search on %s', (_, data) => {
    const bins = histogramOf(data).bins()
    const distribution = new BinnedDistribution(bins)
    const error = (range: ClipRange): number =>
      quantizationError(distribution, range, { symmetric: false, bits: 8 })
    const found = error(mseRange(distribution, { symmetric: false, bits: 8 }))
    for (let low = 0.025; low <= 1; low += 0.025) {
      for (let high = 0.025; high <= 1; high += 0.025) {
        expect(found).toBeLessThanOrEqual(1.02 * error({ min: bins.min * low, max: bins.max * high }))
      }
    }
  })

  it('cuts the outliers that IFMR cannot reach', () => {
    const data = withOutliers(1_000_000, 40, -25)
    const { min, max } = rangeOf({ method: 'mse' }, data)
    expect(max).toBeLessThan(20)
    expect(min).toBeGreaterThan(-20)
    expect(rangeOf({ method: 'ifmr', max_percentile: 1, min_percentile: 1 }, data).max).toBeGreaterThan(27)
  })
})

describe('moving average', () => {
  it("is PyTorch's: the first run sets the ends, later ones move them", () => {
    const settings = { method: 'moving_average', averaging_constant: 0.25 }
    expect(rangeOf(settings, [-1, 2], [-3, 2], [0, 10])).toEqual({ min: -1.125, max: 4 })
  })

  it('with constant 1 is the last run', () => {
    expect(rangeOf({ method: 'moving_average', averaging_constant: 1 }, [-1, 9], [-3, 2])).toEqual({
      min: -3,
      max: 2,
    })
  })
})

describe('auto', () => {
  it('has the least error of all methods on every data set, clipping counted eightfold, value by value', () => {
    for (const data of [...Object.values(DATASETS), withOutliers(200_000, 40)]) {
      for (const symmetric of [false, true]) {
        const exact = new SampleDistribution(data.slice())
        const error = (range: ClipRange): number => weightedError(exact, range, { symmetric, bits: 8 }, 8)
        const best = error(rangeOf({ method: 'auto', symmetric }, data))
        for (const method of METHODS.filter((name) => name !== 'max_abs' || symmetric)) {
          // The histogram knows an error to a few percent.
          expect(best).toBeLessThanOrEqual(1.03 * error(rangeOf({ method, symmetric }, data)))
        }
      }
    }
  })

  it('is never worse than the whole range, in plain squared error too', () => {
    for (const data of [...Object.values(DATASETS), withOutliers(200_000, 40)]) {
      const exact = new SampleDistribution(data.slice())
      const error = (range: ClipRange): number =>
        quantizationError(exact, range, { symmetric: false, bits: 8 })
      const whole = error(rangeOf({ method: 'min_max' }, data))
      expect(error(rangeOf({ method: 'auto' }, data))).toBeLessThanOrEqual(1.03 * whole)
    }
  })

  it('names the winner and rates every candidate', () => {
    const data = withOutliers(200_000, 40)
    const created = observer({ method: 'auto' })
    created.add(valuesOf(data))
    const bins = histogramOf(data, ACTIVATION_DEFAULTS.bins).bins()
    const spec = observerSpec(activationSchema.parse({ method: 'auto' }))
    const candidates = compareMethods(bins, rangeOf({ method: 'min_max' }, data), spec)
    const best = chooseRange(bins, candidates, spec)
    expect(created.range()).toEqual({ ...best.range, method: best.method, candidates })
    expect(best.method).not.toBe('min_max')
    expect(best.sqnrDb).toBeGreaterThan(candidates[0]?.sqnrDb ?? Infinity)
  })
})

describe('clipping error', () => {
  it('is what the clipped values lose, or less', () => {
    const values = Float32Array.of(-9, -7, -1, 0, 0.5, 1, 4, 8)
    const distribution = new SampleDistribution(values.slice())
    const range = { min: -2, max: 3.1 }
    // Scale 0.02, offset -28: the grid ends at -2 and 3.1.
    const exact = [-9, -7].reduce((sum, x) => sum + (x + 2) ** 2, 0) + (4 - 3.1) ** 2 + (8 - 3.1) ** 2
    const found = clippingError(distribution, range, { symmetric: false, bits: 8 })
    expect(found).toBeLessThanOrEqual(exact * (1 + 1e-6))
    // Two values at either end: their mean tells half of their spread at least.
    expect(found).toBeCloseTo(2 * (-8 + 2) ** 2 + 2 * (6 - 3.1) ** 2, 3)
    expect(clippingError(distribution, { min: -9, max: 8 }, { symmetric: false, bits: 8 })).toBeLessThan(0.01)
  })
})

describe('every method', () => {
  const data = generate(5000, 1.7, 0.2)

  it.each(METHODS)('%s: permuting samples changes nothing', (method) => {
    if (method === 'moving_average' || method === 'hfmg') return
    const parts = [data.subarray(0, 1000), data.subarray(1000, 1100), data.subarray(1100)]
    expect(rangeOf({ method }, ...parts.toReversed())).toEqual(rangeOf({ method }, ...parts))
  })

  it.each(METHODS)('%s: scaling the data scales the scale', (method) => {
    const scaleOf = (range: ClipRange): number =>
      activationScaleOffset(range.min, range.max, method === 'max_abs').scale
    const scale = scaleOf(rangeOf({ method }, data))
    expect(
      scaleOf(
        rangeOf(
          { method },
          data.map((x) => x * 8),
        ),
      ),
    ).toBe(8 * scale)
    const scaled = scaleOf(
      rangeOf(
        { method },
        data.map((x) => x * 3.7),
      ),
    )
    expect(Math.abs(scaled / (3.7 * scale) - 1)).toBeLessThan(0.05)
  })

  it.each(METHODS)('%s: takes zeros, constants, one value and nothing', (method) => {
    expect(rangeOf({ method })).toMatchObject({ min: 0, max: 0 })
    for (const values of [[0, 0, 0], [5], [-2, -2], [1e-30], [1e38, -1e38]]) {
      const { min, max } = rangeOf({ method }, values)
      expect(Number.isFinite(min) && Number.isFinite(max)).toBe(true)
      expect(min).toBeLessThanOrEqual(max)
    }
  })

  it.each(METHODS)('%s: stays near the data', (method) => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 50 }),
        fc.boolean(),
        (values, symmetric) => {
          const { min, max } = rangeOf({ method, symmetric: symmetric || method === 'max_abs' }, values)
          const largest = Math.max(...values.map(Math.abs))
          expect(Math.max(-min, max)).toBeLessThanOrEqual(1.3 * largest + 1e-6)
        },
      ),
      { numRuns: 30 },
    )
  })
})
