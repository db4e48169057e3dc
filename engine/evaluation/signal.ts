// How far one tensor is from another: signal-to-quantization-noise ratio, cosine similarity, largest error.

/** Sums over element pairs; additive, so that figures can be pooled over samples and outputs exactly. */
export interface SignalSums {
  count: number
  /** Sum of squares of the reference. */
  reference: number
  /** Sum of squares of the tested tensor. */
  test: number
  /** Sum of products. */
  product: number
  /** Sum of squared differences. */
  noise: number
  maxAbsError: number
  /** Elements that are NaN or infinite in the tested tensor but finite in the reference; left out of the sums. */
  nonFinite: number
}

export type NumericArray = ArrayLike<number>

export function emptySums(): SignalSums {
  return { count: 0, reference: 0, test: 0, product: 0, noise: 0, maxAbsError: 0, nonFinite: 0 }
}

/**
 * Sums of two tensors of equal length, in float64.
 * @throws RangeError when the lengths differ
 */
export function signalSums(reference: NumericArray, test: NumericArray): SignalSums {
  if (reference.length !== test.length) {
    throw new RangeError(`tensors of ${reference.length} and ${test.length} elements cannot be compared`)
  }
  const sums = emptySums()
  for (let index = 0; index < reference.length; index++) {
    const x = Number(reference[index])
    const y = Number(test[index])
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      if (Number.isFinite(x)) sums.nonFinite++
      continue
    }
    const difference = x - y
    sums.count++
    sums.reference += x * x
    sums.test += y * y
    sums.product += x * y
    sums.noise += difference * difference
    sums.maxAbsError = Math.max(sums.maxAbsError, Math.abs(difference))
  }
  return sums
}

/** Pools two sets of sums. */
export function addSums(left: SignalSums, right: SignalSums): SignalSums {
  return {
    count: left.count + right.count,
    reference: left.reference + right.reference,
    test: left.test + right.test,
    product: left.product + right.product,
    noise: left.noise + right.noise,
    maxAbsError: Math.max(left.maxAbsError, right.maxAbsError),
    nonFinite: left.nonFinite + right.nonFinite,
  }
}

/** 10 log10(signal power / noise power) in dB; +Infinity for identical tensors, -Infinity for a silent reference. */
export function sqnrFromSums(sums: SignalSums): number {
  if (sums.nonFinite > 0) return -Infinity
  if (sums.noise === 0) return Infinity
  return 10 * Math.log10(sums.reference / sums.noise)
}

/** Cosine of the angle between the tensors; 1 when both are zero, 0 when one is. */
export function cosineFromSums(sums: SignalSums): number {
  if (sums.reference === 0 && sums.test === 0) return 1
  if (sums.reference === 0 || sums.test === 0) return 0
  return Math.max(-1, Math.min(1, sums.product / Math.sqrt(sums.reference * sums.test)))
}

/** Signal-to-quantization-noise ratio of `test` against `reference`, in dB. */
export function sqnrDb(reference: NumericArray, test: NumericArray): number {
  return sqnrFromSums(signalSums(reference, test))
}

/** Cosine similarity of two tensors of equal length. */
export function cosineSimilarity(reference: NumericArray, test: NumericArray): number {
  return cosineFromSums(signalSums(reference, test))
}
