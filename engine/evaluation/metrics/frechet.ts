// Frechet distance between two sets of features (FID, Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule"):
// |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)).
import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { type Features, type Moments, moments } from './features.ts'

function toMatrix(values: Float64Array): Matrix {
  const width = Math.sqrt(values.length)
  return Matrix.from1DArray(width, width, values)
}

/** The symmetric square root of a covariance; eigenvalues that rounding made negative count as zero. */
function squareRoot(covariance: Matrix): Matrix {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, {
    assumeSymmetric: true,
  })
  const scaled = eigenvectorMatrix.clone()
  realEigenvalues.forEach((value, column) => scaled.mulColumn(column, Math.sqrt(Math.max(0, value))))
  return scaled.mmul(eigenvectorMatrix.transpose())
}

/** Tr(M^(1/2)) of a symmetric positive semidefinite matrix. */
function traceOfRoot(matrix: Matrix): number {
  // Rounding leaves the product slightly unsymmetric, which the decomposition is told not to look for.
  const symmetric = Matrix.add(matrix, matrix.transpose()).mul(0.5)
  const { realEigenvalues } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true })
  return realEigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0)
}

/** What a fixed side of many distances needs once: its moments and the square root of its covariance. */
export interface FrechetReference {
  moments: Moments
  root: Matrix
}

export function frechetReference(of: Moments): FrechetReference {
  return { moments: of, root: squareRoot(toMatrix(of.covariance)) }
}

/**
 * Frechet distance of a set's moments to a reference. The trace of (C1 C2)^(1/2) is that of the symmetric
 * (C1^(1/2) C2 C1^(1/2))^(1/2), whose eigenvalues are real: no complex square root, no instability of an iteration.
 * @throws RangeError when the widths differ
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
  const product = reference.root.mmul(toMatrix(test.covariance)).mmul(reference.root)
  return Math.max(0, distance - 2 * traceOfRoot(product))
}

/** FID of two sets of features of equal width. */
export function fid(reference: Features, test: Features): number {
  return frechetDistance(frechetReference(moments(reference)), moments(test))
}
