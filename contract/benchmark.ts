// Benchmark results at the boundary: scenario, latency summaries, verdict, difference, comparability.
import { z } from 'zod'
import { costValidationSchema } from './cost.ts'
import { clockSchema, deviceSnapshotSchema, tensorSpecSchema, type DeviceKind } from './device.ts'

/** Raised whenever the way of measuring changes; results of different versions do not compare. */
export const HARNESS_VERSION = '1'

export const scenarioSchema = z.object({
  /** Honoured exactly when given; then the minimums below only decide the verdict. */
  loopCount: z.number().int().min(1).max(10_000_000).optional(),
  minRuns: z.number().int().min(1).max(10_000_000),
  minDurationMs: z.number().nonnegative().max(86_400_000),
  /** Both minimums must be reached before samples count. */
  warmupRuns: z.number().int().nonnegative().max(1_000_000),
  warmupMs: z.number().nonnegative().max(3_600_000),
  /** Consecutive runs of one model before the other model's turn. */
  blockRuns: z.number().int().min(1).max(100_000),
  /** Inferences per run; without it the first dimension of the first input. */
  batch: z.number().int().min(1).max(1_000_000).optional(),
  /** Seeds the bootstrap, so that a report can be reproduced. */
  seed: z.number().int().min(0).max(0xffff_ffff),
})
export type Scenario = z.infer<typeof scenarioSchema>
/** What a caller sets; the rest is filled by `defaultScenario` of the device's kind. */
export type ScenarioInput = Partial<Scenario>

/** Warm-up of at least 20 runs and 2 s, 100 runs and 3 s measured: enough for a p90, not for a p99. */
const MEASURED_DEFAULTS: Scenario = {
  minRuns: 100,
  minDurationMs: 3_000,
  warmupRuns: 20,
  warmupMs: 2_000,
  blockRuns: 10,
  seed: 20_240_601,
}

/** Defaults by device kind. A virtual clock repeats exactly: it needs neither duration nor a long warm-up. */
export function defaultScenario(kind: DeviceKind): Scenario {
  if (kind !== 'simulated') return { ...MEASURED_DEFAULTS }
  return { ...MEASURED_DEFAULTS, minDurationMs: 0, warmupRuns: 2, warmupMs: 0 }
}

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

interface VerdictText {
  severity: 'fail' | 'note'
  en: string
  zh: string
}

/** `fail` makes the verdict INVALID, `note` only qualifies it. `{name}` is filled from the reason's details. */
export const verdictTexts = {
  'too-few-runs': {
    severity: 'fail',
    en: 'Only {runs} runs; {needed} are needed.',
    zh: '仅运行 {runs} 次，需要 {needed} 次。',
  },
  'too-short': {
    severity: 'fail',
    en: 'Measured for {milliseconds} ms only; {needed} ms are needed.',
    zh: '仅测量 {milliseconds} ms，需要 {needed} ms。',
  },
  drift: {
    severity: 'fail',
    en: 'The latency drifted by {percent} % from the first to the last quarter of the runs (limit {limit} %).',
    zh: '从前四分之一到后四分之一，时延漂移 {percent} %（上限 {limit} %）。',
  },
  noisy: {
    severity: 'note',
    en: 'The runs scatter: standard deviation is {percent} % of the mean. Is the machine doing something else?',
    zh: '结果离散：标准差为均值的 {percent} %。机器是否在执行其他任务？',
  },
  'no-warmup': {
    severity: 'fail',
    en: 'Measured without warm-up: first runs include one-time costs.',
    zh: '未预热即测量：最初的运行包含一次性开销。',
  },
  'short-warmup': {
    severity: 'note',
    en: 'Warm-up of {runs} runs and {milliseconds} ms; {neededRuns} runs and {neededMs} ms are usual.',
    zh: '预热 {runs} 次、{milliseconds} ms；通常为 {neededRuns} 次、{neededMs} ms。',
  },
  simulated: {
    severity: 'note',
    en: 'Simulated: latencies come from a cost model, not from hardware. They repeat exactly.',
    zh: '仿真结果：时延来自成本模型而非硬件，可精确重复。',
  },
  'cost-model-not-validated': {
    severity: 'note',
    en: 'The cost model of {soc} is derived from its specifications and was not checked against measurements.',
    zh: '{soc} 的成本模型由规格推导，未经实测验证。',
  },
} as const satisfies Record<string, VerdictText>

export type VerdictCode = keyof typeof verdictTexts
const verdictCodes = Object.keys(verdictTexts) as [VerdictCode, ...VerdictCode[]]

export const verdictReasonSchema = z.object({
  code: z.enum(verdictCodes),
  severity: z.enum(['fail', 'note']),
  /** Figures of the text, e.g. `{runs: 12, needed: 100}`. */
  details: z.record(z.string(), z.union([z.string(), z.number()])),
  /** English text; `describeVerdictReason` gives the others. */
  message: z.string(),
})
export type VerdictReason = z.infer<typeof verdictReasonSchema>

/** The text of a reason in a language. */
export function describeVerdictReason(
  reason: Pick<VerdictReason, 'code' | 'details'>,
  locale: 'en' | 'zh',
): string {
  return verdictTexts[reason.code][locale].replace(/\{(\w+)\}/g, (whole, key: string) => {
    return String(reason.details[key] ?? whole)
  })
}

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
  /** What is known of the cost model's error; null for anything but a simulated device. */
  costValidation: costValidationSchema.nullable(),
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
