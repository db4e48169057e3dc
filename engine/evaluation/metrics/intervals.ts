// How sure a figure is: bootstrap intervals of any statistic, Wilson intervals of shares, the sign test of votes.
import { createRandom, randomIndex } from '../../common/random.ts'

export interface Interval {
  low: number
  high: number
  confidence: number
}

export interface ResampleOptions {
  rounds?: number
  seed?: number
  confidence?: number
  /**
   * The statistic of the samples themselves, for statistics that resampling biases (repeated samples raise FID): the
   * interval is moved so that the mean of the resamples falls on it.
   */
  centre?: number
}

const DEFAULT_CONFIDENCE = 0.95

/** Linear interpolation between order statistics (Hyndman and Fan, type 7). */
function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below] as number
  return low + (position - below) * ((sorted[Math.min(below + 1, sorted.length - 1)] as number) - low)
}

/**
 * Percentile bootstrap (Efron and Tibshirani 1993, chapter 13): the statistic of samples drawn with replacement.
 * @param statistic Given the positions of a resample, in draw order; the array is reused.
 */
export function bootstrapInterval(
  count: number,
  statistic: (positions: Uint32Array) => number,
  options: ResampleOptions = {},
): Interval {
  const { rounds = 2000, seed = 1, confidence = DEFAULT_CONFIDENCE } = options
  const next = createRandom(seed)
  const positions = new Uint32Array(count)
  const values = new Float64Array(rounds)
  for (let round = 0; round < rounds; round++) {
    for (let draw = 0; draw < count; draw++) positions[draw] = randomIndex(next, count)
    values[round] = statistic(positions)
  }
  values.sort()
  const tail = (1 - confidence) / 2
  const shift =
    options.centre === undefined ? 0 : options.centre - values.reduce((sum, value) => sum + value, 0) / rounds
  return { low: quantile(values, tail) + shift, high: quantile(values, 1 - tail) + shift, confidence }
}

/** Bootstrap interval of a mean. */
export function meanInterval(values: ArrayLike<number>, options: ResampleOptions = {}): Interval {
  return bootstrapInterval(
    values.length,
    (positions) => {
      let sum = 0
      for (const position of positions) sum += values[position] as number
      return sum / positions.length
    },
    options,
  )
}

/** 97.5 % point of the normal distribution. */
const NORMAL_975 = 1.959963984540054

/** 95 % interval of a share (Wilson 1927): stays within 0 and 1 and is honest for few trials. */
export function wilsonInterval(successes: number, trials: number): Interval {
  if (trials === 0) return { low: 0, high: 1, confidence: DEFAULT_CONFIDENCE }
  const z2 = NORMAL_975 ** 2
  const share = successes / trials
  const centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
  const spread =
    (NORMAL_975 / (1 + z2 / trials)) * Math.sqrt((share * (1 - share)) / trials + z2 / (4 * trials ** 2))
  return {
    low: Math.max(0, centre - spread),
    high: Math.min(1, centre + spread),
    confidence: DEFAULT_CONFIDENCE,
  }
}

/** Two-sided sign test: how likely votes at least this uneven are when both sides are equally good. Ties are left out. */
export function signTest(wins: number, losses: number): number {
  const trials = wins + losses
  if (trials === 0) return 1
  // log C(n, k) step by step; no factorial overflows.
  let logTerm = -trials * Math.LN2
  let tail = 0
  for (let k = 0; k <= Math.min(wins, losses); k++) {
    tail += Math.exp(logTerm)
    logTerm += Math.log(trials - k) - Math.log(k + 1)
  }
  return Math.min(1, 2 * tail)
}
