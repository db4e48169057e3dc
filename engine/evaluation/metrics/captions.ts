// How well pictures fit their captions, by the embeddings of a pair of encoders.
import type { Features } from './features.ts'

/** Vectors of unit length; what is zero stays zero. */
function normalized({ count, width, data }: Features): Float64Array {
  const result = new Float64Array(count * width)
  for (let start = 0; start < result.length; start += width) {
    let square = 0
    for (let index = start; index < start + width; index++) square += (data[index] as number) ** 2
    const length = Math.sqrt(square)
    if (length === 0) continue
    for (let index = start; index < start + width; index++) result[index] = (data[index] as number) / length
  }
  return result
}

function cosine(a: Float64Array, row: number, b: Float64Array, column: number, width: number): number {
  let product = 0
  for (let index = 0; index < width; index++)
    product += (a[row * width + index] as number) * (b[column * width + index] as number)
  return product
}

function checkWidths(images: Features, captions: Features): void {
  if (images.width !== captions.width)
    throw new RangeError(`embeddings of width ${images.width} and ${captions.width} cannot be compared`)
}

/** Cosine of every picture and its own caption: the CLIP score (Hessel et al. 2021) without its factor of 2.5. */
export function clipScores(images: Features, captions: Features): Float64Array {
  checkWidths(images, captions)
  const [left, right] = [normalized(images), normalized(captions)]
  return Float64Array.from({ length: images.count }, (_, row) => cosine(left, row, right, row, images.width))
}

/**
 * For every picture, how many captions fit it better than its own: 0 is a hit.
 * @param own The caption of each picture, as its row in `captions`.
 */
export function captionRanks(images: Features, captions: Features, own: Uint32Array): Uint32Array {
  checkWidths(images, captions)
  const [left, right] = [normalized(images), normalized(captions)]
  return Uint32Array.from(own, (target, row) => {
    const wanted = cosine(left, row, right, target, images.width)
    let better = 0
    for (let column = 0; column < captions.count; column++)
      if (column !== target && cosine(left, row, right, column, images.width) > wanted) better++
    return better
  })
}
