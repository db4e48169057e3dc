// The quantization arithmetic against vectors produced by AMCT's own functions (PyTorch 2.13, CPU) and its tests.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  activationScaleOffset,
  asymmetricScaleOffset,
  convLayout,
  convTransposeLayout,
  dequantScale,
  packDequantScale,
  quantAttributeScale,
  quantizeBias,
  quantizeToInt8,
  quantizeWeight,
  roundHalfEven,
  symmetricScale,
  tensorLayout,
  truncateToS19,
  weightScales,
} from '../../../engine/quantization/rules.ts'
import { generate } from './vectors.ts'

/** Nine significant digits identify a float32. */
function float32(decimal: number): number {
  return Math.fround(decimal)
}

const g = generate(4096)
const relu = g.map((x) => Math.max(x, 0))
const DATASETS = {
  g,
  relu,
  skew: generate(4096, 0.5, 1),
  neg: relu.map((x) => -x),
  heavy: Float32Array.of(...g, 40, -25),
}

describe('the deterministic generator of the reference vectors', () => {
  it('reproduces its published values', () => {
    const expected = [0.030061254, -1.696006179, -0.051563036, 1.215949178, 0.334833682]
    expect([...generate(5)]).toEqual(expected.map(float32))
    expect(Math.min(...g)).toBeCloseTo(-3.92012954, 7)
    expect(Math.max(...g)).toBeCloseTo(3.69689918, 7)
    expect(g.reduce((sum, x) => sum + x, 0)).toBeCloseTo(-0.65685177, 4)
  })
})

describe('symmetric weight scales (AMCT, ARQ)', () => {
  it.each([
    ['g', 0.030626012],
    ['relu', 0.0291094426],
    ['skew', 0.022428738],
    ['neg', 0.0288820248],
    ['heavy', 0.314960629],
  ] as const)('per tensor on %s', (name, expected) => {
    const data = DATASETS[name]
    const { scales, nonFinite } = weightScales(data, tensorLayout(data.length))
    expect(scales[0]).toBe(float32(expected))
    expect(nonFinite).toBe(-1)
  })

  it('per channel, with the 127 or 128 divisor chosen channel by channel and zero rows scaled by 1', () => {
    const rows = [
      [0.5, -1, 0.25, 0.75],
      [0.1, 0.2, -0.05, 0],
      [-3, 2, 1, -0.5],
      [1e-9, 0, 0, 0],
    ]
    const weight = Float32Array.from(rows.flat())
    const layout = convLayout([4, 4])
    const { scales } = weightScales(weight, layout)
    expect([...scales]).toEqual([0.0078125, 0.00157480314, 0.0234375, 1].map(float32))
    expect([...quantizeWeight(weight, layout, scales)]).toEqual(
      [
        [64, -128, 32, 96],
        [64, 127, -32, 0],
        [-128, 85, 43, -21],
        [0, 0, 0, 0],
      ].flat(),
    )
  })

  it("rows of AMCT's test_arq", () => {
    const rows = [
      Array<number>(12).fill(-1),
      Array<number>(12).fill(0),
      Array<number>(12).fill(1),
      [-1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1],
    ]
    const weight = Float32Array.from(rows.flat())
    const perTensor = weightScales(weight, tensorLayout(48)).scales
    expect([...perTensor]).toEqual([float32(0.00787401572)])
    const quantized = quantizeWeight(weight, tensorLayout(48), perTensor)
    expect([quantized[0], quantized[12], quantized[24]]).toEqual([-127, 0, 127])
    const perChannel = weightScales(weight, convLayout([4, 12])).scales
    expect([...perChannel]).toEqual([0.0078125, 1, 0.00787401572, 0.00787401572].map(float32))
  })

  it('divides by 128 when the largest magnitude is negative', () => {
    expect(symmetricScale(-1.005, 1)).toBe(float32(0.00785156246))
    expect(symmetricScale(-1, 1)).toBe(float32(0.00787401572))
  })

  it('follows the groups of a ConvTranspose weight [Cin, Cout/group, k]', () => {
    // 4 inputs, 2 groups of 2 outputs each: outputs 0,1 read inputs 0,1; outputs 2,3 read inputs 2,3.
    const weight = Float32Array.of(1, 2, 0.5, 4, 8, 16, 3, 32)
    const layout = convTransposeLayout([4, 2, 1], 2)
    const { scales } = weightScales(weight, layout)
    expect([...scales]).toEqual([1, 4, 8, 32].map((limit) => float32(limit / 127)))
    expect([...quantizeWeight(weight, layout, scales)]).toEqual([127, 64, 64, 127, 127, 64, 48, 127])
  })

  it('reports the first NaN or infinity', () => {
    const weight = Float32Array.of(1, 2, Number.NaN, Infinity)
    expect(weightScales(weight, convLayout([2, 2])).nonFinite).toBe(2)
  })
})

describe('activation scales', () => {
  it("asymmetric rows of AMCT's test_arq", () => {
    const ranges = [
      [-1, -1],
      [0, 0],
      [1, 1],
      [-1, 1],
    ] as const
    const results = ranges.map(([min, max]) => asymmetricScaleOffset(min, max))
    expect(results.map((result) => result.scale)).toEqual(
      [0.00392156886, 1, 0.00392156886, 0.00784313772].map(float32),
    )
    expect(results.map((result) => result.offset)).toEqual([127, -128, -128, -1])
    expect(quantizeToInt8(-1, results[3]?.scale ?? 0, -1)).toBe(-128)
    expect(quantizeToInt8(1, results[3]?.scale ?? 0, -1)).toBe(126)
  })

  it('symmetric has offset 0', () => {
    expect(activationScaleOffset(-2, 1, true)).toEqual({ scale: 2 / 128, offset: 0 })
  })

  it('zero is exact, the offset is an int8 and the range is covered, for any range', () => {
    const finite = fc.float({ noNaN: true, min: Math.fround(-1e30), max: Math.fround(1e30) })
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        const { scale, offset } = asymmetricScaleOffset(Math.min(a, b), Math.max(a, b))
        expect(Number.isInteger(offset) && offset >= -128 && offset <= 127).toBe(true)
        expect(scale).toBeGreaterThanOrEqual(1.19e-7)
        expect(Number.isFinite(quantAttributeScale(scale))).toBe(true)
        expect(quantizeToInt8(0, scale, offset)).toBe(offset)
        const span = Math.max(a, b, 0) - Math.min(a, b, 0)
        if (scale !== 1) expect(Math.abs(scale * 255 - span)).toBeLessThanOrEqual(span * 1e-6)
      }),
    )
  })
})

describe('rounding', () => {
  it('goes to the even neighbour at ties', () => {
    const values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, -126.5]
    expect(values.map((x) => roundHalfEven(x) + 0)).toEqual([0, 2, 2, 0, -2, -2, 2, -126])
  })

  it('weights and single values agree', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 1, maxLength: 40, noNaN: true, noDefaultInfinity: true }),
        (weight) => {
          const layout = tensorLayout(weight.length)
          const { scales } = weightScales(weight, layout)
          const expected = Array.from(weight, (x) => quantizeToInt8(x, scales[0] ?? 1, 0) + 0)
          expect([...quantizeWeight(weight, layout, scales)]).toEqual(expected)
        },
      ),
    )
  })
})

describe('bias and dequantization', () => {
  it('quantizes a bias by scale_d * scale_w', () => {
    const scales = Float32Array.of(0.00787401572, 0.0078125)
    const { values, overflow } = quantizeBias(Float32Array.of(0.31, -0.07), float32(0.0298707001), scales)
    expect([...values]).toEqual([1318, -300])
    expect(overflow).toBeUndefined()
  })

  it('names the channel and value that do not fit 32 bits', () => {
    const { overflow } = quantizeBias(Float32Array.of(1, 4), float32(2e-5), Float32Array.of(5e-5))
    expect(overflow?.channel).toBe(1)
    expect(overflow?.value).toBeCloseTo(4e9, -3)
  })

  it.each([
    [0.0079845, 1006817644n, 0.00798034668],
    [1.2345678e-4, 956396589n, 0.000123381615],
    [3.0517578e-5, 939524096n, 3.0517578e-5],
  ])('packs %d', (scale, bits, s19) => {
    expect(packDequantScale(scale)).toBe(bits)
    expect(truncateToS19(scale)).toBe(float32(s19))
  })

  it('multiplies scales in float32', () => {
    expect(dequantScale(float32(0.1), float32(0.3))).toBe(float32(float32(0.1) * float32(0.3)))
  })
})
