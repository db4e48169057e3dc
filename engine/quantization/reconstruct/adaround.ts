// AdaRound (Nagel et al. 2020): whether each weight goes down or up is a continuous variable, moved by gradient descent on
// the layer's output error and pushed to 0 or 1 by a regularization that sharpens over the iterations. Schedule and
// constants as in AMCT's ada_round. The output error is the quadratic form of the Hessian, which is exact for a linear
// layer; an activation function behind the layer, which AMCT fuses, is not looked at.
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { integerRange, type RoundingProblem } from './problem.ts'

export interface AdaRoundSettings {
  iterations: number
  /** Weight of the rounding term against the output error of an average weight that is off by ten steps. */
  regularization: number
  /** Exponent of the rounding term, at the end of the warm start and in the end. */
  betaRange: readonly [number, number]
  /** Share of the iterations without rounding term. */
  warmStart: number
}

/** rows x columns vectors times the Hessian. */
export type HessianProduct = (vectors: Float32Array) => Float32Array | Promise<Float32Array>

/** Stretch of the rectified sigmoid (AdaRound, zeta and gamma). */
const ZETA = 1.1
const GAMMA = -0.1
/** With this unit AMCT's regularization of 0.01 settles layers of every size; measured, so does a third or ten times it. */
const UNIT_STEPS = 10
/** Adam (Kingma and Ba 2015). */
const DECAY = 0.9
const SQUARE_DECAY = 0.999
const EPSILON = 1e-8
/** AMCT's step for its 10 000 iterations; fewer iterations take longer steps, so that a weight can still change sides. */
const LEAST_STEP = 1e-3
const TRAVEL = 10

/** h(alpha), the share of the way from rounding down (0) to rounding up (1). */
export function rectifiedSigmoid(alpha: number): number {
  const stretched = (ZETA - GAMMA) / (1 + Math.exp(-alpha)) + GAMMA
  return stretched < 0 ? 0 : stretched > 1 ? 1 : stretched
}

/** The alpha with h(alpha) = share, for a share in [0, 1]. */
function inverseSigmoid(share: number): number {
  return -Math.log((ZETA - GAMMA) / (share - GAMMA) - 1)
}

/** Exponent of the rounding term at an iteration: a half cosine from start to end (AMCT). */
export function betaAt(iteration: number, { iterations, betaRange, warmStart }: AdaRoundSettings): number {
  const warm = warmStart * iterations
  const progress = (iteration - warm) / Math.max(1, iterations - warm)
  const [start, end] = betaRange
  return end + 0.5 * (start - end) * (1 + Math.cos(Math.PI * Math.min(1, Math.max(0, progress))))
}

/** The continuous problem: loss = sum of d H d^T / unit + regularization * sum of 1 - |2h - 1|^beta. */
export class SoftRounding {
  readonly problem: RoundingProblem
  /** What each weight is rounded down to. */
  readonly floors: Int16Array
  readonly alphas: Float64Array
  /** h(alpha) of each weight. */
  readonly shares: Float64Array
  /** Error of the weights as they are now rounded, scale * (floor + h) - weight. */
  readonly difference: Float32Array
  /** Output error of an average weight that is off by ten steps: makes the loss free of units. */
  readonly unit: number
  /** Indices of the weights still between down and up. */
  active: Uint32Array

  constructor(problem: RoundingProblem) {
    this.problem = problem
    const { weights, scales, bits } = problem
    const { lowest, highest } = integerRange(bits)
    const count = weights.length
    this.floors = new Int16Array(count)
    this.alphas = new Float64Array(count)
    this.shares = new Float64Array(count)
    this.difference = new Float32Array(count)
    const active: number[] = []
    for (let index = 0; index < count; index++) {
      const position = (weights[index] as number) / (scales[index] as number)
      const floor = Math.floor(position)
      // Outside of the integers there is nothing to choose.
      const clipped = Math.min(highest, Math.max(lowest, floor))
      this.floors[index] = clipped
      this.alphas[index] = inverseSigmoid(clipped === floor ? position - floor : 0)
      if (clipped === floor && floor < highest) active.push(index)
      this.place(index)
    }
    this.active = Uint32Array.from(active)
    this.unit = this.#unit()
  }

  #unit(): number {
    const { rows, columns, scales, hessian } = this.problem
    let sum = 0
    for (let index = 0; index < scales.length; index++) {
      const diagonal = hessian[(index % columns) * (columns + 1)] as number
      sum += (scales[index] as number) ** 2 * diagonal
    }
    return (UNIT_STEPS ** 2 * sum) / (rows * columns)
  }

  /** Brings `shares` and `difference` up to date for one weight; returns its h. */
  place(index: number): number {
    const share = rectifiedSigmoid(this.alphas[index] as number)
    this.shares[index] = share
    const value = (this.problem.scales[index] as number) * ((this.floors[index] as number) + share)
    this.difference[index] = value - (this.problem.weights[index] as number)
    return share
  }

  /** d loss / d alpha of one weight; `product` is difference x Hessian. */
  gradient(index: number, product: Float32Array, regularization: number, beta: number): number {
    const share = this.shares[index] as number
    if (share <= 0 || share >= 1) return 0
    // Of the sigmoid s: (zeta - gamma) s (1 - s), with s = (h - gamma) / (zeta - gamma).
    const slope = ((share - GAMMA) * (ZETA - share)) / (ZETA - GAMMA)
    const error = (2 * (this.problem.scales[index] as number) * (product[index] as number)) / this.unit
    if (regularization === 0) return error * slope
    const side = 2 * share - 1
    const rounding = 2 * beta * Math.sign(side) * Math.abs(side) ** (beta - 1)
    return (error - regularization * rounding) * slope
  }

  /** Every weight on the side it is nearer to. */
  integers(): Int8Array {
    return Int8Array.from(
      this.floors,
      (floor, index) => floor + ((this.shares[index] as number) >= 0.5 ? 1 : 0),
    )
  }
}

/** One step of Adam over the active weights; those that arrive at 0 or 1 cannot leave again and are dropped. */
class Descent {
  readonly #soft: SoftRounding
  readonly #mean: Float64Array
  readonly #square: Float64Array
  readonly #step: number
  #steps = 0

  constructor(soft: SoftRounding, step: number) {
    this.#soft = soft
    this.#mean = new Float64Array(soft.alphas.length)
    this.#square = new Float64Array(soft.alphas.length)
    this.#step = step
  }

  step(product: Float32Array, regularization: number, beta: number): void {
    this.#steps++
    const soft = this.#soft
    const { active, alphas } = soft
    const [mean, square] = [this.#mean, this.#square]
    const rate = this.#step / (1 - DECAY ** this.#steps)
    const correction = 1 / (1 - SQUARE_DECAY ** this.#steps)
    let kept = 0
    for (const index of active) {
      const gradient = soft.gradient(index, product, regularization, beta)
      const m = DECAY * (mean[index] as number) + (1 - DECAY) * gradient
      const v = SQUARE_DECAY * (square[index] as number) + (1 - SQUARE_DECAY) * gradient * gradient
      mean[index] = m
      square[index] = v
      alphas[index] = (alphas[index] as number) - (rate * m) / (Math.sqrt(v * correction) + EPSILON)
      const share = soft.place(index)
      if (share > 0 && share < 1) active[kept++] = index
    }
    soft.active = active.subarray(0, kept)
  }
}

/**
 * Rounds the weights of a problem. The same problem and settings give the same integers, bit by bit; nothing is random.
 * Stops early once every weight has settled.
 * @throws E_CANCELLED
 */
export async function adaroundIntegers(
  problem: RoundingProblem,
  settings: AdaRoundSettings,
  multiply: HessianProduct,
  context: WorkContext = {},
): Promise<Int8Array> {
  const soft = new SoftRounding(problem)
  // Inputs that are all zero leave nothing to optimize.
  if (!(soft.unit > 0)) return soft.integers()
  const { iterations, regularization, warmStart } = settings
  const descent = new Descent(soft, Math.max(LEAST_STEP, TRAVEL / iterations))
  for (let iteration = 0; iteration < iterations && soft.active.length > 0; iteration++) {
    if (context.signal?.aborted) throw new AppError('E_CANCELLED')
    const weight = iteration < warmStart * iterations ? 0 : regularization
    descent.step(await multiply(soft.difference), weight, betaAt(iteration, settings))
  }
  return soft.integers()
}
