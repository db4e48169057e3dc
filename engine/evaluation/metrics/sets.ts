// Distances and overlaps of two sets of features: KID, precision and recall.
import { createRandom, randomIndex } from '../../common/random.ts'
import { type Features, pickFeatures } from './features.ts'

function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, width: number): number {
  let sum = 0
  for (let index = 0; index < width; index++)
    sum += (a[aStart + index] as number) * (b[bStart + index] as number)
  return sum
}

/** Sum of (x.y / width + 1)^3 over all pairs; pairs of equal position are left out when `distinct`. */
function kernelSum(left: Features, right: Features, distinct: boolean): number {
  const { width } = left
  let sum = 0
  for (let i = 0; i < left.count; i++) {
    for (let j = 0; j < right.count; j++) {
      if (distinct && i === j) continue
      const value = dot(left.data, i * width, right.data, j * width, width) / width + 1
      sum += value * value * value
    }
  }
  return sum
}

/** Unbiased squared maximum mean discrepancy with the cubic polynomial kernel. */
function unbiasedDiscrepancy(left: Features, right: Features): number {
  const [m, n] = [left.count, right.count]
  return (
    kernelSum(left, left, true) / (m * (m - 1)) +
    kernelSum(right, right, true) / (n * (n - 1)) -
    (2 * kernelSum(left, right, false)) / (m * n)
  )
}

export interface KidOptions {
  /** Vectors of each set in a subset; the whole sets when they are smaller. */
  subsetSize?: number
  subsets?: number
  seed?: number
}

/** Positions drawn without replacement (Fisher-Yates, stopped early). */
function subset(count: number, size: number, next: () => number): Uint32Array {
  const positions = Uint32Array.from({ length: count }, (_, index) => index)
  for (let place = 0; place < size; place++) {
    const other = place + randomIndex(next, count - place)
    const value = positions[other] as number
    positions[other] = positions[place] as number
    positions[place] = value
  }
  return positions.subarray(0, size)
}

/**
 * Kernel inception distance (Binkowski et al. 2018, "Demystifying MMD GANs"): mean over random subsets. Unbiased, so sets
 * of equal origin scatter around zero, below it too.
 */
export function kid(reference: Features, test: Features, options: KidOptions = {}): number {
  const { subsetSize = 1000, subsets = 100, seed = 1 } = options
  const size = Math.min(subsetSize, reference.count, test.count)
  if (size === Math.max(reference.count, test.count)) return unbiasedDiscrepancy(reference, test)
  const next = createRandom(seed)
  let sum = 0
  for (let round = 0; round < subsets; round++) {
    const left = pickFeatures(reference, subset(reference.count, size, next))
    sum += unbiasedDiscrepancy(left, pickFeatures(test, subset(test.count, size, next)))
  }
  return sum / subsets
}

function squaredDistance(
  a: Float32Array,
  aStart: number,
  b: Float32Array,
  bStart: number,
  width: number,
): number {
  let sum = 0
  for (let index = 0; index < width; index++) {
    const difference = (a[aStart + index] as number) - (b[bStart + index] as number)
    sum += difference * difference
  }
  return sum
}

/** Squared distance of every vector to its k-th nearest neighbour within the set. */
function neighbourRadii({ count, width, data }: Features, k: number): Float64Array {
  const radii = new Float64Array(count)
  const distances = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++)
      distances[j] = i === j ? -1 : squaredDistance(data, i * width, data, j * width, width)
    // Position 0 is the vector itself.
    radii[i] = distances.slice().sort()[Math.min(k, count - 1)] as number
  }
  return radii
}

/** Share of `points` that lie within the neighbourhood of a vector of `manifold`. */
function covered(points: Features, manifold: Features, radii: Float64Array): number {
  const { width } = points
  let inside = 0
  for (let i = 0; i < points.count; i++) {
    for (let j = 0; j < manifold.count; j++) {
      const distance = squaredDistance(points.data, i * width, manifold.data, j * width, width)
      if (distance <= (radii[j] as number)) {
        inside++
        break
      }
    }
  }
  return inside / points.count
}

/**
 * Precision and recall of a generated set (Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing
 * Generative Models"): share of generated vectors near real ones, and of real vectors near generated ones.
 */
export function precisionRecall(
  real: Features,
  generated: Features,
  neighbours = 3,
): { precision: number; recall: number } {
  return {
    precision: covered(generated, real, neighbourRadii(real, neighbours)),
    recall: covered(real, generated, neighbourRadii(generated, neighbours)),
  }
}
