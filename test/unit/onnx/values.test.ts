// Tensor values and 16-bit floats, against the JavaScript engine's own conversions and the IEEE tables.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DataType,
  float16BitsToFloat32,
  float32ToBfloat16Bits,
  float32ToFloat16Bits,
  makeScalar,
  makeTensor,
  roundToFloat16,
  tensorToFloat32,
  tensorToNumbers,
  tensorToScalar,
} from '../../../engine/onnx/index.ts'

/** Math.f16round of ES2025, which the engine provides. */
const f16round = (Math as unknown as { f16round(value: number): number }).f16round

describe('binary16', () => {
  it('reads every bit pattern as IEEE 754 says and gets it back', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = float16BitsToFloat32(bits)
      if (Number.isNaN(value)) expect((bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0).toBe(true)
      else expect(float32ToFloat16Bits(value)).toBe(bits)
    }
  })

  it.each([
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0001, 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x7c00, Infinity],
  ])('%i is %f', (bits, value) => expect(float16BitsToFloat32(bits)).toBe(value))

  it('rounds as the engine does', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect(roundToFloat16(Float32Array.of(value))[0]).toBe(f16round(value))
      }),
      { numRuns: 5000 },
    )
    for (const tie of [2 ** -25, 3 * 2 ** -25, 65519.99609375, 65520, 1 + 2 ** -11, 1 + 3 * 2 ** -11]) {
      expect(float16BitsToFloat32(float32ToFloat16Bits(tie))).toBe(f16round(tie))
    }
  })

  it('rounds bfloat16 half to even', () => {
    expect(float32ToBfloat16Bits(1)).toBe(0x3f80)
    expect(float32ToBfloat16Bits(1 + 2 ** -8)).toBe(0x3f80)
    expect(float32ToBfloat16Bits(1 + 3 * 2 ** -8)).toBe(0x3f82)
    expect(float32ToBfloat16Bits(-Infinity)).toBe(0xff80)
  })
})

describe('tensors', () => {
  it.each([
    [DataType.FLOAT, [1.5, -2]],
    [DataType.DOUBLE, [Math.PI, 1e300]],
    [DataType.FLOAT16, [0.5, -65504]],
    [DataType.BFLOAT16, [0.5, -2]],
    [DataType.INT4, [-8, 7, 1]],
    [DataType.UINT4, [15, 0, 3]],
    [DataType.INT8, [-128, 127]],
    [DataType.INT64, [-(2 ** 53), 5]],
    [DataType.UINT64, [2 ** 40]],
    [DataType.BOOL, [1, 0]],
  ])('holds numbers of type %d', (dataType, values) => {
    const tensor = makeTensor('t', dataType, [values.length], values)
    expect(tensorToNumbers(tensor)).toEqual(values)
    expect([...tensorToFloat32(tensor)]).toEqual(values.map(Math.fround))
  })

  it('takes raw bytes as they are', () => {
    const bytes = Uint8Array.of(9, 0, 0, 128, 63, 9).subarray(1, 5)
    expect(tensorToNumbers(makeTensor('t', DataType.FLOAT, [1], bytes))).toEqual([1])
  })

  it('makes and reads scalars', () => {
    expect(tensorToScalar(makeScalar('s', DataType.INT64, 2n))).toBe(2)
    expect(() => tensorToScalar(makeTensor('t', DataType.INT8, [2], [1, 2]))).toThrow(/exactly one element/)
  })

  it('refuses data that does not fill the shape', () => {
    expect(() => makeTensor('t', DataType.FLOAT, [3], [1, 2])).toThrow(
      /"t" \(float32 \[3\]\) needs 12 bytes but holds 8/,
    )
    expect(() => makeTensor('t', DataType.STRING, [1], [1])).toThrow(/numeric/)
  })
})
