// How well pictures fit their captions, by the embeddings of a pair of encoders.
import type { Features } from './features.ts'

function cosine(a: Features, row: number, b: Features, column: number): number {
  let [product, left, right] = [0, 0, 0]
  for (let index = 0; index < a.width; index++) {
    const x = a.data[row * a.width + index] as number
    const y = b.data[column * b.width + index] as number
    product += x * y
    left += x * x
    right += y * y
  }
  return left === 0 || right === 0 ? 0 : product / Math.sqrt(left * right)
}

function checkWidths(images: Features, captions: Features): void {
  if (images.width !== captions.width)
    throw new RangeError(`embeddings of width ${images.width} and ${captions.width} cannot be compared`)
}

/** Cosine of every picture and its own caption: the CLIP score (Hessel et al. 2021) without its factor of 2.5. */
export function clipScores(images: Features, captions: Features): Float64Array {
  checkWidths(images, captions)
  return Float64Array.from({ length: images.count }, (_, row) => cosine(images, row, captions, row))
}

/**
 * For every picture, how many captions fit it better than its own: 0 is a hit.
 * @param own The caption of each picture, as its row in `captions`.
 */
export function captionRanks(images: Features, captions: Features, own: Uint32Array): Uint32Array {
  checkWidths(images, captions)
  return Uint32Array.from(own, (target, row) => {
    const wanted = cosine(images, row, captions, target)
    let better = 0
    for (let column = 0; column < captions.count; column++)
      if (column !== target && cosine(images, row, captions, column) > wanted) better++
    return better
  })
}
