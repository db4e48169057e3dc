// Latency distributions on common bins, so that the sides can be laid over each other. Pure.

export interface Distribution {
  /** `bins + 1` edges, ms. */
  edges: number[]
  /** Share of runs per bin, one array per side. */
  shares: number[][]
}

/** True when no side has any spread: a deterministic clock. There is no distribution to draw then. */
export function hasNoSpread(sides: readonly (readonly number[])[]): boolean {
  return sides.every((samples) => samples.every((value) => value === samples[0]))
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

/**
 * Bins from the smallest sample to the 99.5th percentile of all sides; rarer, slower runs gather in the last bin,
 * so that one outlier does not flatten the picture.
 */
export function distribution(sides: readonly (readonly number[])[], bins = 48): Distribution {
  const filled = sides.filter((samples) => samples.length > 0)
  const lows = filled.map((samples) => samples.reduce((least, value) => Math.min(least, value), Infinity))
  const highs = filled.map((samples) =>
    quantile(
      [...samples].sort((a, b) => a - b),
      0.995,
    ),
  )
  const low = Math.min(...lows)
  const high = Math.max(...highs)
  const width = (high - low) / bins || 1
  const edges = Array.from({ length: bins + 1 }, (_, index) => low + index * width)
  const shares = sides.map((samples) => {
    const counts = Array.from({ length: bins }, () => 0)
    for (const value of samples) {
      const at = Math.min(bins - 1, Math.max(0, Math.floor((value - low) / width)))
      counts[at] = (counts[at] ?? 0) + 1
    }
    return counts.map((count) => count / (samples.length || 1))
  })
  return { edges, shares }
}
