// Arithmetic on the pixels of two pictures and on the colours of heat. Pure.

/** Largest factor that a difference can be amplified by. */
export const MAXIMUM_FACTOR = 32

/**
 * Difference of two pictures, per channel, amplified: min(255, |a - b| * factor); opaque.
 * @param a RGBA bytes, as `getImageData` gives them
 * @param b As many bytes
 * @throws RangeError when the pictures differ in size
 */
export function amplifiedDifference(
  a: Uint8ClampedArray,
  b: Uint8ClampedArray,
  factor: number,
): Uint8ClampedArray<ArrayBuffer> {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} bytes`)
  const result = new Uint8ClampedArray(a.length)
  for (let at = 0; at < a.length; at += 4) {
    for (let channel = at; channel < at + 3; channel++)
      result[channel] = Math.abs((a[channel] as number) - (b[channel] as number)) * factor
    result[at + 3] = 255
  }
  return result
}

export interface PixelDifference {
  /** Largest difference of a channel, of 255. */
  largest: number
  /** Mean over all channels of all pixels, of 255. */
  mean: number
  /** Share of pixels that differ in any channel. */
  share: number
}

/** Figures beside the amplified difference: what the eye cannot count. */
export function pixelDifference(a: Uint8ClampedArray, b: Uint8ClampedArray): PixelDifference {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} bytes`)
  const pixels = a.length / 4
  let [largest, sum, differing] = [0, 0, 0]
  for (let at = 0; at < a.length; at += 4) {
    let here = 0
    for (let channel = at; channel < at + 3; channel++) {
      const distance = Math.abs((a[channel] as number) - (b[channel] as number))
      sum += distance
      here = Math.max(here, distance)
    }
    largest = Math.max(largest, here)
    if (here > 0) differing++
  }
  return {
    largest,
    mean: pixels === 0 ? 0 : sum / (3 * pixels),
    share: pixels === 0 ? 0 : differing / pixels,
  }
}

/** KL divergences below this many nats are drawn as none, above the upper one as full heat. */
export const HEAT_RANGE = { low: 1e-4, high: 1 }

/** Heat of a token, 0..1, by the logarithm of its divergence: it spans orders of magnitude within one sequence. */
export function heat(nats: number | null): number {
  if (nats === null || !(nats > HEAT_RANGE.low)) return 0
  const { low, high } = HEAT_RANGE
  return Math.min(1, Math.log(nats / low) / Math.log(high / low))
}

/** CSS pixels of a picture: small ones are enlarged by whole factors, so that every pixel stays a square. */
export function shownSize(
  width: number,
  height: number,
  room: { width: number; height: number },
): { width: number; height: number; scale: number } {
  const fit = Math.min(room.width / width, room.height / height)
  const scale = fit >= 1 ? Math.max(1, Math.floor(fit)) : fit
  return { width: Math.round(width * scale), height: Math.round(height * scale), scale }
}
