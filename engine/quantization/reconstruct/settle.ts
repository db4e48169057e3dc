// The last step of either method: single weights move to the integer where their row's error is least, all others fixed,
// until none can. AdaRound leaves weights that its choice of up or down cannot help any more, GPTQ the first columns,
// which it rounded without knowing the later ones.
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { roundHalfEven } from '../../calibration/grid.ts'
import { differences, forRowBatches, integerRange, type RoundingProblem } from './problem.ts'

/** Rarely are more than a handful needed. */
const MOST_SWEEPS = 20
/** Gains below this share of a weight's own error are left: rounding errors must not keep a sweep going. */
const LEAST_GAIN = 1e-9

/** target[0, size) += factor * hessian[row]. */
function addRow(
  hessian: Float64Array,
  row: number,
  factor: number,
  target: Float64Array,
  start: number,
  size: number,
): void {
  const source = row * size
  for (let index = 0; index < size; index++) {
    target[start + index] = (target[start + index] as number) + factor * (hessian[source + index] as number)
  }
}

/** Moves weights of one row; `products` is its difference times the Hessian and is kept up to date. */
function settleRow(problem: RoundingProblem, row: number, integers: Int8Array, products: Float64Array): void {
  const { columns, scales, hessian, bits } = problem
  const { lowest, highest } = integerRange(bits)
  const start = row * columns
  for (let sweep = 0, moved = true; sweep < MOST_SWEEPS && moved; sweep++) {
    moved = false
    for (let column = 0; column < columns; column++) {
      const diagonal = hessian[column * (columns + 1)] as number
      if (!(diagonal > 0)) continue
      const scale = scales[start + column] as number
      const slope = products[start + column] as number
      const integer = integers[start + column] as number
      const best = roundHalfEven(integer - slope / (diagonal * scale))
      const wanted = Math.min(highest, Math.max(lowest, best))
      const change = (wanted - integer) * scale
      if (!(change * (2 * slope + change * diagonal) < -LEAST_GAIN * diagonal * scale * scale)) continue
      integers[start + column] = wanted
      addRow(hessian, column, change, products, start, columns)
      moved = true
    }
  }
}

/**
 * Changes integers where that lowers the error of their row; the error never grows.
 * @throws E_CANCELLED
 */
export function settle(problem: RoundingProblem, integers: Int8Array, context: WorkContext = {}): void {
  const { rows, columns, hessian } = problem
  const difference = differences(problem, integers)
  const products = new Float64Array(rows * columns)
  forRowBatches(rows, (first, end) => {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
    for (let column = 0; column < columns; column++) {
      for (let row = first; row < end; row++) {
        const factor = difference[row * columns + column] as number
        if (factor !== 0) addRow(hessian, column, factor, products, row * columns, columns)
      }
    }
    for (let row = first; row < end; row++) settleRow(problem, row, integers, products)
  })
}
