// Summaries of latency samples, and how many samples a percentile needs before it may be shown.
import type { LatencySummary, PercentileName } from '../../contract/benchmark.ts'
import { AppError } from '../../contract/errors/index.ts'

/** Share of samples at or below each percentile. */
const percentileShares: Readonly<Record<PercentileName, number>> = {
  p50: 0.5,
  p90: 0.9,
  p95: 0.95,
  p99: 0.99,
  p999: 0.999,
}

const CONFIDENCE = 0.99

/**
 * Samples needed to state a percentile with 99 % confidence: the smallest n for which seeing at most one sample above
 * it would be unlikely (< 1 %) if the percentile were really exceeded more often, i.e. P[Binomial(n, 1 - p) <= 1] <=
 * 0.01. This is the early-stopping rule of MLPerf LoadGen with zero tolerance (early_stopping.cc): p90 64, p95 130,
 * p97 219, p99 662, p99.9 6636.
 */
export function samplesNeeded(percentile: number): number {
  const within = (n: number) =>
    percentile ** n + n * (1 - percentile) * percentile ** (n - 1) <= 1 - CONFIDENCE
  let high = 1
  while (!within(high)) high *= 2
  let low = Math.floor(high / 2)
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (within(middle)) high = middle
    else low = middle
  }
  return high
}

/** Fixed once: the table every summary carries. */
const needed: Readonly<Record<PercentileName, number>> = {
  p50: 1,
  p90: samplesNeeded(0.9),
  p95: samplesNeeded(0.95),
  p99: samplesNeeded(0.99),
  p999: samplesNeeded(0.999),
}

/** Arithmetic mean, summed relative to the first sample: exact for equal samples, as a virtual clock gives them. */
export function mean(samples: ArrayLike<number>): number {
  const origin = samples[0] as number
  let sum = 0
  for (let index = 1; index < samples.length; index++) sum += (samples[index] as number) - origin
  return origin + sum / samples.length
}

/** Sample standard deviation (n - 1), two passes; 0 for a single sample. */
export function standardDeviation(samples: ArrayLike<number>, center: number = mean(samples)): number {
  if (samples.length < 2) return 0
  let squares = 0
  for (let index = 0; index < samples.length; index++) squares += ((samples[index] as number) - center) ** 2
  return Math.sqrt(squares / (samples.length - 1))
}

/**
 * Percentile of sorted samples with linear interpolation between the two nearest ranks: definition 7 of Hyndman and
 * Fan (1996), the default of numpy.percentile and what ais_bench prints.
 * @param share 0 to 1
 */
export function percentileOfSorted(sorted: ArrayLike<number>, share: number): number {
  const position = (sorted.length - 1) * share
  const below = Math.floor(position)
  const low = sorted[below] as number
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number
  return low + (high - low) * (position - below)
}

/** Sorted copy, after checking that every value is a latency. @throws E_BENCHMARK_NO_SAMPLES, E_BENCHMARK_SAMPLE */
export function sortedLatencies(samples: ArrayLike<number>): Float64Array {
  if (samples.length === 0) throw new AppError('E_BENCHMARK_NO_SAMPLES')
  const values = Float64Array.from(samples)
  const wrong = values.findIndex((value) => !Number.isFinite(value) || value < 0)
  if (wrong >= 0) throw new AppError('E_BENCHMARK_SAMPLE', { index: wrong, value: values[wrong] })
  return values.sort()
}

/**
 * Mean, spread and percentiles of latencies in milliseconds. A percentile with too few samples is null, and `needed`
 * says how many it takes.
 * @throws E_BENCHMARK_NO_SAMPLES, E_BENCHMARK_SAMPLE
 */
export function summarizeLatencies(samples: ArrayLike<number>): LatencySummary {
  const sorted = sortedLatencies(samples)
  const center = mean(sorted)
  const percentile = (name: PercentileName) =>
    sorted.length >= needed[name] ? percentileOfSorted(sorted, percentileShares[name]) : null
  return {
    count: sorted.length,
    mean: center,
    min: sorted[0] as number,
    max: sorted[sorted.length - 1] as number,
    stddev: standardDeviation(sorted, center),
    p50: percentile('p50'),
    p90: percentile('p90'),
    p95: percentile('p95'),
    p99: percentile('p99'),
    p999: percentile('p999'),
    needed: { ...needed },
  }
}
