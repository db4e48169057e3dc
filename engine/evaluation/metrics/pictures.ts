// How close one picture is to another: PSNR, SSIM, distance of deep features.

/** Values of a picture, channel by channel [channels, height, width], black 0 to white 1. */
export interface Picture {
  width: number
  height: number
  channels: number
  data: Float32Array
}

function checkAlike(a: Picture, b: Picture): void {
  if (a.width !== b.width || a.height !== b.height || a.channels !== b.channels) {
    const size = (picture: Picture): string => `${picture.channels}x${picture.height}x${picture.width}`
    throw new RangeError(`pictures of ${size(a)} and ${size(b)} cannot be compared`)
  }
}

export function meanSquareError(a: Picture, b: Picture): number {
  checkAlike(a, b)
  let sum = 0
  for (let index = 0; index < a.data.length; index++) {
    const difference = (a.data[index] as number) - (b.data[index] as number)
    sum += difference * difference
  }
  return sum / a.data.length
}

/** Peak signal-to-noise ratio in dB of values from 0 to 1; Infinity for equal pictures. */
export function psnr(reference: Picture, test: Picture): number {
  return -10 * Math.log10(meanSquareError(reference, test))
}

const SSIM_SIGMA = 1.5
/** The Gaussian is cut at 3.5 sigma: 11 taps. */
const SSIM_RADIUS = 5
const SSIM_C1 = 0.01 ** 2
const SSIM_C2 = 0.03 ** 2

function gaussian(): Float64Array {
  const taps = Float64Array.from({ length: 2 * SSIM_RADIUS + 1 }, (_, index) =>
    Math.exp(-((index - SSIM_RADIUS) ** 2) / (2 * SSIM_SIGMA ** 2)),
  )
  const sum = taps.reduce((total, tap) => total + tap, 0)
  return taps.map((tap) => tap / sum)
}

const TAPS = gaussian()

/** Gaussian means of a plane at the positions whose window lies within it: [height - 10, width - 10]. */
function localMeans(plane: Float64Array, width: number, height: number): Float64Array {
  const columns = width - 2 * SSIM_RADIUS
  const rows = height - 2 * SSIM_RADIUS
  const across = new Float64Array(columns * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0
      for (let tap = 0; tap < TAPS.length; tap++)
        sum += (TAPS[tap] as number) * (plane[y * width + x + tap] as number)
      across[y * columns + x] = sum
    }
  }
  const means = new Float64Array(columns * rows)
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0
      for (let tap = 0; tap < TAPS.length; tap++)
        sum += (TAPS[tap] as number) * (across[(y + tap) * columns + x] as number)
      means[y * columns + x] = sum
    }
  }
  return means
}

function ssimOfPlane(a: Float64Array, b: Float64Array, width: number, height: number): number {
  const means = (values: Float64Array): Float64Array => localMeans(values, width, height)
  const meanA = means(a)
  const meanB = means(b)
  const squareA = means(a.map((value) => value * value))
  const squareB = means(b.map((value) => value * value))
  const product = means(a.map((value, index) => value * (b[index] as number)))
  let sum = 0
  for (let index = 0; index < meanA.length; index++) {
    const [x, y] = [meanA[index] as number, meanB[index] as number]
    const varianceSum = (squareA[index] as number) - x * x + (squareB[index] as number) - y * y
    const covariance = (product[index] as number) - x * y
    sum +=
      ((2 * x * y + SSIM_C1) * (2 * covariance + SSIM_C2)) /
      ((x * x + y * y + SSIM_C1) * (varianceSum + SSIM_C2))
  }
  return sum / meanA.length
}

/**
 * Structural similarity (Wang et al. 2004): Gaussian window of sigma 1.5 and 11 taps, K1 0.01, K2 0.03, windows within the
 * picture only, mean over channels. null for pictures smaller than the window.
 */
export function ssim(reference: Picture, test: Picture): number | null {
  checkAlike(reference, test)
  const { width, height, channels } = reference
  if (Math.min(width, height) < TAPS.length) return null
  const size = width * height
  let sum = 0
  for (let channel = 0; channel < channels; channel++) {
    const plane = (picture: Picture): Float64Array =>
      Float64Array.from(picture.data.subarray(channel * size, (channel + 1) * size))
    sum += ssimOfPlane(plane(reference), plane(test), width, height)
  }
  return sum / channels
}

/** One layer's features of a picture: [channels, positions]. */
export interface FeatureMap {
  channels: number
  positions: number
  data: Float32Array
}

/** Keeps an all-zero position from dividing by zero (LPIPS reference code). */
const NORM_EPSILON = 1e-10

/**
 * Distance of deep features in the form of LPIPS (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features"):
 * every position normalised to unit length across channels, squared difference, mean over positions, sum over layers. All
 * channels weigh the same: the learned weights belong to other networks than the one given here.
 */
export function featureDistance(reference: readonly FeatureMap[], test: readonly FeatureMap[]): number {
  let distance = 0
  for (const [layer, left] of reference.entries()) {
    const right = test[layer]
    if (!right || right.channels !== left.channels || right.positions !== left.positions)
      throw new RangeError('features of different shapes cannot be compared')
    distance += layerDistance(left, right)
  }
  return distance
}

function layerDistance(left: FeatureMap, right: FeatureMap): number {
  const { channels, positions } = left
  let sum = 0
  for (let position = 0; position < positions; position++) {
    const [a, b] = [length(left, position), length(right, position)]
    for (let channel = 0; channel < channels; channel++) {
      const index = channel * positions + position
      const difference = (left.data[index] as number) / a - (right.data[index] as number) / b
      sum += difference * difference
    }
  }
  return sum / positions
}

function length({ channels, positions, data }: FeatureMap, position: number): number {
  let square = 0
  for (let channel = 0; channel < channels; channel++) {
    const value = data[channel * positions + position] as number
    square += value * value
  }
  return Math.sqrt(square) + NORM_EPSILON
}
