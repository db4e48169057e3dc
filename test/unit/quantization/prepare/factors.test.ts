// Balance and equalization factors against AMCT's own numbers and against what defines them.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dmqFactors, smoothQuantFactors } from '../../../../engine/quantization/prepare/balance-factors.ts'
import { equalizingFactors } from '../../../../engine/quantization/prepare/equalize.ts'

// dmq_balancer_forward of AMCT (torch 2.13) on activations [[1,-8,3],[.5,.25,-.1],[0,0,0],[2,2,2]] and weights
// [[.2,-.4],[1,.5],[.3,.1],[0,0]], rows being channels.
const ACTIVATION = Float32Array.of(8, 0.5, 0, 2)
const WEIGHT = Float32Array.of(0.4, 1, 0.3, 0)
const REFERENCE = [
  { strength: 0.5, factors: [4.47213602, 0.707106769, 5.96284819, 1.11803401] },
  { strength: 0.8, factors: [6.33957291, 0.574349165, 8.45276356, 1.58489335] },
]

const magnitudes = fc.array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 20 })

describe('factors of the DMQ balancer', () => {
  it.each(REFERENCE)('are those that AMCT computes, strength $strength', ({ strength, factors }) => {
    const computed = dmqFactors('layer', ACTIVATION, WEIGHT, strength)
    factors.forEach((factor, channel) => expect(computed[channel]! / factor).toBeCloseTo(1, 6))
  })

  it('are 1 for a channel that is zero on both sides, and everywhere when a side is zero', () => {
    expect(dmqFactors('layer', Float32Array.of(4, 0), Float32Array.of(1, 0), 0.5)).toEqual(
      Float32Array.of(2, 1),
    )
    expect(dmqFactors('layer', new Float32Array(3), Float32Array.of(1, 2, 3), 0.5)).toEqual(
      Float32Array.of(1, 1, 1),
    )
    expect(dmqFactors('layer', Float32Array.of(1, 2, 3), new Float32Array(3), 0.5)).toEqual(
      Float32Array.of(1, 1, 1),
    )
    // Nothing is balanced on both sides: there is no largest value to reach.
    expect(dmqFactors('layer', Float32Array.of(1, 0), Float32Array.of(0, 1), 0.5)).toEqual(
      Float32Array.of(1, 1),
    )
  })

  it('refuse activations and weights of different lengths, and empty ones', () => {
    for (const [activation, weight] of [
      [new Float32Array(3), new Float32Array(2)],
      [new Float32Array(), new Float32Array()],
    ] as const) {
      expect(() => dmqFactors('fc', activation, weight, 0.5)).toThrow(
        expect.objectContaining({
          code: 'E_REPAIR_BALANCE_CHANNELS',
          details: expect.objectContaining({ layer: 'fc' }),
        }),
      )
    }
  })

  it('refuse a factor beyond what float32 inverts, with its channel', () => {
    expect(() => dmqFactors('fc', Float32Array.of(1, 1e20), Float32Array.of(1, 1e-20), 0.5)).toThrow(
      expect.objectContaining({
        code: 'E_REPAIR_BALANCE_FACTOR',
        details: { layer: 'fc', channel: 1, value: Math.fround(1e20) },
      }),
    )
  })

  it('leave every balanced channel with |x|^(1-m) |w|^(1-m) and |x|^m |w|^m', () => {
    const strengths = fc.double({ min: 0.2, max: 0.8, noNaN: true })
    fc.assert(
      fc.property(magnitudes, magnitudes, strengths, (xs, ws, strength) => {
        const count = Math.min(xs.length, ws.length)
        const [activation, weight] = [
          Float32Array.from(xs.slice(0, count)),
          Float32Array.from(ws.slice(0, count)),
        ]
        dmqFactors('layer', activation, weight, strength).forEach((factor, channel) => {
          const product = activation[channel]! * weight[channel]!
          expect((weight[channel]! * factor) / product ** strength).toBeCloseTo(1, 4)
          expect(activation[channel]! / factor / product ** (1 - strength)).toBeCloseTo(1, 4)
        })
      }),
    )
  })

  it('scale with the data: 4 times the activations, twice the factors at strength 0.5', () => {
    fc.assert(
      fc.property(magnitudes, (values) => {
        const activation = Float32Array.from(values)
        const weight = activation.map((value) => 1 + value / 7)
        const base = dmqFactors('layer', activation, weight, 0.5)
        const scaled = dmqFactors(
          'layer',
          activation.map((value) => 4 * value),
          weight,
          0.5,
        )
        scaled.forEach((factor, channel) => expect(factor / base[channel]!).toBeCloseTo(2, 5))
      }),
    )
  })
})

describe('factors of SmoothQuant', () => {
  it('are act^a / w^(1-a), and 1 where that is zero or infinite', () => {
    const factors = smoothQuantFactors(
      'layer',
      Float32Array.of(9, 0, 5, 16),
      Float32Array.of(4, 3, 0, 1),
      0.5,
    )
    expect([...factors]).toEqual([1.5, 1, 1, 4])
  })

  it('refuse different lengths', () => {
    expect(() => smoothQuantFactors('fc', new Float32Array(1), new Float32Array(2), 0.5)).toThrow(
      expect.objectContaining({ code: 'E_REPAIR_BALANCE_CHANNELS' }),
    )
  })
})

describe('equalizing factors', () => {
  it('even out both ranges and leave their product', () => {
    fc.assert(
      fc.property(magnitudes, magnitudes, (first, second) => {
        const count = Math.min(first.length, second.length)
        const [one, two] = [
          Float64Array.from(first.slice(0, count)),
          Float64Array.from(second.slice(0, count)),
        ]
        equalizingFactors(one, two).forEach((factor, channel) => {
          expect(one[channel]! / factor / (two[channel]! * factor)).toBeCloseTo(1, 9)
          expect(
            ((one[channel]! / factor) * two[channel]! * factor) / (one[channel]! * two[channel]!),
          ).toBeCloseTo(1, 9)
        })
      }),
    )
  })

  it('leave a channel that is zero on a side', () => {
    expect([...equalizingFactors(Float64Array.of(0, 1, 0), Float64Array.of(1, 0, 0))]).toEqual([1, 1, 1])
  })
})
