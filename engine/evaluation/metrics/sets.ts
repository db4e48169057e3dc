// Distances and overlaps of two sets of features: KID, precision and recall. Both come from the same products of vectors, which
// are formed once per pair: of 5000 pictures with 2048 features they are most of the work.
import type { Features } from './features.ts'

/** Products of one vector with the vectors of a set up to `end`, four at a time, each summed in order in float64. */
function products(x: Float64Array, { data, width }: Features, end: number, out: Float64Array): void {
  let j = 0
  for (; j + 4 <= end; j += 4) {
    const start = j * width
    let [a, b, c, d] = [0, 0, 0, 0]
    for (let k = 0; k < width; k++) {
      const value = x[k] as number
      a += value * (data[start + k] as number)
      b += value * (data[start + width + k] as number)
      c += value * (data[start + 2 * width + k] as number)
      d += value * (data[start + 3 * width + k] as number)
    }
    out[j] = a
    out[j + 1] = b
    out[j + 2] = c
    out[j + 3] = d
  }
  for (; j < end; j++) {
    let sum = 0
    for (let k = 0; k < width; k++) sum += (x[k] as number) * (data[j * width + k] as number)
    out[j] = sum
  }
}

function vectorAt({ data, width }: Features, row: number, into: Float64Array): Float64Array {
  into.set(data.subarray(row * width, (row + 1) * width))
  return into
}

/** (x.y / width + 1)^3: the kernel of KID. */
function kernel(product: number, width: number): number {
  const value = product / width + 1
  return value * value * value
}

/** What a set says of itself: needed once, however many sets it is compared with. */
export interface FeatureSet {
  features: Features
  /** Squared lengths. */
  norms: Float64Array
  /** Squared distance of every vector to its k-th nearest neighbour within the set. */
  radii: Float64Array
  /** Sum of the kernel with all other vectors of the set. */
  kernels: Float64Array
}

/** Nearest neighbours that make a neighbourhood (Kynkaanniemi et al. 2019, section 3.1). */
const NEIGHBOURS = 3

/** Keeps the `length` smallest values of a row in order. */
function keepSmallest(nearest: Float64Array, start: number, length: number, value: number): void {
  let place = start + length - 1
  if (!(value < (nearest[place] as number))) return
  for (; place > start && (nearest[place - 1] as number) > value; place--)
    nearest[place] = nearest[place - 1] as number
  nearest[place] = value
}

/** @param neighbours Fewer where the set is smaller. */
export function featureSet(features: Features, neighbours = NEIGHBOURS): FeatureSet {
  const { count, width } = features
  const k = Math.max(1, Math.min(neighbours, count - 1))
  const nearest = new Float64Array(count * k).fill(Infinity)
  const norms = new Float64Array(count)
  const kernels = new Float64Array(count)
  const row = new Float64Array(count)
  const vector = new Float64Array(width)
  for (let i = 0; i < count; i++) {
    products(vectorAt(features, i, vector), features, i + 1, row)
    norms[i] = row[i] as number
    for (let j = 0; j < i; j++) {
      const product = row[j] as number
      const similar = kernel(product, width)
      kernels[i] = (kernels[i] as number) + similar
      kernels[j] = (kernels[j] as number) + similar
      const distance = squaredDistance(norms[i] as number, norms[j] as number, product)
      keepSmallest(nearest, i * k, k, distance)
      keepSmallest(nearest, j * k, k, distance)
    }
  }
  const radii = Float64Array.from({ length: count }, (_, index) => nearest[index * k + k - 1] as number)
  return { features, norms, radii: count > 1 ? radii : new Float64Array(count), kernels }
}

/** |x - y|^2; the same bits whichever is first. */
function squaredDistance(left: number, right: number, product: number): number {
  return Math.max(0, left + right - 2 * product)
}

/** How a generated set lies to a real one. */
export interface SetComparison {
  kid: number
  /** Jackknife pseudo-values of KID over the generated vectors: their mean is the KID, their scatter is its own. */
  kidValues: Float64Array
  /** 1 for every generated vector within the neighbourhood of a real one: their share is the precision. */
  precise: Uint8Array
  /** 1 for every real vector within the neighbourhood of a generated one: their share is the recall. */
  recalled: Uint8Array
}

/**
 * KID (Binkowski et al. 2018, "Demystifying MMD GANs"): the unbiased squared maximum mean discrepancy with the cubic kernel,
 * over all pairs, which is what the usual mean over random subsets estimates. Precision and recall after Kynkaanniemi et al.
 * 2019, "Improved Precision and Recall Metric for Assessing Generative Models".
 * @throws RangeError when the widths differ
 */
export function compareSets(real: FeatureSet, generated: FeatureSet): SetComparison {
  const { width } = real.features
  if (width !== generated.features.width)
    throw new RangeError(`features of width ${width} and ${generated.features.width} cannot be compared`)
  const [m, n] = [real.features.count, generated.features.count]
  const precise = new Uint8Array(n)
  const recalled = new Uint8Array(m)
  const crossKernels = new Float64Array(n)
  const row = new Float64Array(n)
  const vector = new Float64Array(width)
  for (let i = 0; i < m; i++) {
    products(vectorAt(real.features, i, vector), generated.features, n, row)
    for (let j = 0; j < n; j++) {
      const product = row[j] as number
      crossKernels[j] = (crossKernels[j] as number) + kernel(product, width)
      const distance = squaredDistance(real.norms[i] as number, generated.norms[j] as number, product)
      if (distance <= (real.radii[i] as number)) precise[j] = 1
      if (distance <= (generated.radii[j] as number)) recalled[i] = 1
    }
  }
  return { ...kidOf(real.kernels, generated.kernels, crossKernels), precise, recalled }
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0)
}

function kidOf(
  real: Float64Array,
  generated: Float64Array,
  cross: Float64Array,
): Pick<SetComparison, 'kid' | 'kidValues'> {
  const [m, n] = [real.length, generated.length]
  const [within, between] = [total(generated), total(cross)]
  const fixed = total(real) / (m * (m - 1))
  const kid = fixed + within / (n * (n - 1)) - (2 * between) / (m * n)
  // Without vector j; every pair it is in counts twice in `within`.
  const kidValues = generated.map((own, j) => {
    const others = (within - 2 * own) / ((n - 1) * (n - 2))
    const without = fixed + others - (2 * (between - (cross[j] as number))) / (m * (n - 1))
    return n * kid - (n - 1) * without
  })
  return { kid, kidValues }
}

/** KID of two sets; sets of equal origin scatter around zero, below it too. */
export function kid(reference: Features, test: Features): number {
  return compareSets(featureSet(reference), featureSet(test)).kid
}

/** Share of generated vectors near real ones, and of real vectors near generated ones. */
export function precisionRecall(
  real: Features,
  generated: Features,
  neighbours = NEIGHBOURS,
): { precision: number; recall: number } {
  const { precise, recalled } = compareSets(featureSet(real, neighbours), featureSet(generated, neighbours))
  const share = (hits: Uint8Array): number => hits.reduce((sum, hit) => sum + hit, 0) / hits.length
  return { precision: share(precise), recall: share(recalled) }
}
