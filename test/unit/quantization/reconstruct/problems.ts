// Rounding problems for tests, and slow reference answers to them.
import type { RoundingProblem } from '../../../../engine/quantization/reconstruct/problem.ts'

/** The same numbers for the same seed, in [0, 1): a linear congruential generator (Numerical Recipes). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** x^T x / rows of correlated random inputs; `rank` inputs below the number of columns make it singular. */
export function randomHessian(columns: number, random: () => number, rank = 4 * columns): Float64Array {
  const hessian = new Float64Array(columns * columns)
  for (let sample = 0; sample < rank; sample++) {
    const common = random() - 0.5
    const x = Array.from({ length: columns }, () => random() - 0.5 + common)
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) hessian[i * columns + j]! += (x[i]! * x[j]!) / rank
    }
  }
  return hessian
}

export function randomProblem(
  seed: number,
  options: { rows?: number; columns?: number; bits?: 4 | 8; rank?: number } = {},
): RoundingProblem {
  const { rows = 3, columns = 6, bits = 4 } = options
  const random = randomNumbers(seed)
  const hessian = randomHessian(columns, random, options.rank)
  const weights = Float32Array.from({ length: rows * columns }, () => random() * 2 - 1)
  const scales = new Float32Array(rows * columns)
  for (let row = 0; row < rows; row++) scales.fill(0.1 + 0.1 * random(), row * columns, (row + 1) * columns)
  return { rows, columns, bits, weights, scales, hessian }
}

/** d H d^T by its definition. */
export function slowRowError(problem: RoundingProblem, row: number, integers: ArrayLike<number>): number {
  const { columns, weights, scales, hessian } = problem
  const d = Array.from({ length: columns }, (_, column) => {
    const place = row * columns + column
    return integers[place]! * scales[place]! - weights[place]!
  })
  let error = 0
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < columns; j++) error += d[i]! * hessian[i * columns + j]! * d[j]!
  }
  return error
}

/** Least error of a row over every choice of rounding down or up. */
export function bestUpOrDown(problem: RoundingProblem, row: number): number {
  const { columns, weights, scales } = problem
  const highest = 2 ** (problem.bits - 1) - 1
  const clamp = (q: number): number => Math.max(-highest - 1, Math.min(highest, q))
  let best = Infinity
  for (let choice = 0; choice < 2 ** columns; choice++) {
    const integers = new Int8Array(problem.rows * columns)
    for (let column = 0; column < columns; column++) {
      const place = row * columns + column
      integers[place] = clamp(Math.floor(weights[place]! / scales[place]!) + ((choice >> column) & 1))
    }
    best = Math.min(best, slowRowError(problem, row, integers))
  }
  return best
}

export function multiply(vectors: Float32Array, { columns, hessian }: RoundingProblem): Float32Array {
  const result = new Float32Array(vectors.length)
  for (let place = 0; place < vectors.length; place++) {
    const start = Math.floor(place / columns) * columns
    let sum = 0
    for (let j = 0; j < columns; j++) sum += vectors[start + j]! * hessian[j * columns + (place - start)]!
    result[place] = sum
  }
  return result
}
