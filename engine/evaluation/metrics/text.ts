// How well a language model predicts, and how far one model's predictions are from another's. In nats.

/** log(sum(exp(x))) of a row, from its largest element so that nothing overflows. */
function logSumExp(logits: Float32Array, start: number, width: number): number {
  let largest = -Infinity
  for (let index = start; index < start + width; index++) largest = Math.max(largest, logits[index] as number)
  let sum = 0
  for (let index = start; index < start + width; index++) sum += Math.exp((logits[index] as number) - largest)
  return largest + Math.log(sum)
}

/**
 * Negative log-likelihood of the expected token at every position.
 * @param logits [positions, vocabulary]
 */
export function negativeLogLikelihoods(
  logits: Float32Array,
  vocabulary: number,
  expected: ArrayLike<number>,
): Float64Array {
  return Float64Array.from({ length: expected.length }, (_, position) => {
    const start = position * vocabulary
    const token = expected[position] as number
    return logSumExp(logits, start, vocabulary) - (logits[start + token] as number)
  })
}

/** exp of the mean loss per token. */
export function perplexity(lossSum: number, tokens: number): number {
  return Math.exp(lossSum / tokens)
}

/** KL(reference || test) of the predicted distributions at every position of [positions, vocabulary]. */
export function klDivergences(reference: Float32Array, test: Float32Array, vocabulary: number): Float64Array {
  const positions = Math.floor(reference.length / vocabulary)
  return Float64Array.from({ length: positions }, (_, position) => {
    const start = position * vocabulary
    const left = logSumExp(reference, start, vocabulary)
    const right = logSumExp(test, start, vocabulary)
    let sum = 0
    for (let index = start; index < start + vocabulary; index++) {
      const logP = (reference[index] as number) - left
      sum += Math.exp(logP) * (logP - ((test[index] as number) - right))
    }
    // Rounding of nearly equal distributions.
    return Math.max(0, sum)
  })
}

/** Positions of the `k` largest values of a row, largest first; the lower position first among equals. */
export function topPositions(values: Float32Array, start: number, width: number, k: number): number[] {
  const best: number[] = []
  for (let index = 0; index < width; index++) {
    const value = values[start + index] as number
    let place = best.length
    while (place > 0 && value > (values[start + (best[place - 1] as number)] as number)) place--
    if (place < k) best.splice(place, 0, index)
    if (best.length > k) best.pop()
  }
  return best
}

/** 1 where both models would say the same token, 0 elsewhere. */
export function topAgreements(reference: Float32Array, test: Float32Array, vocabulary: number): Uint8Array {
  const positions = Math.floor(reference.length / vocabulary)
  return Uint8Array.from({ length: positions }, (_, position) => {
    const start = position * vocabulary
    const [left] = topPositions(reference, start, vocabulary, 1)
    const [right] = topPositions(test, start, vocabulary, 1)
    return left === right ? 1 : 0
  })
}

/** 1 where the label is among the k largest scores, 0 elsewhere. */
export function topHits(
  scores: Float32Array,
  classes: number,
  labels: ArrayLike<number>,
  k: number,
): Uint8Array {
  return Uint8Array.from({ length: labels.length }, (_, row) =>
    topPositions(scores, row * classes, classes, k).includes(labels[row] as number) ? 1 : 0,
  )
}
