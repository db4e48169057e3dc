// A comparison of two precisions of one model on one device, as written by `aqw compare`. Documented in
// docs/comparison-schema.md. Keys are snake_case because people's scripts read these files.
import { z } from 'zod'
import { latencySummarySchema, verdictSchema } from './benchmark.ts'
import { clockSchema, deviceKindSchema } from './device.ts'
import { qualityReportSchema } from './evaluation.ts'
import { gateResultSchema } from './gates.ts'

export const COMPARISON_SCHEMA = 'aqw.comparison/1'

/** Where a figure comes from: a clock on real hardware, the simulated device clock, or a calculation alone. */
export const figureLabelSchema = z.enum(['measured', 'simulated', 'estimated'])
export type FigureLabel = z.infer<typeof figureLabelSchema>

/** Closeness to the FP32 reference. null stands for what has no finite value: no error at all, or NaN in the output. */
export const outputQualitySchema = z.object({
  sqnr_db: z.number().nullable(),
  cosine: z.number(),
  max_abs_error: z.number(),
  /** Every element equals the reference. */
  identical: z.boolean(),
  /** Elements that are NaN or infinite although the reference is finite. */
  non_finite: z.number().int().nonnegative(),
})
export type OutputQuality = z.infer<typeof outputQualitySchema>

export const qualitySchema = outputQualitySchema.extend({
  /** What the outputs are compared with. */
  reference: z.string(),
  /** Number of samples; the figures above pool all their output elements. */
  samples: z.number().int().positive(),
  worst_sample: z.object({ name: z.string(), sqnr_db: z.number().nullable(), cosine: z.number() }),
  outputs: z.record(z.string(), outputQualitySchema),
})
export type Quality = z.infer<typeof qualitySchema>

/** One side of the comparison. */
export const comparisonSideSchema = z.object({
  /** What the side is, in the words of the table: FP32, FP16, INT8, W4A8, INT8 mixed (docs/comparison-schema.md). */
  label: z.string(),
  measurement: figureLabelSchema,
  model: z.string(),
  sha256: z.string(),
  size_bytes: z.number().int().nonnegative(),
  /** Time of the model itself: device time on an NPU, simulated device time, or wall time on the host CPU. */
  latency_ms: latencySummarySchema,
  /** Copies to and from the device; null where there are none. */
  h2d_ms: latencySummarySchema.nullable(),
  d2h_ms: latencySummarySchema.nullable(),
  end_to_end_ms: latencySummarySchema,
  /** Inferences per second: runs x batch / time of the model itself, and with copies. */
  qps: z.number(),
  end_to_end_qps: z.number(),
  load_ms: z.number(),
  device_memory_bytes: z.number().nullable(),
  host_peak_bytes: z.number(),
  verdict: verdictSchema,
  quality: qualitySchema.nullable(),
  /** Layers quantized and layers of a kind that could be; only on a quantized side. */
  quantized_layers: z.object({ quantized: z.number().int(), candidates: z.number().int() }).nullable(),
})
export type ComparisonSide = z.infer<typeof comparisonSideSchema>

/** Candidate over baseline, with its confidence interval. */
export const deltaSchema = z.object({
  baseline: z.string(),
  candidate: z.string(),
  metric: z.enum(['latency_ms', 'end_to_end_ms', 'qps', 'size_bytes', 'device_memory_bytes']),
  baseline_value: z.number(),
  candidate_value: z.number(),
  ratio: z.number(),
  low: z.number(),
  high: z.number(),
  confidence: z.number(),
  /** `exact`: both values are deterministic, so the interval has no width. */
  method: z.enum(['bootstrap', 'exact']),
  no_difference: z.boolean(),
  better: z.enum(['baseline', 'candidate', 'same']),
})
export type Delta = z.infer<typeof deltaSchema>

export const comparisonDeviceSchema = z.object({
  id: z.string(),
  kind: deviceKindSchema,
  name: z.string(),
  soc: z.string().nullable(),
  clock: clockSchema,
  runtime: z.string(),
  cann_version: z.string().nullable(),
  driver_version: z.string().nullable(),
  memory_total_bytes: z.number().nullable(),
  host_cpu: z.string(),
  threads: z.number().int().nullable(),
})
export type ComparisonDevice = z.infer<typeof comparisonDeviceSchema>

/** How the runs of one device were made. */
export const conditionsSchema = z.object({
  batch: z.number().int(),
  warmup_runs: z.number().int(),
  warmup_ms: z.number(),
  min_runs: z.number().int(),
  min_duration_ms: z.number(),
  /** Set when the user asked for an exact number of runs. */
  loop_count: z.number().int().nullable(),
  block_runs: z.number().int(),
  interleaved: z.boolean(),
  inputs_hash: z.string(),
})
export type Conditions = z.infer<typeof conditionsSchema>

/** One device with everything that was compared on it. */
export const comparisonSectionSchema = z.object({
  label: figureLabelSchema,
  device: comparisonDeviceSchema,
  conditions: conditionsSchema,
  baseline: comparisonSideSchema,
  candidates: z.array(comparisonSideSchema),
  deltas: z.array(deltaSchema),
  /** Conditions that differ between the sides; the deltas mean nothing unless this is empty. */
  incomparable: z.array(z.object({ field: z.string(), baseline: z.string(), candidate: z.string() })),
})
export type ComparisonSection = z.infer<typeof comparisonSectionSchema>

export const comparisonSchema = comparisonSectionSchema.extend({
  schema: z.literal(COMPARISON_SCHEMA),
  created_at: z.iso.datetime(),
  tool: z.object({ name: z.string(), version: z.string(), harness_version: z.string() }),
  /** SHA-256 over everything that decides the figures: model, recipe, data, device, scenario, versions. */
  config_hash: z.string(),
  model: z.object({
    path: z.string(),
    sha256: z.string(),
    size_bytes: z.number().int(),
    inputs: z.array(z.object({ name: z.string(), dims: z.array(z.number().int()) })),
  }),
  calibration: z.object({ folder: z.string(), samples: z.number().int(), sha256: z.string() }),
  evaluation: z.object({
    folder: z.string(),
    sample_names: z.array(z.string()),
    /** The same data chose the scales: the figures are optimistic. */
    same_as_calibration: z.boolean(),
    /** Samples that are in the calibration data too, by content. */
    overlapping_samples: z.number().int().nonnegative().default(0),
  }),
  recipe: z.unknown(),
  /** Expected distance of a real device's latency from the simulated one; null unless simulated. */
  cost_model: z
    .object({
      status: z.enum(['fitted', 'not validated']),
      factor: z.number(),
      share: z.number().nullable(),
      text: z.string(),
    })
    .nullable(),
  /** The host CPU beside the device, when asked for. */
  host_cpu: comparisonSectionSchema.nullable(),
  /** What the sides generate and how good it is, when a quality task was given. */
  generated: qualityReportSchema.nullable().default(null),
  /** Conditions the candidates were held to. */
  gates: z.array(gateResultSchema).default([]),
  notes: z.array(z.string()),
})
export type Comparison = z.infer<typeof comparisonSchema>
