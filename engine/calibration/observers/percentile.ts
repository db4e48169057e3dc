// The range that holds a given share of the values.
import type { Distribution } from './distribution.ts'
import type { ClipRange } from './observer.ts'

/** Smallest rank that at least `share` of all values reach (numpy: method "inverted_cdf"). */
function rankOf(share: number, total: number): number {
  // Shares such as 0.9999 are not exact in binary: 0.9999 * 10000 must give rank 9999, not 10000.
  return Math.min(total, Math.max(1, Math.ceil(share * total - total * 1e-12)))
}

/** Quantile of |x|: bisection over the counts on both sides, to within `tolerance`. */
function magnitudeQuantile(distribution: Distribution, share: number): number {
  const rank = rankOf(share, distribution.total)
  if (rank >= distribution.total) return Math.max(Math.abs(distribution.min), Math.abs(distribution.max))
  const inside = (limit: number): number => {
    distribution.seek(limit)
    const below = distribution.count
    distribution.seek(-limit)
    return below - distribution.count
  }
  let [low, high] = [0, Math.max(Math.abs(distribution.min), Math.abs(distribution.max))]
  // 40 halvings go below a float32 step of the largest value.
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2
    if (inside(middle) >= rank) high = middle
    else low = middle
  }
  return high
}

/**
 * Range of the inner `percentile` percent: half of the rest is cut off at either end; of the magnitudes when symmetric
 * (ONNX Runtime, PercentileCalibrater). Exact to the width of a histogram bin; 100 is the whole range.
 */
export function percentileRange(
  distribution: Distribution,
  percentile: number,
  symmetric: boolean,
): ClipRange {
  const { total } = distribution
  if (total === 0) return { min: 0, max: 0 }
  if (symmetric) {
    const limit = magnitudeQuantile(distribution, percentile / 100)
    return { min: Math.max(distribution.min, -limit), max: Math.min(distribution.max, limit) }
  }
  const rest = (1 - percentile / 100) / 2
  return {
    min: distribution.orderStatistic(rankOf(rest, total)),
    max: distribution.orderStatistic(rankOf(1 - rest, total)),
  }
}
