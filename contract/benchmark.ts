// Benchmark results at the boundary: scenario, latency summaries, verdict, difference, comparability.
import { z } from 'zod'
import { clockSchema, deviceSnapshotSchema, tensorSpecSchema } from './device.ts'

/** Raised whenever the way of measuring changes; results of different versions do not compare. */
export const HARNESS_VERSION = '1'

export const scenarioSchema = z.object({
  /** Honoured exactly when given; then the minimums below only decide the verdict. */
  loopCount: z.number().int().min(1).max(10_000_000).optional(),
  minRuns: z.number().int().min(1).max(10_000_000).default(100),
  minDurationMs: z.number().nonnegative().max(86_400_000).default(3_000),
  /** Both minimums must be reached before samples count. */
  warmupRuns: z.number().int().nonnegative().max(1_000_000).default(20),
  warmupMs: z.number().nonnegative().max(3_600_000).default(2_000),
  /** Consecutive runs of one model before the other model's turn. */
  blockRuns: z.number().int().min(1).max(100_000).default(10),
  /** Inferences per run; default is the first dimension of the first input. */
  batch: z.number().int().min(1).optional(),
  /** Seeds the bootstrap, so that a report can be reproduced. */
  seed: z.number().int().nonnegative().default(20_240_601),
})
export type Scenario = z.infer<typeof scenarioSchema>
export type ScenarioInput = z.input<typeof scenarioSchema>

export const percentileNames = ['p50', 'p90', 'p95', 'p99', 'p999'] as const
export type PercentileName = (typeof percentileNames)[number]

/** Milliseconds. A percentile is null while `count` is below `needed` of the same name. */
export const latencySummarySchema = z.object({
  count: z.number().int().positive(),
  mean: z.number(),
  min: z.number(),
  max: z.number(),
  /** Sample standard deviation (n - 1); 0 for one sample. */
  stddev: z.number(),
  p50: z.number().nullable(),
  p90: z.number().nullable(),
  p95: z.number().nullable(),
  p99: z.number().nullable(),
  p999: z.number().nullable(),
  needed: z.object({
    p50: z.number().int(),
    p90: z.number().int(),
    p95: z.number().int(),
    p99: z.number().int(),
    p999: z.number().int(),
  }),
})
export type LatencySummary = z.infer<typeof latencySummarySchema>

/** `fail` makes the verdict INVALID, `note` only qualifies it. */
export const verdictReasonSchema = z.object({
  code: z.enum([
    'too-few-runs',
    'too-short',
    'drift',
    'noisy',
    'no-warmup',
    'short-warmup',
    'simulated',
    'cost-model-not-validated',
    'wall-clock',
    'single-model',
  ]),
  severity: z.enum(['fail', 'note']),
  /** Figures of the text, e.g. `{runs: 12, needed: 100}`. */
  details: z.record(z.string(), z.union([z.string(), z.number()])),
  /** English text; `describeVerdictReason` gives the others. */
  message: z.string(),
})
export type VerdictReason = z.infer<typeof verdictReasonSchema>
export type VerdictCode = VerdictReason['code']

export const verdictSchema = z.object({ valid: z.boolean(), reasons: z.array(verdictReasonSchema) })
export type Verdict = z.infer<typeof verdictSchema>

export const benchmarkResultSchema = z.object({
  schema: z.literal('aqw.benchmark/1'),
  harnessVersion: z.string(),
  label: z.string(),
  model: z.object({
    path: z.string(),
    bytes: z.number().nonnegative(),
    inputs: z.array(tensorSpecSchema),
    outputs: z.array(tensorSpecSchema),
    loadMs: z.number().nonnegative(),
  }),
  device: deviceSnapshotSchema,
  clock: clockSchema,
  /** True when the samples come from a virtual clock and repeat exactly. */
  deterministic: z.boolean(),
  scenario: scenarioSchema,
  batch: z.number().int().positive(),
  /** SHA-256 over names and bytes of the inputs. */
  inputsHash: z.string(),
  startedAt: z.iso.datetime(),
  runs: z.number().int().positive(),
  elapsedMs: z.number().nonnegative(),
  warmup: z.object({ runs: z.number().int().nonnegative(), milliseconds: z.number().nonnegative() }),
  /** Number of blocks the runs were split into; more than one model was interleaved when `interleavedWith` > 0. */
  blocks: z.number().int().positive(),
  interleavedWith: z.number().int().nonnegative(),
  latencyMs: z.object({
    /** The headline: device time on an NPU, virtual device time when simulated, wall time on the host CPU. */
    execute: latencySummarySchema,
    executeWall: latencySummarySchema,
    h2d: latencySummarySchema.nullable(),
    d2h: latencySummarySchema.nullable(),
    /** h2d + execute + d2h of the same run. */
    endToEnd: latencySummarySchema,
  }),
  /** Inferences per second (runs x batch). */
  qps: z.object({ execute: z.number(), endToEnd: z.number() }),
  memory: z.object({
    /** Device memory the loaded model took. */
    deviceBytes: z.number().nonnegative().nullable(),
    workBytes: z.number().nonnegative().nullable(),
    weightBytes: z.number().nonnegative().nullable(),
    /** Largest resident set of the process that ran the model. */
    hostPeakBytes: z.number().nonnegative(),
  }),
  samples: z.object({
    executeMs: z.array(z.number()),
    executeWallMs: z.array(z.number()),
    h2dMs: z.array(z.number()),
    d2hMs: z.array(z.number()),
    blockStarts: z.array(z.number().int()),
  }),
  verdict: verdictSchema,
})
export type BenchmarkResult = z.infer<typeof benchmarkResultSchema>

/** Candidate over baseline. Below 1 means the candidate's value is smaller (a latency: faster). */
export const ratioSchema = z.object({
  ratio: z.number(),
  low: z.number(),
  high: z.number(),
  confidence: z.number(),
  /** `exact`: both sides deterministic, the interval has no width. */
  method: z.enum(['bootstrap', 'exact']),
  resamples: z.number().int().nonnegative(),
  /** The interval contains 1. */
  noDifference: z.boolean(),
})
export type Ratio = z.infer<typeof ratioSchema>

/** Why two results must not be compared: one entry per condition that differs. */
export const incomparabilitySchema = z.object({
  field: z.enum([
    'device',
    'soc',
    'runtime',
    'cann',
    'driver',
    'clock',
    'threads',
    'inputs',
    'batch',
    'harness',
  ]),
  baseline: z.string(),
  candidate: z.string(),
})
export type Incomparability = z.infer<typeof incomparabilitySchema>
