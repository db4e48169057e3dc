// The metrics of a set of generated pictures, from what was kept of each.
import path from 'node:path'
import type { DiffusionTask } from '../../../contract/evaluation-task.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { MetricKey, MetricResult } from '../../../contract/evaluation.ts'
import {
  bootstrapInterval,
  captionRanks,
  clipScores,
  compareSets,
  type Features,
  featureSet,
  type FeatureSet,
  frechetDistance,
  frechetReference,
  type FrechetReference,
  meanInterval,
  metricResult,
  moments,
  pickFeatures,
} from '../metrics/index.ts'
import type { SideSample } from './checkpoint.ts'

/** A resample costs one eigenvalue problem of the features' width; beyond this the interval would take minutes. */
const FID_INTERVAL_WIDTH = 256
const FID_INTERVAL_ROUNDS = 60

export interface PictureSet {
  task: DiffusionTask
  samples: readonly SideSample[]
  /** The same pictures by the reference. */
  reference: readonly SideSample[]
  isReference: boolean
  target: FeatureTarget | null
}

/** What every side's features are held against. */
export interface FeatureTarget {
  basis: string
  /** Real pictures, rather than those of the reference. */
  real: boolean
  frechet: FrechetReference
  set: FeatureSet
}

/** The vectors of a name, one row per sample; null where there are none. */
function rowsOf(samples: readonly SideSample[], name: string): Features | null {
  const vectors = samples.flatMap(({ vectors }) => vectors[name] ?? [])
  const [first] = vectors
  if (!first || vectors.length !== samples.length) return null
  const data = new Float32Array(first.length * vectors.length)
  vectors.forEach((vector, row) => data.set(vector, row * first.length))
  return { count: vectors.length, width: first.length, data }
}

const PAIR_METRICS: readonly MetricKey[] = ['sqnr', 'cosine', 'psnr', 'ssim', 'lpips']

/** Means of the per-picture values; pictures equal to the reference have none in dB and are left out, counted below. */
function pairMetrics({ samples, task }: PictureSet): MetricResult[] {
  return PAIR_METRICS.flatMap((key) => {
    const values = samples.flatMap(({ sample }) => sample.values[key] ?? [])
    if (values.length === 0) return []
    const value = values.reduce((sum, one) => sum + one, 0) / values.length
    const basis = key === 'lpips' && task.features ? path.basename(task.features.model) : undefined
    return [
      metricResult(key, {
        value,
        samples: values.length,
        interval: meanInterval(values),
        ...(basis !== undefined && { basis }),
      }),
    ]
  })
}

/** Mean SQNR of the last sample a model was given: where the trajectory has drifted to. */
function drift({ samples }: PictureSet): MetricResult[] {
  const values = samples.flatMap(({ sample }) => sample.steps?.at(-1)?.value ?? [])
  if (values.length === 0) return []
  const value = values.reduce((sum, one) => sum + one, 0) / values.length
  return [metricResult('latent_drift', { value, samples: values.length, interval: meanInterval(values) })]
}

/** FID or a difference of FIDs over the positions of a resample, with its interval. */
function frechetMetric(
  key: 'fid' | 'fid_delta',
  { count, width }: Features,
  statistic: (positions: Uint32Array) => number,
  basis: string,
): MetricResult {
  const value = statistic(Uint32Array.from({ length: count }, (_, index) => index))
  const options = { rounds: FID_INTERVAL_ROUNDS, centre: value }
  const interval = width <= FID_INTERVAL_WIDTH ? bootstrapInterval(count, statistic, options) : null
  // A distance is never negative, however the interval was moved.
  const bounded = interval && key === 'fid' ? { ...interval, low: Math.max(0, interval.low) } : interval
  return metricResult(key, { value, samples: count, featureWidth: width, interval: bounded, basis })
}

/**
 * Prepares the features that all sides are compared with: those of real pictures, else the reference's own.
 * @param stored Features of real pictures, row after row.
 * @throws E_TASK_INVALID when they do not have the width of the feature model
 */
export function featureTarget(
  { features: spec }: DiffusionTask,
  reference: readonly SideSample[],
  stored: Float32Array | null,
): FeatureTarget | null {
  const own = rowsOf(reference, 'features')
  if (!spec || !own || own.count < 2) return null
  const model = path.basename(spec.model)
  const real = stored && realFeatures(spec.reference ?? '', stored, own.width)
  const target = real ?? own
  return {
    basis: `${model}, ${real ? 'real pictures' : 'pictures of the reference'}`,
    real: real !== null,
    frechet: frechetReference(moments(target)),
    set: featureSet(target),
  }
}

function realFeatures(file: string, data: Float32Array, width: number): Features {
  const refuse = (problem: string): AppError =>
    new AppError('E_TASK_INVALID', { path: file, problems: [problem] })
  if (data.length % width !== 0)
    throw refuse(`${data.length} numbers are no rows of ${width}, the width of the feature model's output`)
  if (data.length < 2 * width) throw refuse('features of two pictures are needed at least')
  if (!data.every(Number.isFinite)) throw refuse('it holds features that are not finite')
  return { count: data.length / width, width, data }
}

function setMetrics({ samples, reference, isReference, target }: PictureSet): MetricResult[] {
  const features = rowsOf(samples, 'features')
  const baseline = rowsOf(reference, 'features')
  if (!target || !features || !baseline || (!target.real && isReference)) return []
  const { basis, frechet } = target
  const distance = (of: Features) => (positions: Uint32Array) =>
    frechetDistance(frechet, moments(pickFeatures(of, positions)))
  const [own, other] = [distance(features), distance(baseline)]
  return [
    frechetMetric('fid', features, own, basis),
    // The same pictures are drawn on both sides.
    ...(target.real && !isReference
      ? [frechetMetric('fid_delta', features, (positions) => own(positions) - other(positions), basis)]
      : []),
    ...overlapMetrics(features, target),
  ]
}

/** Intervals hold one of the sets fixed: the real pictures for KID and precision, the generated ones for recall. */
function overlapMetrics(features: Features, { set, basis }: FeatureTarget): MetricResult[] {
  const { count: samples } = features
  const { kid: value, kidValues, precise, recalled } = compareSets(set, featureSet(features))
  const share = (key: 'precision' | 'recall', hits: Uint8Array): MetricResult =>
    metricResult(key, {
      value: hits.reduce((sum, hit) => sum + hit, 0) / hits.length,
      samples,
      basis,
      interval: meanInterval(hits),
    })
  const interval = samples > 2 ? meanInterval(kidValues, { centre: value }) : null
  return [
    metricResult('kid', { value, samples, basis, interval }),
    share('precision', precise),
    share('recall', recalled),
  ]
}

function captionMetrics({ task, samples }: PictureSet): MetricResult[] {
  const pictures = rowsOf(samples, 'embedding')
  const captions = rowsOf(samples, 'caption')
  if (!task.captions || !pictures || !captions) return []
  const basis = `${path.basename(task.captions.picture.model)}, ${path.basename(task.captions.text.model)}`
  const scores = clipScores(pictures, captions)
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
  const { unique, own } = distinctCaptions(samples, captions)
  const hits = captionRanks(pictures, unique, own).map((rank) => (rank === 0 ? 1 : 0))
  const share = hits.reduce((sum, hit) => sum + hit, 0) / hits.length
  const count = samples.length
  return [
    metricResult('clip_score', { value: mean, samples: count, interval: meanInterval(scores), basis }),
    metricResult('caption_first', {
      value: share,
      samples: count,
      interval: meanInterval(hits),
      basis: `${basis}, of ${unique.count} captions`,
    }),
  ]
}

/** Every caption once, and which of them belongs to each picture. */
function distinctCaptions(
  samples: readonly SideSample[],
  captions: Features,
): { unique: Features; own: Uint32Array } {
  const rows = new Map<string, number>()
  const first: number[] = []
  const own = Uint32Array.from(samples, ({ sample }, row) => {
    const text = sample.prompt ?? ''
    const known = rows.get(text) ?? rows.size
    if (!rows.has(text)) {
      rows.set(text, known)
      first.push(row)
    }
    return known
  })
  return { unique: pickFeatures(captions, Uint32Array.from(first)), own }
}

/** All metrics of a side. The reference has no values against itself. */
export function pictureMetrics(set: PictureSet): MetricResult[] {
  return [
    ...(set.isReference ? [] : [...pairMetrics(set), ...drift(set)]),
    ...setMetrics(set),
    ...captionMetrics(set),
  ]
}
