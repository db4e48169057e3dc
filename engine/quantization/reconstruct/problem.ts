// The rounding problem of one weight matrix: integers whose error changes the layer's output least. With inputs x and
// H = E[x x^T], the mean squared error of output channel r is d_r H d_r^T, d = scale * integer - weight.
import { roundHalfEven } from '../../calibration/grid.ts'
import type { WeightBits } from '../rules.ts'

export interface RoundingProblem {
  /** Output channels. */
  rows: number
  /** Inputs of a row. */
  columns: number
  bits: WeightBits
  /** rows x columns, row after row. */
  weights: Float32Array
  /** The step of each weight, like `weights`. */
  scales: Float32Array
  /** columns x columns, symmetric and positive semidefinite: the mean product of every two inputs. */
  hessian: Float64Array
}

export interface IntegerRange {
  lowest: number
  highest: number
}

export function integerRange(bits: WeightBits): IntegerRange {
  return { lowest: -(2 ** (bits - 1)), highest: 2 ** (bits - 1) - 1 }
}

/** clamp(round(w / scale)), as the plan rounds weights that nothing else has rounded. */
export function nearestIntegers(problem: RoundingProblem): Int8Array {
  const { lowest, highest } = integerRange(problem.bits)
  return Int8Array.from(problem.weights, (weight, index) => {
    const q = roundHalfEven(Math.fround(weight / (problem.scales[index] as number)))
    return Math.min(highest, Math.max(lowest, q))
  })
}

/** Sum over j < end of a[j] * b[j], the vectors starting at the given places. Four sums keep the processor busy. */
export function dot(
  a: Float64Array,
  aStart: number,
  b: Float64Array,
  bStart: number,
  length: number,
): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  let index = 0
  for (; index + 4 <= length; index += 4) {
    s0 += (a[aStart + index] as number) * (b[bStart + index] as number)
    s1 += (a[aStart + index + 1] as number) * (b[bStart + index + 1] as number)
    s2 += (a[aStart + index + 2] as number) * (b[bStart + index + 2] as number)
    s3 += (a[aStart + index + 3] as number) * (b[bStart + index + 3] as number)
  }
  for (; index < length; index++) s0 += (a[aStart + index] as number) * (b[bStart + index] as number)
  return s0 + s1 + (s2 + s3)
}

/** Rows worked on together: they stay in the cache while the Hessian goes by once. */
const ROWS_TOGETHER = 16

/** Calls `visit` for every batch of rows. */
export function forRowBatches(rows: number, visit: (first: number, end: number) => void): void {
  for (let first = 0; first < rows; first += ROWS_TOGETHER)
    visit(first, Math.min(rows, first + ROWS_TOGETHER))
}

/** v H v^T for every row v of a rows x columns matrix: only the lower triangle of H is read. */
export function quadraticForms(
  vectors: Float64Array,
  rows: number,
  columns: number,
  hessian: Float64Array,
): Float64Array {
  const forms = new Float64Array(rows)
  forRowBatches(rows, (first, end) => {
    for (let column = 0; column < columns; column++) {
      const start = column * columns
      const diagonal = hessian[start + column] as number
      for (let row = first; row < end; row++) {
        const value = vectors[row * columns + column] as number
        if (value === 0) continue
        const below = dot(hessian, start, vectors, row * columns, column)
        forms[row] = (forms[row] as number) + value * (2 * below + value * diagonal)
      }
    }
  })
  return forms
}

/** scale * integer - weight of every element. */
export function differences({ weights, scales }: RoundingProblem, integers: Int8Array): Float64Array {
  return Float64Array.from(integers, (q, index) => q * (scales[index] as number) - (weights[index] as number))
}

/** Mean squared output error of each row for a choice of integers. */
export function rowErrors(problem: RoundingProblem, integers: Int8Array): Float64Array {
  const { rows, columns, hessian } = problem
  return quadraticForms(differences(problem, integers), rows, columns, hessian)
}

/** Mean squared output of each row. */
export function rowPowers({ rows, columns, weights, hessian }: RoundingProblem): Float64Array {
  return quadraticForms(Float64Array.from(weights), rows, columns, hessian)
}

export interface RoundingChoice {
  integers: Int8Array
  /** Mean squared error over the rows together: rounded to the nearest, and as chosen. */
  nearestError: number
  error: number
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Takes each row from `candidate` where that has the smaller error, else rounds it to the nearest. */
export function betterRows(problem: RoundingProblem, candidate: Int8Array): RoundingChoice {
  const integers = nearestIntegers(problem)
  const nearest = rowErrors(problem, integers)
  const errors = rowErrors(problem, candidate)
  for (let row = 0; row < problem.rows; row++) {
    // Written so that an error that is not a number keeps the nearest.
    if (!((errors[row] as number) < (nearest[row] as number))) {
      errors[row] = nearest[row] as number
      continue
    }
    const start = row * problem.columns
    integers.set(candidate.subarray(start, start + problem.columns), start)
  }
  return { integers, nearestError: sum(nearest), error: sum(errors) }
}
