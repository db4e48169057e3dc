// IFMR and HFMG against scales and offsets that AMCT's own functions gave (PyTorch 2.13, CPU).
import { describe, expect, it } from 'vitest'
import { activationScaleOffset } from '../../../engine/calibration/grid.ts'
import { HfmgObserver } from '../../../engine/calibration/observers/hfmg.ts'
import { IfmrObserver } from '../../../engine/calibration/observers/ifmr.ts'
import type { Observer } from '../../../engine/calibration/observers/observer.ts'
import { generate } from '../quantization/vectors.ts'
import { type DatasetName, DATASETS, valuesOf } from './values.ts'

const IFMR = {
  maxPercentile: 0.999999,
  minPercentile: 0.999999,
  searchRange: [0.7, 1.3],
  searchStep: 0.01,
} as const
const BUDGET = 1_000_000

function gridOf(observer: Observer, symmetric: boolean, bits = 8): { scale: number; offset: number } {
  const { min, max } = observer.range()
  return activationScaleOffset(min, max, symmetric, bits)
}

function ifmr(symmetric: boolean, bits = 8): IfmrObserver {
  return new IfmrObserver(IFMR, { symmetric, bits }, 8192, BUDGET)
}

function hfmg(symmetric: boolean): HfmgObserver {
  return new HfmgObserver(1024, { symmetric, bits: 8 })
}

// Nine significant digits identify a float32.
const VECTORS: [DatasetName, [number, number], number, [number, number], number][] = [
  ['g', [0.0298707001, 3], 0.0303197522, [0.0298415292, 3], 0.030626012],
  ['relu', [0.0146426205, -128], 0.0285272542, [0.0144834863, -128], 0.0290810168],
  ['skew', [0.0148236463, -63], 0.021755876, [0.0149207655, -64], 0.0223994516],
  ['neg', [0.0144976443, 127], 0.0285932049, [0.0144976443, 127], 0.0288820248],
  ['heavy', [0.25333333, -29], 0.308661431, [0.254653037, -30], 0.314460814],
]

describe.each(VECTORS)('%s', (name, ifmrAsymmetric, ifmrSymmetric, hfmgAsymmetric, hfmgSymmetric) => {
  const values = valuesOf(DATASETS[name])
  const check = (observer: Observer, symmetric: boolean, scale: number, offset: number): void => {
    observer.add(values)
    expect(gridOf(observer, symmetric)).toEqual({ scale: Math.fround(scale), offset })
  }

  it('IFMR, asymmetric', () => check(ifmr(false), false, ...ifmrAsymmetric))
  it('IFMR, symmetric', () => check(ifmr(true), true, ifmrSymmetric, 0))
  it('HFMG, asymmetric', () => check(hfmg(false), false, ...hfmgAsymmetric))
  it('HFMG, symmetric', () => check(hfmg(true), true, hfmgSymmetric, 0))
})

describe('IFMR', () => {
  it.each([
    [4, 0.433863938, 1],
    [16, 0.00011622841, 960],
  ])('with %d bits', (bits, scale, offset) => {
    const observer = ifmr(false, bits)
    observer.add(valuesOf(DATASETS.g))
    expect(gridOf(observer, false, bits)).toEqual({ scale: Math.fround(scale), offset })
  })

  it.each([
    ['g', -3.913062, 3.703967],
    ['heavy', -25.08, 39.52],
  ] as const)('clips where AMCT says on %s', (name, low, high) => {
    const observer = ifmr(false)
    observer.add(valuesOf(DATASETS[name]))
    const { scale, offset } = gridOf(observer, false)
    expect((-128 - offset) * scale).toBeCloseTo(low, 5)
    expect((127 - offset) * scale).toBeCloseTo(high, 5)
  })

  it('sees all batches as one', () => {
    const observer = ifmr(false)
    for (let start = 0; start < 4096; start += 1000) {
      observer.add(valuesOf(DATASETS.g.subarray(start, start + 1000)))
    }
    expect(gridOf(observer, false).scale).toBe(Math.fround(0.0298707001))
  })

  it('gives up the values beyond its budget, not the result', () => {
    for (const [name, exactScale] of VECTORS.map(([name, [scale]]) => [name, scale] as const)) {
      const observer = new IfmrObserver(IFMR, { symmetric: false, bits: 8 }, 8192, 1000)
      observer.add(valuesOf(DATASETS[name]))
      expect(observer.exact).toBe(false)
      // One candidate is 1 % of the range: the histogram finds AMCT's or a neighbour.
      expect(Math.abs(gridOf(observer, false).scale / exactScale - 1)).toBeLessThan(0.011)
    }
  })
})

describe('HFMG', () => {
  it('merges a second batch as AMCT does', () => {
    const observer = hfmg(false)
    observer.add(valuesOf(generate(4096)))
    observer.add(valuesOf(generate(4096, 1.5, 0.3)))
    const counts = observer.histogram?.counts ?? new Float64Array()
    expect(observer.histogram?.total).toBe(8192)
    expect(counts.reduce((sum, count) => sum + count)).toBe(8192)
    expect(counts.filter((count) => count > 0).length).toBe(675)
    expect(gridOf(observer, false)).toEqual({ scale: Math.fround(0.0447622947), offset: -3 })
  })

  it('takes constant data', () => {
    const observer = hfmg(false)
    observer.add(valuesOf([2, 2, 2]))
    observer.add(valuesOf([2]))
    expect(observer.range()).toEqual({ min: 2, max: 2 })
    observer.add(valuesOf([0, 1]))
    expect(observer.histogram?.counts.reduce((sum, count) => sum + count)).toBe(6)
  })
})
