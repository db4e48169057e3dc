// AdaRound: its gradient against differences of the loss, its result against all choices there are.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  adaroundIntegers,
  type AdaRoundSettings,
  betaAt,
  rectifiedSigmoid,
  SoftRounding,
} from '../../../../engine/quantization/reconstruct/adaround.ts'
import {
  betterRows,
  nearestIntegers,
  type RoundingProblem,
} from '../../../../engine/quantization/reconstruct/problem.ts'
import { settle } from '../../../../engine/quantization/reconstruct/settle.ts'
import { bestUpOrDown, multiply, randomProblem, slowRowError } from './problems.ts'

const settings: AdaRoundSettings = {
  iterations: 1000,
  regularization: 0.01,
  betaRange: [20, 2],
  warmStart: 0.2,
}

function adaround(problem: RoundingProblem, changes: Partial<AdaRoundSettings> = {}): Promise<Int8Array> {
  return adaroundIntegers(problem, { ...settings, ...changes }, (vectors) => multiply(vectors, problem))
}

/** The loss as the paper writes it, in float64. */
function slowLoss(soft: SoftRounding, alphas: Float64Array, regularization: number, beta: number): number {
  const { problem, floors, unit } = soft
  const { rows, columns, weights, scales, hessian } = problem
  let loss = 0
  const h = alphas.map((alpha) => Math.min(1, Math.max(0, 1.2 / (1 + Math.exp(-alpha)) - 0.1)))
  for (let row = 0; row < rows; row++) {
    const d = Array.from({ length: columns }, (_, column) => {
      const place = row * columns + column
      return scales[place]! * (floors[place]! + h[place]!) - weights[place]!
    })
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) loss += (d[i]! * hessian[i * columns + j]! * d[j]!) / unit
    }
  }
  return h.reduce((sum, share) => sum + regularization * (1 - Math.abs(2 * share - 1) ** beta), loss)
}

describe('AdaRound', () => {
  test('starts where the weights are', () => {
    const problem = randomProblem(1, { columns: 10 })
    const soft = new SoftRounding(problem)
    for (const index of soft.active) {
      const value = soft.floors[index]! + rectifiedSigmoid(soft.alphas[index]!)
      expect(value * problem.scales[index]!).toBeCloseTo(problem.weights[index]!, 5)
    }
  })

  test.each([
    [0, 20],
    [0.01, 20],
    [0.01, 7.3],
    [0.5, 2],
  ])(
    'gradient with regularization %f and beta %f follows from central differences',
    (regularization, beta) => {
      const problem = randomProblem(7, { columns: 5 })
      const soft = new SoftRounding(problem)
      soft.alphas.forEach((alpha, index) => {
        soft.alphas[index] = alpha + 0.3 * Math.sin(index)
        soft.place(index)
      })
      const product = multiply(soft.difference, problem)
      let compared = 0
      for (const index of soft.active) {
        const share = rectifiedSigmoid(soft.alphas[index]!)
        if (share === 0 || share === 1) continue
        const step = 1e-5
        const [up, down] = [soft.alphas.slice(), soft.alphas.slice()]
        up[index]! += step
        down[index]! -= step
        const difference =
          (slowLoss(soft, up, regularization, beta) - slowLoss(soft, down, regularization, beta)) / (2 * step)
        const gradient = soft.gradient(index, product, regularization, beta)
        expect(Math.abs(gradient - difference)).toBeLessThan(1e-3 + 1e-4 * Math.abs(difference))
        compared++
      }
      expect(compared).toBeGreaterThan(8)
    },
  )

  test('a weight at 0 or 1 has no gradient left', () => {
    const problem = randomProblem(7, { columns: 5 })
    const soft = new SoftRounding(problem)
    soft.alphas[0] = 8
    expect(soft.place(0)).toBe(1)
    expect(soft.gradient(0, multiply(soft.difference, problem), 0.01, 2)).toBe(0)
  })

  test('beta is the start of its range during the warm start, its end in the end, half of both in the middle', () => {
    expect(betaAt(0, settings)).toBe(20)
    expect(betaAt(200, settings)).toBe(20)
    expect(betaAt(600, settings)).toBeCloseTo(11, 9)
    expect(betaAt(1000, settings)).toBe(2)
  })

  test('two inputs that always agree: one weight goes up', async () => {
    const problem: RoundingProblem = {
      rows: 1,
      columns: 2,
      bits: 4,
      weights: Float32Array.of(0.42, 0.4),
      scales: Float32Array.of(1, 1),
      hessian: Float64Array.of(1, 1, 1, 1),
    }
    expect([...nearestIntegers(problem)]).toEqual([0, 0])
    expect([...(await adaround(problem))]).toEqual([1, 0])
  })

  test('comes near the best of all choices', async () => {
    let [found, best, nearest] = [0, 0, 0]
    for (let seed = 1; seed <= 15; seed++) {
      const problem = randomProblem(seed, { columns: 8 })
      const integers = await adaround(problem)
      for (let row = 0; row < problem.rows; row++) {
        found += slowRowError(problem, row, integers)
        best += bestUpOrDown(problem, row)
        nearest += slowRowError(problem, row, nearestIntegers(problem))
      }
    }
    expect(found).toBeGreaterThanOrEqual(best * (1 - 1e-9))
    expect(found).toBeLessThan(best + 0.2 * (nearest - best))
  })

  test('the choice that is kept is never worse than the nearest', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1e6 }),
        fc.constantFrom(4 as const, 8 as const),
        async (seed, bits) => {
          const problem = randomProblem(seed, { bits, columns: 7 })
          const integers = await adaround(problem, { iterations: 50 })
          settle(problem, integers)
          const choice = betterRows(problem, integers)
          expect(choice.error).toBeLessThanOrEqual(choice.nearestError)
        },
      ),
      { numRuns: 20 },
    )
  })

  test('integers lie next to their weight and within the bits', async () => {
    const problem = randomProblem(11, { columns: 30 })
    problem.weights[0] = 50
    problem.weights[1] = -50
    const integers = await adaround(problem, { iterations: 100 })
    expect([integers[0], integers[1]]).toEqual([7, -8])
    for (let place = 2; place < integers.length; place++) {
      const position = Math.min(7, Math.max(-8, problem.weights[place]! / problem.scales[place]!))
      expect(Math.abs(integers[place]! - position)).toBeLessThanOrEqual(1)
    }
  })

  test('gives the same integers every time', async () => {
    const problem = randomProblem(12, { columns: 30, rows: 10 })
    expect(await adaround(problem)).toEqual(await adaround(problem))
  })

  test('stops once every weight has settled', async () => {
    const problem = randomProblem(13, { columns: 4 })
    let calls = 0
    const counted = (vectors: Float32Array): Float32Array => {
      calls++
      return multiply(vectors, problem)
    }
    await adaroundIntegers(problem, { ...settings, regularization: 1, iterations: 3000 }, counted)
    expect(calls).toBeLessThan(3000)
  })

  test('inputs that are all zero: the nearest integers', async () => {
    const problem = randomProblem(14)
    problem.hessian.fill(0)
    const { integers } = betterRows(problem, await adaround(problem))
    expect(integers).toEqual(nearestIntegers(problem))
  })

  test('is stopped by its signal', async () => {
    const problem = randomProblem(15)
    const signal = AbortSignal.abort()
    const work = adaroundIntegers(problem, settings, (vectors) => multiply(vectors, problem), { signal })
    await expect(work).rejects.toMatchObject({ code: 'E_CANCELLED' })
  })
})
