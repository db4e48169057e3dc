// Resizing planes of numbers with a triangle filter that widens when shrinking: the "antialiased bilinear" of torchvision
// and Pillow (Pillow, Resample.c: bilinear_filter, precompute_coeffs), in floating point.

/** Source positions and weights of one target position. */
interface Taps {
  start: number
  weights: Float64Array
}

function taps(from: number, to: number): Taps[] {
  const ratio = from / to
  // Enlarging interpolates between two neighbours; shrinking averages over everything a target covers.
  const support = Math.max(1, ratio)
  return Array.from({ length: to }, (_, target) => {
    const centre = (target + 0.5) * ratio
    const start = Math.max(0, Math.floor(centre - support + 0.5))
    const end = Math.min(from, Math.floor(centre + support + 0.5))
    const weights = Float64Array.from({ length: end - start }, (_, tap) =>
      Math.max(0, 1 - Math.abs((start + tap + 0.5 - centre) / support)),
    )
    const sum = weights.reduce((total, weight) => total + weight, 0)
    return { start, weights: weights.map((weight) => weight / sum) }
  })
}

export interface Size {
  width: number
  height: number
}

/**
 * Resizes one plane [height, width].
 * @param round Applied to the values between the two directions and at the end, as libraries of 8-bit pictures do.
 */
export function resizePlane(
  plane: ArrayLike<number>,
  from: Size,
  to: Size,
  round: (value: number) => number = (value) => value,
): Float32Array {
  const across = new Float64Array(to.width * from.height)
  for (const [x, { start, weights }] of taps(from.width, to.width).entries()) {
    for (let y = 0; y < from.height; y++) {
      let sum = 0
      for (let tap = 0; tap < weights.length; tap++)
        sum += (weights[tap] as number) * (plane[y * from.width + start + tap] as number)
      across[y * to.width + x] = round(sum)
    }
  }
  const result = new Float32Array(to.width * to.height)
  for (const [y, { start, weights }] of taps(from.height, to.height).entries()) {
    for (let x = 0; x < to.width; x++) {
      let sum = 0
      for (let tap = 0; tap < weights.length; tap++)
        sum += (weights[tap] as number) * (across[(start + tap) * to.width + x] as number)
      result[y * to.width + x] = round(sum)
    }
  }
  return result
}
