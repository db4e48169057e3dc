// The rule from a range to a quantization grid, in the arithmetic of AMCT (calculate_scale_offset, process_scale).
// Single-precision where AMCT (PyTorch float32) is: Math.fround after every step keeps the last bit the same.

/** float32 machine epsilon; AMCT replaces any smaller scale by 1 (FLT_EPSILON, process_scale). */
export const FLOAT32_EPSILON = 1.192092896e-7

/** Adding and subtracting 1.5 * 2^52 leaves the nearest integer, ties to even, for |x| < 2^51. */
const ROUNDING_CONSTANT = 1.5 * 2 ** 52

export interface ScaleOffset {
  /** Real value of one quantization step; always > 0 and with a finite reciprocal. */
  scale: number
  /** Ascend sense: q = round(x / scale) + offset, in [-128, 127] for 8 bits. */
  offset: number
}

/** Nearest integer, ties to even, as torch.round and C's rint. Exact for every finite double. */
export function roundHalfEven(x: number): number {
  if (!(Math.abs(x) < 2 ** 51)) return x
  return x + ROUNDING_CONSTANT - ROUNDING_CONSTANT
}

/**
 * Symmetric scale of a range: max|x| / (2^(bits-1) - 1), or / 2^(bits-1) when the largest magnitude is negative, so that
 * the lowest integer is used (AMCT, calculate_scale_offset). An all-zero range gives 1.
 */
export function symmetricScale(min: number, max: number, bits = 8): number {
  const negativeLimit = Math.abs(Math.fround(min))
  const positiveLimit = Math.abs(Math.fround(max))
  const half = 2 ** (bits - 1)
  const scale =
    negativeLimit > positiveLimit
      ? Math.fround(negativeLimit / half)
      : Math.fround(positiveLimit / (half - 1))
  return scale < FLOAT32_EPSILON ? 1 : scale
}

/**
 * Asymmetric scale and offset of a range that is first widened to contain zero (AMCT, calculate_scale_offset).
 * An empty or vanishing range gives scale 1 and the lowest offset.
 */
export function asymmetricScaleOffset(min: number, max: number, bits = 8): ScaleOffset {
  const low = Math.fround(Math.min(min, 0))
  const high = Math.fround(Math.max(max, 0))
  const lowest = -(2 ** (bits - 1))
  const scale = Math.fround(Math.fround(high - low) / (2 ** bits - 1))
  if (scale < FLOAT32_EPSILON) return { scale: 1, offset: lowest }
  const offset = roundHalfEven(Math.fround(lowest - Math.fround(low / scale)))
  return { scale, offset }
}

/** Scale and offset of an activation's range by the chosen symmetry. */
export function activationScaleOffset(min: number, max: number, symmetric: boolean, bits = 8): ScaleOffset {
  return symmetric
    ? { scale: symmetricScale(min, max, bits), offset: 0 }
    : asymmetricScaleOffset(min, max, bits)
}
