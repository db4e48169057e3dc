// The calibration report, as written by `aqw calibrate --report`: what every quantized tensor looks like, what each range
// method makes of it, and whether the samples are enough. Documented in docs/calibration.md. Keys are snake_case because
// people's scripts read these files.
import { z } from 'zod'
import { localizedTextSchema } from './presets.ts'
import { activationMethodSchema, recipeSchema } from './recipe.ts'

export const CALIBRATION_SCHEMA = 'aqw.calibration/1'

/** Bins of a histogram for display at most; the exact one behind it is finer. */
export const DISPLAY_BINS = 256

/** Where the time step of a sample was found. */
export const timestepSourceSchema = z.enum(['index', 'input', 'file names'])
export type TimestepSource = z.infer<typeof timestepSourceSchema>

const count = z.number().int().nonnegative()
/** 0 to 1. */
const share = z.number().min(0).max(1)
const range = { min: z.number(), max: z.number() }

/** One run of the model, in the order in which the report adds them. */
export const calibrationSampleSchema = z.object({
  name: z.string(),
  /** Position in the data set. */
  index: count,
  timestep: z.number().nullable(),
  /** The most that a tensor's range grew by this sample, as a share of the range after it. The first sample is all new. */
  growth: share,
  /** The largest share of a tensor's values outside the range of the samples before. */
  clipped: share,
  /** Tensors that this sample extends beyond both limits of the rule. */
  growing_tensors: count,
})
export type CalibrationSample = z.infer<typeof calibrationSampleSchema>

export const coverageVerdictSchema = z.enum(['enough', 'not_enough', 'too_few'])
export type CoverageVerdict = z.infer<typeof coverageVerdictSchema>

export const coverageSchema = z.object({
  verdict: coverageVerdictSchema,
  rule: z.object({
    /** The samples that decide are the last ones: this share of all. */
    tail_share: share,
    /** A tensor still grows when one of them adds more than this to its range ... */
    growth: share,
    /** ... and at least this share of that sample's values lies outside the range of the samples before. */
    clipped: share,
    /** Below this number of samples nothing is said. */
    minimum_samples: z.number().int().positive(),
    text: localizedTextSchema,
  }),
  tail_samples: count,
  /** All tensors that still grow; `growing` lists the worst of them. */
  growing_tensors: count,
  growing: z.array(
    z.object({
      tensor: z.string(),
      layer: z.string(),
      sample: z.string(),
      timestep: z.number().nullable(),
      growth: share,
      clipped: share,
    }),
  ),
  /** Time steps of the samples by which tensors still grow. */
  growing_steps: z.array(z.object({ timestep: z.number(), tensors: count })),
  advice: z.array(localizedTextSchema),
})
export type Coverage = z.infer<typeof coverageSchema>

/** A method's range for a tensor. */
export const methodResultSchema = z.object({
  method: activationMethodSchema,
  /** Of the method `percentile` only. */
  percentile: z.number().nullable(),
  ...range,
  scale: z.number(),
  offset: z.number().int(),
  /** Of the tensor itself on this grid, over all samples; null: no error at all, or nothing but zeros. */
  sqnr_db: z.number().nullable(),
  /** Share of the values outside the range. */
  clipped: share,
})
export type MethodResult = z.infer<typeof methodResultSchema>

export const histogramDisplaySchema = z.object({
  /** Start of the first bin and width of every bin; both exact (multiples of a power of two). */
  low: z.number(),
  width: z.number().nonnegative(),
  counts: z.array(z.number().nonnegative()).max(DISPLAY_BINS),
  /** The histogram that the ranges were computed from. */
  exact: z.object({ low: z.number(), width: z.number().nonnegative(), bins: count }),
})
export type HistogramDisplay = z.infer<typeof histogramDisplaySchema>

export const channelSummarySchema = z.object({
  axis: z.number().int(),
  channels: count,
  /** Largest magnitude of the channels: smallest, median, largest of them. */
  smallest: z.number().nonnegative(),
  median: z.number().nonnegative(),
  largest: z.number().nonnegative(),
  /** Channels whose largest magnitude exceeds this multiple of the median; `outliers` lists the largest of them. */
  limit: z.number().positive(),
  outlier_channels: count,
  outliers: z.array(
    z.object({
      channel: count,
      abs_max: z.number().nonnegative(),
      /** Over the median; null when the median is 0. */
      ratio: z.number().nonnegative().nullable(),
    }),
  ),
  /** Largest magnitude by channel, for a chart: of groups of neighbouring channels when there are more than 256. */
  abs_max: z.array(z.number().nonnegative()).max(DISPLAY_BINS),
  group: z.number().int().positive(),
})
export type ChannelSummary = z.infer<typeof channelSummarySchema>

/** A tensor in one run; same order as the report's `samples`. */
export const tensorSampleSchema = z.object({ ...range, growth: share, clipped: share })
export type TensorSample = z.infer<typeof tensorSampleSchema>

export const tensorReportSchema = z.object({
  tensor: z.string(),
  /** The layers that read it quantized. */
  layers: z.array(z.object({ name: z.string(), op_type: z.string() })),
  /** Values seen, over all samples. */
  elements: count,
  ...range,
  symmetric: z.boolean(),
  /** What the recipe takes. */
  chosen: methodResultSchema,
  /** The method of the best SQNR among `methods`. */
  best: activationMethodSchema,
  methods: z.array(methodResultSchema),
  histogram: histogramDisplaySchema,
  channels: channelSummarySchema.nullable(),
  samples: z.array(tensorSampleSchema),
  /** Ranges by time step, ascending; empty when samples carry none. */
  steps: z.array(z.object({ timestep: z.number(), samples: count, ...range })),
  /** Largest over smallest range of the steps (with zero); null without steps, or when one of them is all zeros. */
  step_ratio: z.number().nullable(),
  /** The sample without which the range shrinks the most, and by which share of it. */
  leave_one_out: z.object({ sample: count, shrinks: share }).nullable(),
  /** Growth and clipped share of the last samples that the coverage rule looks at, worst each. */
  tail: z.object({ growth: share, clipped: share, growing: z.boolean() }),
})
export type TensorReport = z.infer<typeof tensorReportSchema>

export const calibrationHeaderSchema = z.object({
  schema: z.literal(CALIBRATION_SCHEMA),
  tool: z.object({ name: z.string(), version: z.string() }),
  created_at: z.iso.datetime(),
  model: z.object({ path: z.string(), inputs: z.array(z.string()) }),
  data: z.object({
    folder: z.string(),
    sha256: z.string(),
    samples: count,
    runs: count,
    batch: z.number().int().positive(),
    selection: z.enum(['first', 'spread', 'timesteps']),
    timesteps: timestepSourceSchema.nullable(),
  }),
  recipe: recipeSchema,
  samples: z.array(calibrationSampleSchema),
  coverage: coverageSchema,
  seconds: z.number().nonnegative(),
})
export type CalibrationHeader = z.infer<typeof calibrationHeaderSchema>

export const calibrationReportSchema = calibrationHeaderSchema.extend({
  tensors: z.array(tensorReportSchema),
})
export type CalibrationReport = z.infer<typeof calibrationReportSchema>
