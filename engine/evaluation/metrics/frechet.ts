// Frechet distance between two sets of features (FID, Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule"):
// |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)).
import { type Features, type Moments, moments } from './features.ts'
import { type Factor, pivotedCholesky, sandwich, symmetricEigenvalues } from './symmetric.ts'

/** What a fixed side of many distances needs once: its moments and a factor of its covariance. */
export interface FrechetReference {
  moments: Moments
  factor: Factor
}

export function frechetReference(of: Moments): FrechetReference {
  return { moments: of, factor: pivotedCholesky(of.covariance, of.mean.length) }
}

/**
 * Tr((C1 C2)^(1/2)): with C1 = F F^T, the eigenvalues of C1 C2 are those of the symmetric F^T C2 F, which are real and not
 * negative; no complex square root, no instability of an iteration. The side with the lower rank is the one that is factored:
 * of 256 pictures with 2048 features, that is a matrix of 255.
 */
function traceOfRoot({ moments: fixed, factor }: FrechetReference, test: Moments): number {
  const few = test.count <= factor.rank
  const own = few ? pivotedCholesky(test.covariance, test.mean.length) : factor
  const product = sandwich(few ? fixed.covariance : test.covariance, own)
  // Rounding makes small eigenvalues negative.
  return symmetricEigenvalues(product, own.rank).reduce(
    (sum, value) => sum + Math.sqrt(Math.max(0, value)),
    0,
  )
}

/**
 * Frechet distance of a set's moments to a reference.
 * @throws RangeError when the widths differ or values are not finite
 */
export function frechetDistance(reference: FrechetReference, test: Moments): number {
  const { mean, covariance } = reference.moments
  if (mean.length !== test.mean.length)
    throw new RangeError(`features of width ${mean.length} and ${test.mean.length} cannot be compared`)
  const width = mean.length
  let distance = 0
  for (let index = 0; index < width; index++) {
    const difference = (mean[index] as number) - (test.mean[index] as number)
    const diagonal = index * (width + 1)
    distance +=
      difference * difference + (covariance[diagonal] as number) + (test.covariance[diagonal] as number)
  }
  return Math.max(0, distance - 2 * traceOfRoot(reference, test))
}

/** FID of two sets of features of equal width. */
export function fid(reference: Features, test: Features): number {
  return frechetDistance(frechetReference(moments(reference)), moments(test))
}
