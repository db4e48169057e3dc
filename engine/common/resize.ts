// Resizing planes of numbers with a triangle filter that widens when shrinking: the "antialiased bilinear" of torchvision
// and Pillow (Resample.c: bilinear_filter, precompute_coeffs).

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

/** Pillow's arithmetic on 8-bit pixels: weights in 22-bit fixed point, rounding after each direction (Resample.c). */
const FIXED_POINT = 2 ** 22

function fixedPoint({ start, weights }: Taps): Taps {
  return { start, weights: weights.map((weight) => Math.floor(weight * FIXED_POINT + 0.5) / FIXED_POINT) }
}

function toByte(value: number): number {
  return Math.min(255, Math.max(0, Math.floor(value + 0.5)))
}

/**
 * Resizes one plane [height, width].
 * @param eightBit The plane holds bytes and the result shall be those of Pillow, bit for bit.
 */
export function resizePlane(plane: ArrayLike<number>, from: Size, to: Size, eightBit = false): Float32Array {
  const prepare = (list: Taps[]): Taps[] => (eightBit ? list.map(fixedPoint) : list)
  const finish = eightBit ? toByte : (value: number): number => value
  const across = new Float64Array(to.width * from.height)
  for (const [x, { start, weights }] of prepare(taps(from.width, to.width)).entries()) {
    for (let y = 0; y < from.height; y++) {
      let sum = 0
      for (let tap = 0; tap < weights.length; tap++)
        sum += (weights[tap] as number) * (plane[y * from.width + start + tap] as number)
      across[y * to.width + x] = finish(sum)
    }
  }
  const result = new Float32Array(to.width * to.height)
  for (const [y, { start, weights }] of prepare(taps(from.height, to.height)).entries()) {
    for (let x = 0; x < to.width; x++) {
      let sum = 0
      for (let tap = 0; tap < weights.length; tap++)
        sum += (weights[tap] as number) * (across[(start + tap) * to.width + x] as number)
      result[y * to.width + x] = finish(sum)
    }
  }
  return result
}
