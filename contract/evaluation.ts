// Quality of generated results: what a metric says of a side, what was generated, and the report of both. The same object
// in files (`aqw evaluate --json`), in runs and in the window. Keys are snake_case because scripts read these files.
import { z } from 'zod'

export const QUALITY_SCHEMA = 'aqw.quality/1'

/** Metrics by the name they have in the literature; how each is computed: docs/evaluation.md. */
export const metricKeySchema = z.enum([
  // Same seed, candidate against reference, per sample.
  'sqnr',
  'cosine',
  'psnr',
  'ssim',
  'lpips',
  'latent_drift',
  // Sets of generated results.
  'fid',
  'fid_delta',
  'kid',
  'precision',
  'recall',
  'clip_score',
  'caption_first',
  // Text.
  'perplexity',
  'loss',
  'kl_divergence',
  'top1_agreement',
  // Labelled data.
  'top1_accuracy',
  'top5_accuracy',
])
export type MetricKey = z.infer<typeof metricKeySchema>

export const metricResultSchema = z.object({
  key: metricKeySchema,
  /** What else decides the number, such as the feature model: two results compare only if it is equal. */
  basis: z.string().nullable(),
  /** null where it has no finite value (equal pictures have no PSNR). */
  value: z.number().nullable(),
  /** Bootstrap interval over samples; null where resampling makes no sense. */
  low: z.number().nullable(),
  high: z.number().nullable(),
  confidence: z.number().min(0).max(1),
  /** Independent samples behind the value: pictures, sequences, tokens. */
  samples: z.number().int().nonnegative(),
  unit: z.enum(['dB', 'ratio', 'nats', 'none']),
  better: z.enum(['lower', 'higher']),
  /** Too few samples for the metric to be trusted, with the number it needs. */
  needed_samples: z.number().int().positive().nullable(),
})
export type MetricResult = z.infer<typeof metricResultSchema>

/** One generated result: a picture, a token sequence, or any tensor. */
export const sampleResultSchema = z.object({
  id: z.string(),
  /** Prompt or beginning of the text. */
  prompt: z.string().nullable(),
  seed: z.number().int().nullable(),
  /** File of the result, relative to the report: PNG for pictures. */
  file: z.string().nullable(),
  /** Per-sample metrics against the reference of the same seed. */
  values: z.partialRecord(metricKeySchema, z.number().nullable()),
  /** Error of every denoising step or token: SQNR in dB, or KL in nats. */
  steps: z.array(z.object({ at: z.number(), value: z.number().nullable() })).nullable(),
})
export type SampleResult = z.infer<typeof sampleResultSchema>

export const qualitySideSchema = z.object({
  /** FP32, FP16, INT8, ... */
  label: z.string(),
  /** `reference`: FP32 on ONNX Runtime, which every other side is compared with. */
  role: z.enum(['reference', 'baseline', 'candidate']),
  model: z.string(),
  sha256: z.string(),
  /** Device selector the model ran on. */
  device: z.string(),
  metrics: z.array(metricResultSchema),
  samples: z.array(sampleResultSchema),
  seconds: z.number().nonnegative(),
})
export type QualitySide = z.infer<typeof qualitySideSchema>

export const qualityReportSchema = z.object({
  schema: z.literal(QUALITY_SCHEMA),
  created_at: z.iso.datetime(),
  task: z.object({
    kind: z.enum(['diffusion', 'language', 'tensors', 'classification']),
    name: z.string(),
    /** Of the task and every file it names. */
    sha256: z.string(),
    /** The task as given. */
    settings: z.unknown(),
  }),
  seed: z.number().int(),
  sides: z.array(qualitySideSchema).min(1),
  notes: z.array(z.string()),
})
export type QualityReport = z.infer<typeof qualityReportSchema>
