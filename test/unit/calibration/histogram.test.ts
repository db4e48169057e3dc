// The growing histogram: nothing is lost when its range grows, and only the values decide what it holds.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BinnedDistribution, SampleDistribution } from '../../../engine/calibration/observers/distribution.ts'
import { binWidth, coarser, GrowingHistogram } from '../../../engine/calibration/observers/histogram.ts'
import { generate } from '../quantization/vectors.ts'
import { valuesOf } from './values.ts'

const number = fc.float({ noNaN: true, noDefaultInfinity: true })
const batch = fc.array(number, { minLength: 1, maxLength: 40 })
const batches = fc.array(batch, { minLength: 1, maxLength: 6 })
const CAPACITY = 64

function filled(parts: readonly (readonly number[])[]): GrowingHistogram {
  const histogram = new GrowingHistogram(CAPACITY)
  for (const part of parts) histogram.add(valuesOf(part))
  return histogram
}

describe('a histogram whose range grows', () => {
  it('keeps every count in the bin that holds the value', () => {
    fc.assert(
      fc.property(batches, (parts) => {
        const bins = filled(parts).bins()
        const expected = new Float64Array(bins.counts.length)
        for (const value of parts.flat()) expected[Math.floor(value / bins.width) - bins.low / bins.width]!++
        expect(bins.counts).toEqual(expected)
        expect(bins.total).toBe(parts.flat().length)
        expect(bins.counts.length).toBeLessThanOrEqual(CAPACITY)
      }),
    )
  })

  it('does not depend on the order of the samples', () => {
    fc.assert(
      fc.property(batches, (parts) => {
        expect(filled(parts.toReversed()).bins()).toEqual(filled(parts).bins())
      }),
    )
  })

  it('merged from parts equals one pass', () => {
    fc.assert(
      fc.property(batches, batches, (left, right) => {
        const merged = filled(left)
        merged.merge(filled(right).bins())
        expect(merged.bins()).toEqual(filled([...left, ...right]).bins())
      }),
    )
  })

  it('scales with the data by powers of two, exactly', () => {
    const normal = fc
      .float({ min: -1000, max: 1000, noNaN: true })
      .filter((x) => x === 0 || Math.abs(x) > 1e-3)
    fc.assert(
      fc.property(fc.array(normal, { minLength: 1 }), fc.integer({ min: -20, max: 20 }), (data, exponent) => {
        const factor = 2 ** exponent
        const [bins, scaled] = [data, data.map((x) => x * factor)].map((x) => filled([x]).bins())
        fc.pre(bins!.max !== 0 || bins!.min !== 0)
        expect(scaled!.counts).toEqual(bins!.counts)
        expect(scaled!.width).toBe(bins!.width * factor)
      }),
    )
  })

  it('uses at least half of its bins for the range', () => {
    for (const capacity of [256, 8192]) {
      for (const [min, max] of [
        [-3.9, 3.7],
        [0, 1],
        [1, 1.001],
        [-1e30, 1e30],
        [1e-30, 1e-29],
      ] as const) {
        const extent = (max - min) / binWidth(min, max, capacity)
        expect(extent).toBeLessThanOrEqual(capacity)
        expect(extent).toBeGreaterThan(capacity / 4)
      }
    }
  })

  it('merges neighbours without loss', () => {
    fc.assert(
      fc.property(batches, fc.constantFrom(2, 4, 8), (parts, factor) => {
        const bins = filled(parts).bins()
        const view = coarser(bins, factor)
        expect(view.counts.reduce((sum, count) => sum + count)).toBe(bins.total)
        expect(view.low).toBeLessThanOrEqual(bins.low)
        expect(view.width).toBe(bins.width * factor)
      }),
    )
  })
})

describe('quantization error', () => {
  const data = generate(4096, 1.3, 0.4)
  /** Value by value, as the definition says. */
  function direct(low: number, step: number, cells: number): number {
    return data.reduce((sum, x) => {
      const cell = Math.min(cells - 1, Math.max(0, Math.floor((x - low) / step)))
      return sum + (x - (low + (cell + 0.5) * step)) ** 2
    }, 0)
  }

  it.each([
    [-4, 0.05, 256],
    [-1, 0.01, 256],
    [0, 0.004, 100],
    [-20, 1, 40],
  ])('of samples is the sum over the values; of a histogram nearly so: from %d by %d', (low, step, cells) => {
    const expected = direct(low, step, cells)
    expect(new SampleDistribution(data.slice()).cellError(low, step, cells) / expected).toBeCloseTo(1, 9)
    const histogram = new GrowingHistogram(8192)
    histogram.add(valuesOf(data))
    const binned = new BinnedDistribution(histogram.bins()).cellError(low, step, cells)
    expect(binned / expected).toBeCloseTo(1, 1)
  })
})
