// SQNR and cosine against closed forms: known noise powers, orthogonal vectors, pooling.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addSums,
  cosineSimilarity,
  signalSums,
  sqnrDb,
  sqnrFromSums,
} from '../../../engine/evaluation/index.ts'

describe('sqnrDb', () => {
  it('is 20 dB when the noise has a tenth of the amplitude', () => {
    expect(sqnrDb([10, -10, 10, -10], [11, -9, 9, -11])).toBeCloseTo(20, 12)
  })

  it('follows the textbook figure of a uniform quantizer: 6.02 b + 1.76 dB for a full-scale sine', () => {
    const bits = 8
    const step = 2 / 2 ** bits
    const sine = Float64Array.from({ length: 100_000 }, (_, index) => Math.sin(index * 0.12345678))
    const quantized = sine.map((value) => Math.round(value / step) * step)
    expect(Math.abs(sqnrDb(sine, quantized) - (6.0206 * bits + 1.76))).toBeLessThan(0.1)
  })

  it('is infinite for identical tensors and minus infinity when the output has a NaN', () => {
    expect(sqnrDb([1, 2], [1, 2])).toBe(Infinity)
    expect(sqnrDb([1, 2], [1, NaN])).toBe(-Infinity)
  })

  it('refuses tensors of different lengths', () => {
    expect(() => sqnrDb([1], [1, 2])).toThrow(/1 and 2 elements/)
  })
})

describe('cosineSimilarity', () => {
  it('knows parallel, opposite and orthogonal vectors', () => {
    expect(cosineSimilarity([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12)
    expect(cosineSimilarity([1, 2, 3], [-1, -2, -3])).toBeCloseTo(-1, 12)
    expect(cosineSimilarity([1, 0], [0, 1])).toBe(0)
    expect(cosineSimilarity([0, 0], [0, 0])).toBe(1)
    expect(cosineSimilarity([0, 0], [0, 1])).toBe(0)
  })
})

describe('pooling', () => {
  it('of parts equals the figures of the whole', () => {
    const pair = fc.tuple(
      fc.double({ min: -1e3, max: 1e3, noNaN: true }),
      fc.double({ min: -1e3, max: 1e3, noNaN: true }),
    )
    fc.assert(
      fc.property(fc.array(pair, { minLength: 2, maxLength: 50 }), fc.nat(), (pairs, cut) => {
        const at = cut % pairs.length
        const sums = (part: [number, number][]) =>
          signalSums(
            part.map((entry) => entry[0]),
            part.map((entry) => entry[1]),
          )
        const whole = sums(pairs)
        const pooled = addSums(sums(pairs.slice(0, at)), sums(pairs.slice(at)))
        expect(pooled.count).toBe(whole.count)
        expect(pooled.maxAbsError).toBe(whole.maxAbsError)
        if (whole.noise > 0 && whole.reference > 0)
          expect(sqnrFromSums(pooled)).toBeCloseTo(sqnrFromSums(whole), 6)
      }),
    )
  })
})
