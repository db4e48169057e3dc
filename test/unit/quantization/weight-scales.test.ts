// Searched weight scales and INT4 against vectors of AMCT's own functions (PyTorch 2.13, CPU) and against plain searches.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packInt4, unpackInt4 } from '../../../engine/quantization/int4.ts'
import {
  columnLayout,
  convLayout,
  convTransposeLayout,
  quantizeToInt8,
  quantizeWeight,
  scaleCount,
  symmetricScale,
  tensorLayout,
  truncateToS19,
  weightScales,
} from '../../../engine/quantization/rules.ts'
import { klScale } from '../../../engine/quantization/weight-search.ts'
import { generate } from './vectors.ts'

const g = generate(4096)
const relu = g.map((x) => Math.max(x, 0))
const DATASETS = {
  g,
  relu,
  skew: generate(4096, 0.5, 1),
  neg: relu.map((x) => -x),
  heavy: Float32Array.of(...g, 40, -25),
}

describe("AMCT's divergence search (find_scale_and_offset_by_kl)", () => {
  it.each([
    ['g', 0.028472621],
    ['relu', 0.027302539],
    ['skew', 0.0208626688],
    ['neg', 0.0279794615],
    ['heavy', 0.289306641],
  ] as const)('on %s', (name, expected) => {
    const data = DATASETS[name]
    const grid = { bits: 8, method: 'kl' } as const
    expect(weightScales(data, tensorLayout(data.length), grid).scales[0]).toBe(Math.fround(expected))
  })

  const data = fc.float32Array({
    minLength: 1,
    maxLength: 300,
    noNaN: true,
    noDefaultInfinity: true,
    min: -100,
  })

  it('is linear in the data and never exceeds the largest magnitude', () => {
    fc.assert(
      fc.property(data, (values) => {
        const limit = Math.max(...values.map(Math.abs))
        fc.pre(limit > 1e-20 && limit < 1e30)
        const scale = klScale(values, 8)
        expect(scale * 128).toBeLessThanOrEqual(limit * (1 + 1e-6))
        // 20 of 512 bins at most are given up.
        expect(scale * 128).toBeGreaterThanOrEqual(limit * (1 - (2 * 20) / 512))
        expect(
          klScale(
            values.map((x) => 4 * x),
            8,
          ),
        ).toBe(4 * scale)
      }),
      { numRuns: 30 },
    )
  })

  it('leaves all zeros alone', () => {
    expect(klScale(new Float32Array(9), 8)).toBe(1)
  })
})

function squaredError(values: Float32Array, scale: number, half: number): number {
  return values.reduce((sum, x) => {
    const q = Math.max(-half, Math.min(half - 1, Math.round(x / scale)))
    return sum + (x - q * scale) ** 2
  }, 0)
}

describe('least squared error', () => {
  it.each(Object.keys(DATASETS).flatMap((name) => [[name, 8] as const, [name, 4] as const]))(
    'on %s with %i bits comes near the best of a dense search',
    (name, bits) => {
      const data = DATASETS[name as keyof typeof DATASETS]
      const half = 2 ** (bits - 1)
      const { scales } = weightScales(data, tensorLayout(data.length), { bits, method: 'mse' })
      const limit = Math.max(...data.map(Math.abs))
      const dense = Array.from({ length: 800 }, (_, step) => ((step + 200) / 1000) * (limit / (half - 1)))
      const best = Math.min(...dense.map((scale) => squaredError(data, scale, half)))
      expect(squaredError(data, scales[0]!, half)).toBeLessThanOrEqual(best * 1.02)
    },
  )

  it('is never worse than the largest magnitude, channel by channel', () => {
    const channels = fc.array(fc.float({ noNaN: true, min: -10, max: 10 }), { minLength: 12, maxLength: 12 })
    fc.assert(
      fc.property(channels, fc.constantFrom(8 as const, 4 as const), (values, bits) => {
        const data = Float32Array.from(values)
        const layout = convLayout([3, 4])
        const found = weightScales(data, layout, { bits, method: 'mse' }).scales
        const plain = weightScales(data, layout, { bits, method: 'max_abs' }).scales
        for (const channel of [0, 1, 2]) {
          const row = data.subarray(4 * channel, 4 * channel + 4)
          const half = 2 ** (bits - 1)
          const error = squaredError(row, plain[channel]!, half)
          expect(squaredError(row, found[channel]!, half)).toBeLessThanOrEqual(error * (1 + 1e-6) + 1e-12)
        }
      }),
      { numRuns: 100 },
    )
  })
})

describe('INT4', () => {
  it('has the divisor 8 where the largest magnitude is negative, else 7, channel by channel', () => {
    const rows = [
      [0.5, -1, 0.25, 0.75],
      [0.1, 0.2, -0.05, 0],
      [-3, 2, 1, -0.5],
      [1e-9, 0, 0, 0],
    ]
    const weight = Float32Array.from(rows.flat())
    const layout = convLayout([4, 4])
    const { scales } = weightScales(weight, layout, { bits: 4, method: 'max_abs' })
    expect([...scales]).toEqual([0.125, 0.0285714287, 0.375, 1].map(Math.fround))
    expect([...quantizeWeight(weight, layout, scales, 4)]).toEqual(
      [
        [4, -8, 2, 6],
        [4, 7, -2, 0],
        [-8, 5, 3, -1],
        [0, 0, 0, 0],
      ].flat(),
    )
  })

  it('packs the first of two in the low nibble (test_pack_int4_weight_pass)', () => {
    expect([...packInt4(Uint8Array.of(1, 2), [2], 0)]).toEqual([0x21])
    expect([...packInt4(new Uint8Array(Int8Array.of(-1, -8).buffer), [2], 0)]).toEqual([0x8f])
    // [2, 2, 2] along the middle: neighbours are two apart.
    const integers = new Uint8Array(Int8Array.of(1, 2, 3, 4, -1, -2, -3, -4).buffer)
    expect([...packInt4(integers, [2, 2, 2], 1)]).toEqual([0x31, 0x42, 0xdf, 0xce])
  })

  it('comes back from its bytes, along any axis', () => {
    const shape = fc.tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
    )
    fc.assert(
      fc.property(
        shape,
        fc.constantFrom(0, 1, 2),
        fc.infiniteStream(fc.integer({ min: -8, max: 7 })),
        (half, axis, stream) => {
          const dims = half.with(axis, 2 * half[axis]!)
          const count = dims.reduce((product, dim) => product * dim, 1)
          const integers = Int8Array.from({ length: count }, () => stream.next().value ?? 0)
          const packed = packInt4(new Uint8Array(integers.buffer), dims, axis)
          expect(packed).toHaveLength(count / 2)
          expect(unpackInt4(packed, dims, axis)).toEqual(integers)
        },
      ),
    )
  })
})

describe('layouts', () => {
  it('a scale per column, and per column and group of rows', () => {
    const weight = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    const columns = weightScales(weight, columnLayout([4, 2])).scales
    expect([...columns]).toEqual([7, 8].map((limit) => Math.fround(limit / 127)))
    const groups = columnLayout([4, 2], 2)
    expect(scaleCount(groups)).toBe(4)
    const scales = weightScales(weight, groups).scales
    expect([...scales]).toEqual([3, 4, 7, 8].map((limit) => Math.fround(limit / 127)))
    expect([...quantizeWeight(weight, groups, scales)]).toEqual([42, 64, 127, 127, 91, 95, 127, 127])
  })

  it('searches see the values of one channel, however they lie', () => {
    const layouts = [
      [convLayout([6, 8]), (channel: number) => (index: number) => Math.floor(index / 8) === channel],
      [columnLayout([8, 6]), (channel: number) => (index: number) => index % 6 === channel],
      [
        columnLayout([8, 6], 4),
        (channel: number) => (index: number) =>
          index % 6 === channel % 6 && Math.floor(index / 24) === Math.floor(channel / 6),
      ],
      [
        convTransposeLayout([4, 3, 4], 2),
        (channel: number) => (index: number) =>
          Math.floor(index / 4) % 3 === channel % 3 && Math.floor(index / 24) === Math.floor(channel / 3),
      ],
    ] as const
    for (const [layout, member] of layouts) {
      const { scales } = weightScales(g.subarray(0, 48), layout, { bits: 8, method: 'kl' })
      scales.forEach((scale, channel) => {
        const own = g.subarray(0, 48).filter((_, index) => member(channel)(index))
        expect(scale).toBe(klScale(own, 8))
      })
    }
  })

  it('FLOAT16 scales are finite FLOAT16 numbers, and never zero', () => {
    const weight = Float32Array.of(0.3, -0.2, 1e-7, 0, 0, 0)
    const grid = { bits: 8, method: 'max_abs', float16Scales: true } as const
    const { scales } = weightScales(weight, convLayout([3, 2]), grid)
    expect(scales[0]).toBe(new Float16Array([0.3 / 127])[0])
    expect([...scales.subarray(1)]).toEqual([1, 1])
    const ends = weightScales(Float32Array.of(1.6e-5, 1e9), convLayout([2, 1]), grid).scales
    expect([...ends]).toEqual([2 ** -23, 65504])
  })
})

describe('rounding by the reciprocal', () => {
  it('is rounding by division, also next to ties', () => {
    const scale = fc.float({ min: Math.fround(1e-7), max: 1000, noNaN: true })
    const near = fc.tuple(scale, fc.integer({ min: -140, max: 140 }), fc.integer({ min: -2, max: 2 }))
    fc.assert(
      fc.property(near, ([step, whole, ulps]) => {
        const tie = Float32Array.of((whole + 0.5) * step)
        const bits = new Int32Array(tie.buffer)
        bits[0] = bits[0]! + ulps
        fc.pre(Number.isFinite(tie[0]))
        const quantized = quantizeWeight(tie, tensorLayout(1), Float32Array.of(step))
        expect(quantized[0]! + 0).toBe(quantizeToInt8(tie[0]!, step, 0) + 0)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('the parameter of QuantMatmul (aclnnTransQuantParamV2)', () => {
  // The s19 scale in the low half and bit 46: not what AscendDequant takes, but the same 19 bits.
  it.each([
    [0.0079845, 70369750990848n],
    [1.2345678e-4, 70369700569088n],
    [3.0517578e-5, 70369683701760n],
  ])('holds the s19 value of %d', (scale, expected) => {
    const bits = new Uint32Array(Float32Array.of(truncateToS19(scale)).buffer)[0]!
    expect(BigInt(bits) | (1n << 46n)).toBe(expected)
  })
})

describe('symmetric scales', () => {
  it('scale with the data', () => {
    fc.assert(
      fc.property(
        fc.float({ noNaN: true, min: -100, max: 100 }),
        fc.float({ noNaN: true, min: -100, max: 100 }),
        (a, b) => {
          const scale = symmetricScale(Math.min(a, b), Math.max(a, b))
          fc.pre(Math.max(Math.abs(a), Math.abs(b)) > 1e-3)
          expect(symmetricScale(4 * Math.min(a, b), 4 * Math.max(a, b))).toBe(4 * scale)
        },
      ),
    )
  })
})
