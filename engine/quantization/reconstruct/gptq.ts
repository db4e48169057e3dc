// GPTQ (Frantar et al. 2022): weights are rounded column by column, and the error of every column is made up for by the
// columns still to come. Columns of large mean square input come first (act-order), as in AMCT's GPTQ.
//
// The reference updates the remaining weights through the Cholesky factor of the inverse Hessian. The same integers
// follow without the inverse (LDLQ, Chee et al. 2023): with H = (I + A) D (I + A)^T, A strictly upper triangular in
// rounding order, column k is rounded at w_k - sum over j < k of error_j * A_jk, error = quantized - weight.
import type { WorkContext } from '../../../contract/work.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { roundHalfEven } from '../../calibration/grid.ts'
import { choleskyUpper } from './cholesky.ts'
import { dot, forRowBatches, integerRange, nearestIntegers, type RoundingProblem } from './problem.ts'

export interface GptqSettings {
  /** Share of the mean diagonal added to the Hessian's diagonal. */
  dampening: number
  /** Columns whose feedback from earlier columns is gathered at once: speed only, the integers do not depend on it. */
  blockSize: number
}

/** Tried in turn when rounding errors make a nearly singular matrix indefinite. */
const DAMPENING_GROWTH = [1, 10, 100]

/** Columns in the order of rounding: largest diagonal first, equal ones by index. */
function actOrder(hessian: Float64Array, size: number): Uint32Array {
  const diagonal = (index: number): number => hessian[index * size + index] as number
  return Uint32Array.from({ length: size }, (_, index) => index).sort(
    (a, b) => diagonal(b) - diagonal(a) || a - b,
  )
}

/**
 * The Cholesky factor of the damped Hessian with its columns in the opposite of the rounding order: row i, divided by
 * its diagonal, holds the feedback of all columns rounded before column i in positions i + 1 to size - 1.
 */
function feedbackFactor(
  { hessian, columns: size }: RoundingProblem,
  reversed: Uint32Array,
  dampening: number,
  check: () => void,
): Float64Array | undefined {
  const mean = reversed.reduce((sum, index) => sum + (hessian[index * size + index] as number), 0) / size
  if (!(mean > 0) || !Number.isFinite(mean)) return undefined
  const factor = new Float64Array(size * size)
  for (const growth of DAMPENING_GROWTH) {
    for (let row = 0; row < size; row++) {
      const start = (reversed[row] as number) * size
      for (let column = row; column < size; column++) {
        factor[row * size + column] = hessian[start + (reversed[column] as number)] as number
      }
      factor[row * size + row] = (factor[row * size + row] as number) + dampening * growth * mean
    }
    if (choleskyUpper(factor, size, check)) return factor
  }
  return undefined
}

/** The columns of a matrix in working order. */
function inOrder(values: Float32Array, rows: number, reversed: Uint32Array): Float64Array {
  const size = reversed.length
  const result = new Float64Array(rows * size)
  for (let row = 0; row < rows; row++) {
    for (let position = 0; position < size; position++) {
      result[row * size + position] = values[row * size + (reversed[position] as number)] as number
    }
  }
  return result
}

interface Block {
  rows: number
  size: number
  /** Positions of the block: start to end - 1. */
  start: number
  end: number
}

/** What the columns rounded before a block add to its targets, row after row, still to be divided by the diagonal. */
function gatherFeedback(
  factor: Float64Array,
  errors: Float64Array,
  feedback: Float64Array,
  { rows, size, start, end }: Block,
): void {
  const width = end - start
  forRowBatches(rows, (first, last) => {
    for (let position = start; position < end; position++) {
      for (let row = first; row < last; row++) {
        feedback[row * width + position - start] = dot(
          factor,
          position * size + end,
          errors,
          row * size + end,
          size - end,
        )
      }
    }
  })
}

/**
 * Rounds the weights of a problem.
 * @returns integers like `problem.weights`; those rounded to the nearest when the Hessian is zero or not usable
 * @throws E_CANCELLED
 */
export function gptqIntegers(
  problem: RoundingProblem,
  { dampening, blockSize }: GptqSettings,
  context: WorkContext = {},
): Int8Array {
  const { rows, columns: size, weights, scales, bits } = problem
  const check = (): void => {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
  }
  const reversed = actOrder(problem.hessian, size).reverse()
  const factor = feedbackFactor(problem, reversed, dampening, check)
  const integers = nearestIntegers(problem)
  if (!factor) return integers
  const { lowest, highest } = integerRange(bits)
  const targets = inOrder(weights, rows, reversed)
  const steps = inOrder(scales, rows, reversed)
  const errors = new Float64Array(rows * size)
  const feedback = new Float64Array(rows * blockSize)

  // From the last position, the first column in rounding order, to position 0.
  for (let end = size; end > 0; end -= blockSize) {
    check()
    const start = Math.max(0, end - blockSize)
    gatherFeedback(factor, errors, feedback, { rows, size, start, end })
    for (let row = 0; row < rows; row++) {
      for (let position = end - 1; position >= start; position--) {
        const diagonal = position * size + position
        const place = row * size + position
        const inBlock = dot(factor, diagonal + 1, errors, place + 1, end - position - 1)
        const earlier = feedback[row * (end - start) + position - start] as number
        const target = targets[place] as number
        const scale = steps[place] as number
        const q = roundHalfEven((target - (inBlock + earlier) / (factor[diagonal] as number)) / scale)
        const integer = Math.min(highest, Math.max(lowest, q))
        errors[place] = integer * scale - target
        integers[row * size + (reversed[position] as number)] = integer
      }
    }
  }
  return integers
}
