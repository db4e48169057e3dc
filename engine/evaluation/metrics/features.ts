// Feature vectors of a set of results, and their first two moments.

/** `count` vectors of `width` numbers, one after the other. */
export interface Features {
  count: number
  width: number
  data: Float32Array
}

export interface Moments {
  count: number
  mean: Float64Array
  /** Unbiased, row-major [width, width]. */
  covariance: Float64Array
}

/** The vectors at the given positions; repeated positions are repeated vectors. */
export function pickFeatures({ width, data }: Features, positions: Uint32Array): Features {
  const picked = new Float32Array(positions.length * width)
  positions.forEach((position, row) =>
    picked.set(data.subarray(position * width, (position + 1) * width), row * width),
  )
  return { count: positions.length, width, data: picked }
}

type Four<T> = [T, T, T, T]

/** Adds the products of four vectors with themselves to the upper triangle of a matrix. */
function addProducts(matrix: Float64Array, [a, b, c, d]: Four<Float64Array>, width: number): void {
  for (let left = 0; left < width; left++) {
    const [w, x, y, z] = [a[left] as number, b[left] as number, c[left] as number, d[left] as number]
    const line = left * width
    for (let right = left; right < width; right++) {
      matrix[line + right] =
        (matrix[line + right] as number) +
        w * (a[right] as number) +
        x * (b[right] as number) +
        y * (c[right] as number) +
        z * (d[right] as number)
    }
  }
}

/**
 * Mean and covariance (divisor count - 1, as numpy.cov has it). The mean is taken out before squares are summed, so
 * that features far from zero keep their digits.
 */
export function moments({ count, width, data }: Features): Moments {
  const mean = new Float64Array(width)
  for (let row = 0, start = 0; row < count; row++, start += width) {
    for (let column = 0; column < width; column++)
      mean[column] = (mean[column] as number) + (data[start + column] as number)
  }
  for (let column = 0; column < width; column++) mean[column] = (mean[column] as number) / count
  const covariance = new Float64Array(width * width)
  // Four vectors per walk over the matrix, which is larger than the caches; rows behind the last one are zero.
  const centred = [0, 1, 2, 3].map(() => new Float64Array(width)) as Four<Float64Array>
  for (let row = 0; row < count; row += 4) {
    for (const [offset, vector] of centred.entries()) {
      const start = (row + offset) * width
      for (let column = 0; column < width; column++)
        vector[column] =
          row + offset < count ? (data[start + column] as number) - (mean[column] as number) : 0
    }
    addProducts(covariance, centred, width)
  }
  const divisor = Math.max(1, count - 1)
  for (let left = 0; left < width; left++) {
    for (let right = left; right < width; right++) {
      const value = (covariance[left * width + right] as number) / divisor
      covariance[left * width + right] = value
      covariance[right * width + left] = value
    }
  }
  return { count, mean, covariance }
}
