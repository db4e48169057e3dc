// Statistics in a size that can be shown: histograms of few bins, channels by their outliers.
import { type ChannelSummary, DISPLAY_BINS, type HistogramDisplay } from '../../../contract/calibration.ts'
import type { ChannelStatistics } from '../channels.ts'
import { type Bins, coarser } from '../observers/histogram.ts'

/** A channel stands out when its largest magnitude exceeds this multiple of the median channel's. */
export const OUTLIER_LIMIT = 6
const LISTED_OUTLIERS = 8

/** Whole bins merged until at most 256 are left: no count is lost or split. */
export function displayHistogram(bins: Bins): HistogramDisplay {
  let factor = 1
  let folded = bins
  while (folded.counts.length > DISPLAY_BINS) {
    factor *= 2
    folded = coarser(bins, factor)
  }
  return {
    low: folded.low,
    width: folded.width,
    counts: [...folded.counts],
    exact: { low: bins.low, width: bins.width, bins: bins.counts.length },
  }
}

/** The middle one, the lower of two middle ones averaged with the upper. */
function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

export function summarizeChannels({ absMax }: ChannelStatistics, axis: number): ChannelSummary {
  const sorted = [...absMax].sort((left, right) => left - right)
  const middle = median(sorted)
  const outliers = [...absMax.entries()]
    .filter(([, value]) => value > OUTLIER_LIMIT * middle)
    .sort(([, left], [, right]) => right - left)
  const group = Math.max(1, Math.ceil(absMax.length / DISPLAY_BINS))
  const groups = Array.from({ length: Math.ceil(absMax.length / group) }, (_, index) =>
    Math.max(...absMax.subarray(index * group, (index + 1) * group)),
  )
  return {
    axis,
    channels: absMax.length,
    smallest: sorted[0] ?? 0,
    median: middle,
    largest: sorted.at(-1) ?? 0,
    limit: OUTLIER_LIMIT,
    outlier_channels: outliers.length,
    outliers: outliers.slice(0, LISTED_OUTLIERS).map(([channel, value]) => ({
      channel,
      abs_max: value,
      ratio: middle > 0 ? value / middle : null,
    })),
    abs_max: groups,
    group,
  }
}
