// The confidence interval of a ratio of mean latencies, by the percentile bootstrap (Efron & Tibshirani 1993, ch. 13).
import type { Ratio } from '../../contract/benchmark.ts'
import { createRandom, randomIndex } from '../common/random.ts'
import { mean, percentileOfSorted, sortedLatencies } from './statistics.ts'

export interface BootstrapOptions {
  seed?: number
  resamples?: number
  confidence?: number
  /** Both sample sets come from a virtual clock: nothing to resample. */
  deterministic?: boolean
  /**
   * Index of the first run of every block, per side. Neighbouring runs are alike (clock, cache, temperature), so whole
   * blocks are resampled when both sides have enough of them; single runs would make the interval too narrow.
   */
  blockStarts?: { baseline: readonly number[]; candidate: readonly number[] }
}

const DEFAULT_SEED = 20_240_601
const DEFAULT_RESAMPLES = 4000
const DEFAULT_CONFIDENCE = 0.95
/** Fewer blocks than this say too little about their own scatter. */
const MINIMUM_BLOCKS = 20
/** Bounds the work: beyond it, neighbouring units are joined. */
const MAXIMUM_UNITS = 2000

/** Units of resampling: sum and count of each, so that one resample costs one pass over the units. */
interface Units {
  sums: Float64Array
  counts: Float64Array
}

function unitStarts(count: number, blocks: readonly number[]): number[] {
  const starts =
    blocks.length >= MINIMUM_BLOCKS ? [...blocks] : Array.from({ length: count }, (_, index) => index)
  const join = Math.ceil(starts.length / MAXIMUM_UNITS)
  return starts.filter((_, index) => index % join === 0)
}

function makeUnits(samples: ArrayLike<number>, starts: number[]): Units {
  const sums = new Float64Array(starts.length)
  const counts = new Float64Array(starts.length)
  starts.forEach((start, unit) => {
    const end = starts[unit + 1] ?? samples.length
    for (let index = start; index < end; index++)
      sums[unit] = (sums[unit] as number) + (samples[index] as number)
    counts[unit] = end - start
  })
  return { sums, counts }
}

function resampledMean(units: Units, next: () => number): number {
  const { sums, counts } = units
  let sum = 0
  let count = 0
  for (let draw = 0; draw < sums.length; draw++) {
    const unit = randomIndex(next, sums.length)
    sum += sums[unit] as number
    count += counts[unit] as number
  }
  return sum / count
}

/**
 * Ratio of the candidate's mean to the baseline's, with its interval. Deterministic for a seed.
 * @throws E_BENCHMARK_NO_SAMPLES, E_BENCHMARK_SAMPLE
 */
export function bootstrapRatio(
  baseline: ArrayLike<number>,
  candidate: ArrayLike<number>,
  options: BootstrapOptions = {},
): Ratio {
  // Checks both sides; the order of the samples matters below, so the sorted copies are not kept.
  sortedLatencies(baseline)
  sortedLatencies(candidate)
  const confidence = options.confidence ?? DEFAULT_CONFIDENCE
  const quotient = (top: number, bottom: number) =>
    top === bottom ? 1 : top / Math.max(bottom, Number.MIN_VALUE)
  const ratio = quotient(mean(candidate), mean(baseline))
  if (options.deterministic) {
    return {
      ratio,
      low: ratio,
      high: ratio,
      confidence,
      method: 'exact',
      resamples: 0,
      noDifference: ratio === 1,
    }
  }
  const resamples = options.resamples ?? DEFAULT_RESAMPLES
  const next = createRandom(options.seed ?? DEFAULT_SEED)
  const blocks = options.blockStarts ?? { baseline: [], candidate: [] }
  const useBlocks = Math.min(blocks.baseline.length, blocks.candidate.length) >= MINIMUM_BLOCKS
  const baselineUnits = makeUnits(baseline, unitStarts(baseline.length, useBlocks ? blocks.baseline : []))
  const candidateUnits = makeUnits(candidate, unitStarts(candidate.length, useBlocks ? blocks.candidate : []))
  const ratios = new Float64Array(resamples)
  for (let index = 0; index < resamples; index++) {
    const bottom = resampledMean(baselineUnits, next)
    ratios[index] = quotient(resampledMean(candidateUnits, next), bottom)
  }
  ratios.sort()
  const tail = (1 - confidence) / 2
  const low = percentileOfSorted(ratios, tail)
  const high = percentileOfSorted(ratios, 1 - tail)
  return { ratio, low, high, confidence, method: 'bootstrap', resamples, noDifference: low <= 1 && high >= 1 }
}
