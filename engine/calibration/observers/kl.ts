// Entropy calibration: the limit at which 8-bit data tell the most about the original data. After TensorRT as published
// by NVIDIA (pytorch-quantization, calib/histogram.py, _compute_amax_entropy), in O(levels) instead of O(bins) per limit.
import { type Bins, coarser } from './histogram.ts'
import { type ClipRange, EMPTY_RANGE, type GridOptions } from './observer.ts'

/** Bins of magnitudes at most, NVIDIA's default. */
const MAGNITUDE_BINS = 2048

/** Counts of |x| in bins of equal width from 0. */
function magnitudes({ counts, low, width }: Bins): Float64Array {
  const first = Math.round(low / width)
  const used = Math.max(-first, first + counts.length, 1)
  const folded = new Float64Array(used)
  counts.forEach((count, index) => {
    const bin = first + index
    const target = bin < 0 ? -bin - 1 : bin
    folded[target] = (folded[target] as number) + count
  })
  return folded
}

/** Sums up to each bin of what divergence needs: counts, bins that are not empty, count * log(count). */
function prefixSums(counts: Float64Array): {
  mass: Float64Array
  filled: Float64Array
  entropy: Float64Array
} {
  const mass = new Float64Array(counts.length + 1)
  const filled = new Float64Array(counts.length + 1)
  const entropy = new Float64Array(counts.length + 1)
  counts.forEach((count, index) => {
    mass[index + 1] = (mass[index] as number) + count
    filled[index + 1] = (filled[index] as number) + (count > 0 ? 1 : 0)
    entropy[index + 1] = (entropy[index] as number) + (count > 0 ? count * Math.log(count) : 0)
  })
  return { mass, filled, entropy }
}

/**
 * The number of leading bins to keep: the last of those with the least KL(P || Q), where P is the kept bins with
 * everything beyond added to the last one and Q the kept bins averaged over `levels` groups.
 * @param source Counts of magnitudes; all bins are kept when there are no more than levels.
 */
export function entropyBins(source: Float64Array, levels: number): number {
  if (source.length <= levels) return source.length
  const counts = source.slice()
  // The bin of zero is a spike in most networks and says nothing about the limit.
  counts[0] = counts[1] as number
  const { mass, filled, entropy } = prefixSums(counts)
  const total = mass[counts.length] as number
  let best = counts.length
  let least = Infinity
  for (let kept = levels; kept <= counts.length; kept++) {
    const divergence = divergenceOf(kept)
    if (divergence <= least) {
      least = divergence
      best = kept
    }
  }
  return best

  function divergenceOf(kept: number): number {
    const inside = mass[kept] as number
    const outside = total - inside
    const last = counts[kept - 1] as number
    // A value that Q holds impossible: infinite divergence.
    if (inside === 0 || (last === 0 && outside > 0)) return Infinity
    const end = last + outside
    let logP = entropy[kept - 1] as number
    if (end > 0) logP += end * Math.log(end)
    let logQ = 0
    let begin = 0
    for (let level = 0; level < levels; level++) {
      const next = Math.ceil(((level + 1) * kept) / levels)
      const group = (mass[next] as number) - (mass[begin] as number)
      if (group > 0) {
        const bins = (filled[next] as number) - (filled[begin] as number)
        logQ += (group + (level === levels - 1 ? outside : 0)) * Math.log(group / bins)
      }
      begin = next
    }
    return (logP - logQ) / total - Math.log(total) + Math.log(inside)
  }
}

/**
 * The range within the limit of least divergence. Data of one sign on an asymmetric grid use all 2^bits levels, other
 * data 2^(bits-1) per sign.
 */
export function klRange(bins: Bins, { symmetric, bits }: GridOptions): ClipRange {
  if (bins.total === 0) return EMPTY_RANGE
  const oneSided = !symmetric && (bins.min >= 0 || bins.max <= 0)
  const levels = 2 ** (oneSided ? bits : bits - 1)
  const used = magnitudes(bins).length
  let factor = 1
  while (used / factor > MAGNITUDE_BINS) factor *= 2
  const view = coarser(bins, factor)
  const counts = magnitudes(view)
  const kept = entropyBins(counts, levels)
  if (kept === counts.length) return { min: bins.min, max: bins.max }
  const limit = kept * view.width
  return { min: Math.max(bins.min, -limit), max: Math.min(bins.max, limit) }
}
