// IEEE 754 binary16 and bfloat16 conversions, round half to even.

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

/** Bits of the binary16 value nearest to `value` (first rounded to float32), ties to even; overflow becomes infinity. */
export function float32ToFloat16Bits(value: number): number {
  float[0] = value
  const bits = word[0]!
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff)
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x33000001) return sign
  const exponent = magnitude >>> 23
  if (exponent < 113) {
    const mantissa = (magnitude & 0x7fffff) | 0x800000
    return sign | roundShift(mantissa, 126 - exponent)
  }
  return sign | roundShift(magnitude - 0x38000000, 13)
}

/** `value / 2^shift`, rounded half to even. */
function roundShift(value: number, shift: number): number {
  const quotient = value >>> shift
  const rest = value & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return rest > half || (rest === half && (quotient & 1) === 1) ? quotient + 1 : quotient
}

/** The value of 16 binary16 bits; exact. */
export function float16BitsToFloat32(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 31
  const mantissa = bits & 0x3ff
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

/** Every element rounded to the nearest binary16 value, as float32. A new array. */
export function roundToFloat16(values: Float32Array): Float32Array {
  return values.map((value) => float16BitsToFloat32(float32ToFloat16Bits(value)))
}

/** Upper 16 bits of the float32 value, rounded half to even. */
export function float32ToBfloat16Bits(value: number): number {
  float[0] = value
  const bits = word[0]!
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}
