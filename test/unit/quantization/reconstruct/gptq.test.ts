// GPTQ against a slow implementation of the paper's algorithm, with the explicit inverse of the Hessian.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gptqIntegers } from '../../../../engine/quantization/reconstruct/gptq.ts'
import {
  betterRows,
  nearestIntegers,
  type RoundingProblem,
  rowErrors,
} from '../../../../engine/quantization/reconstruct/problem.ts'
import { settle } from '../../../../engine/quantization/reconstruct/settle.ts'
import { bestUpOrDown, randomProblem, slowRowError } from './problems.ts'

/** Gauss-Jordan with pivoting. */
function inverse(matrix: number[][]): number[][] {
  const size = matrix.length
  const work = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))])
  for (let column = 0; column < size; column++) {
    let pivot = column
    for (let row = column; row < size; row++) {
      if (Math.abs(work[row]![column]!) > Math.abs(work[pivot]![column]!)) pivot = row
    }
    ;[work[column], work[pivot]] = [work[pivot]!, work[column]!]
    const divisor = work[column]![column]!
    work[column] = work[column]!.map((value) => value / divisor)
    for (let row = 0; row < size; row++) {
      if (row === column) continue
      const factor = work[row]![column]!
      work[row] = work[row]!.map((value, j) => value - factor * work[column]![j]!)
    }
  }
  return work.map((row) => row.slice(size))
}

/**
 * Optimal brain quantization in a fixed order (Frantar et al. 2022, equations 2 and 3): after each column the remaining
 * weights move by -(w - q) / [H^-1]_qq * [H^-1]_q,rest, and the inverse loses the column.
 */
function slowGptq(problem: RoundingProblem, dampening: number): Int8Array {
  const { rows, columns, weights, scales, hessian, bits } = problem
  const at = (i: number, j: number): number => hessian[i * columns + j]!
  let mean = 0
  for (let i = 0; i < columns; i++) mean += at(i, i) / columns
  const order = Array.from({ length: columns }, (_, i) => i).sort((a, b) => at(b, b) - at(a, a) || a - b)
  const integers = new Int8Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    const w = order.map((column) => weights[row * columns + column]!)
    for (let step = 0; step < columns; step++) {
      const rest = order.slice(step)
      const inverted = inverse(rest.map((i) => rest.map((j) => at(i, j) + (i === j ? dampening * mean : 0))))
      const place = row * columns + rest[0]!
      const limit = 2 ** (bits - 1)
      const q = Math.min(limit - 1, Math.max(-limit, Math.round(w[step]! / scales[place]!)))
      integers[place] = q
      const error = (w[step]! - q * scales[place]!) / inverted[0]![0]!
      for (let later = 1; later < rest.length; later++) w[step + later]! -= error * inverted[0]![later]!
    }
  }
  return integers
}

const settings = { dampening: 0.01, blockSize: 128 }

describe('GPTQ', () => {
  test('gives the integers of the algorithm with the explicit inverse, INT8 and INT4, for every block size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(4 as const, 8 as const),
        fc.constantFrom(1, 2, 5, 128),
        (seed, columns, bits, blockSize) => {
          const problem = randomProblem(seed, { columns, bits })
          expect(gptqIntegers(problem, { dampening: 0.01, blockSize })).toEqual(slowGptq(problem, 0.01))
        },
      ),
      { numRuns: 60 },
    )
  })

  test('two inputs that always agree: the second takes back the error of the first', () => {
    // x1 = x2 = 1: only the sum of both weights matters, 0.4 + 0.4 = 0.8, and nearest rounding gives 0.
    const problem: RoundingProblem = {
      rows: 1,
      columns: 2,
      bits: 4,
      weights: Float32Array.of(0.4, 0.4),
      scales: Float32Array.of(1, 1),
      hessian: Float64Array.of(1, 1, 1, 1),
    }
    expect([...nearestIntegers(problem)]).toEqual([0, 0])
    expect([...gptqIntegers(problem, settings)]).toEqual([0, 1])
    expect(betterRows(problem, gptqIntegers(problem, settings)).error).toBeCloseTo(0.04, 6)
  })

  test('independent inputs leave nothing to gain: the nearest integers', () => {
    const problem = randomProblem(3, { columns: 5 })
    problem.hessian.fill(0)
    for (let i = 0; i < 5; i++) problem.hessian[i * 6] = i + 1
    expect(gptqIntegers(problem, settings)).toEqual(nearestIntegers(problem))
  })

  test('inputs that are all zero, and a Hessian that is not a number: the nearest integers', () => {
    for (const value of [0, Number.NaN]) {
      const problem = randomProblem(4)
      problem.hessian.fill(value)
      const candidate = gptqIntegers(problem, settings)
      expect(candidate).toEqual(nearestIntegers(problem))
      expect(betterRows(problem, candidate).integers).toEqual(nearestIntegers(problem))
    }
  })

  test('fewer samples than inputs: the singular Hessian is damped', () => {
    const problem = randomProblem(5, { columns: 40, rank: 3, rows: 8 })
    const { nearestError, error } = betterRows(problem, gptqIntegers(problem, settings))
    expect(error).toBeLessThan(nearestError / 10)
  })

  test('is stopped by its signal', () => {
    const signal = AbortSignal.abort()
    expect(() => gptqIntegers(randomProblem(1), settings, { signal })).toThrow(
      expect.objectContaining({ code: 'E_CANCELLED' }),
    )
  })
})

describe('choice between the methods', () => {
  test('errors are those of the definition', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 37 }), (seed, columns) => {
        const problem = randomProblem(seed, { columns, rows: 20 })
        const integers = nearestIntegers(problem)
        rowErrors(problem, integers).forEach((error, row) =>
          expect(error).toBeCloseTo(slowRowError(problem, row, integers), 9),
        )
      }),
      { numRuns: 20 },
    )
  })

  test('no row is ever worse than rounded to the nearest', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom(4 as const, 8 as const), (seed, bits) => {
        const problem = randomProblem(seed, { bits, columns: 9 })
        const candidates = [
          gptqIntegers(problem, settings),
          // The worst candidate there is.
          nearestIntegers(problem).map((q) => -q),
        ]
        for (const candidate of candidates) {
          const { integers } = betterRows(problem, candidate)
          for (let row = 0; row < problem.rows; row++) {
            const nearest = slowRowError(problem, row, nearestIntegers(problem))
            expect(slowRowError(problem, row, integers)).toBeLessThanOrEqual(nearest * (1 + 1e-12))
          }
        }
      }),
      { numRuns: 50 },
    )
  })

  test('GPTQ settled by single moves comes within 30 % of the best choice of up or down, and often below', () => {
    let [found, best] = [0, 0]
    for (let seed = 1; seed <= 40; seed++) {
      const problem = randomProblem(seed, { columns: 8 })
      const integers = gptqIntegers(problem, settings)
      settle(problem, integers)
      for (let row = 0; row < problem.rows; row++) {
        found += slowRowError(problem, row, integers)
        best += bestUpOrDown(problem, row)
      }
    }
    expect(found).toBeLessThan(1.3 * best)
  })
})

describe('settling', () => {
  test('never raises the error, and leaves no single move that lowers it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 20 }), (seed, columns) => {
        const problem = randomProblem(seed, { columns })
        const start = nearestIntegers(problem)
        const settled = start.slice()
        settle(problem, settled)
        for (let row = 0; row < problem.rows; row++) {
          const error = slowRowError(problem, row, settled)
          expect(error).toBeLessThanOrEqual(slowRowError(problem, row, start) + 1e-12)
          for (let place = row * columns; place < (row + 1) * columns; place++) {
            for (const step of [-1, 1]) {
              const moved = settled.slice()
              moved[place]! += step
              if (Math.abs(moved[place]!) > 7) continue
              expect(slowRowError(problem, row, moved)).toBeGreaterThan(error - 1e-9)
            }
          }
        }
      }),
      { numRuns: 30 },
    )
  })
})
