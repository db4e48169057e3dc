// What every metric is measured in, which way is better, and how many samples it needs to be trusted.
import type { MetricKey, MetricResult } from '../../../contract/evaluation.ts'
import type { Interval } from './intervals.ts'

type Facts = Pick<MetricResult, 'unit' | 'better'> & {
  /** Samples below which the result carries a warning. */
  needs: number
}

const pairwise = (unit: MetricResult['unit'], better: MetricResult['better']): Facts => ({
  unit,
  better,
  needs: 2,
})

/**
 * FID, precision and recall are biased by the number of samples (Heusel et al. 2017: more than the feature's width; Chong
 * and Forsyth 2020, "Effectively Unbiased FID"): see `neededSamples`. KID is unbiased, but below a hundred its scatter is
 * larger than what quantization changes.
 */
const FACTS: Record<MetricKey, Facts> = {
  sqnr: pairwise('dB', 'higher'),
  cosine: pairwise('none', 'higher'),
  psnr: pairwise('dB', 'higher'),
  ssim: pairwise('none', 'higher'),
  lpips: pairwise('none', 'lower'),
  latent_drift: pairwise('dB', 'higher'),
  fid: { unit: 'none', better: 'lower', needs: 256 },
  fid_delta: { unit: 'none', better: 'lower', needs: 256 },
  kid: { unit: 'none', better: 'lower', needs: 100 },
  precision: { unit: 'ratio', better: 'higher', needs: 256 },
  recall: { unit: 'ratio', better: 'higher', needs: 256 },
  clip_score: { unit: 'none', better: 'higher', needs: 30 },
  caption_first: { unit: 'ratio', better: 'higher', needs: 30 },
  perplexity: { unit: 'none', better: 'lower', needs: 1000 },
  loss: { unit: 'nats', better: 'lower', needs: 1000 },
  kl_divergence: { unit: 'nats', better: 'lower', needs: 1000 },
  top1_agreement: { unit: 'ratio', better: 'higher', needs: 30 },
  top1_accuracy: { unit: 'ratio', better: 'higher', needs: 100 },
  top5_accuracy: { unit: 'ratio', better: 'higher', needs: 100 },
}

/** Samples a metric needs; FID needs two per dimension of the features, so that the covariance has full rank twice over. */
export function neededSamples(key: MetricKey, featureWidth = 0): number {
  const { needs } = FACTS[key]
  return key === 'fid' || key === 'fid_delta' ? Math.max(needs, 2 * featureWidth) : needs
}

export interface MetricFields {
  value: number
  samples: number
  interval?: Interval | null
  /** Feature model or data that decides the number besides the results. */
  basis?: string
  featureWidth?: number
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null
}

/** A metric's value with everything a reader needs to believe it. */
export function metricResult(key: MetricKey, fields: MetricFields): MetricResult {
  const { unit, better } = FACTS[key]
  const needed = neededSamples(key, fields.featureWidth)
  return {
    key,
    basis: fields.basis ?? null,
    value: finite(fields.value),
    low: finite(fields.interval?.low),
    high: finite(fields.interval?.high),
    confidence: fields.interval?.confidence ?? 0.95,
    samples: fields.samples,
    unit,
    better,
    needed_samples: fields.samples < needed ? needed : null,
  }
}
