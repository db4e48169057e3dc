// jobs, runs, reports, the equivalent command line: what is done with the library and what came of it.
import { z } from 'zod'
import { deviceKindSchema } from '../device.ts'
import { ratioSchema } from '../benchmark.ts'
import {
  artifactSchema,
  calibrateJobRequestSchema,
  compareJobRequestSchema,
  idSchema,
  jobSchema,
  jobStageSchema,
  logLineSchema,
  pathSchema,
  provenanceSchema,
  runRowSchema,
  timestampSchema,
} from '../workspace.ts'
import { channel, topic } from './define.ts'
import { runFiguresSchema } from '../run-figures.ts'
import { comparisonSchema } from './seams.ts'

const byId = z.object({ id: idSchema })
const jobWithStages = z.object({ job: jobSchema, stages: z.array(jobStageSchema) })

export const runFilterSchema = z.object({
  /** Matches title, note, model, recipe and dataset names. */
  text: z.string().max(200).optional(),
  deviceId: z.string().max(80).optional(),
  deviceKind: deviceKindSchema.optional(),
  modelId: idSchema.optional(),
  recipeId: idSchema.optional(),
  datasetId: idSchema.optional(),
  valid: z.boolean().optional(),
  since: timestampSchema.optional(),
  until: timestampSchema.optional(),
})
export type RunFilter = z.infer<typeof runFilterSchema>

export const runSortSchema = z.object({
  /** Figures are those of the first candidate; `ratio` is its latency over the baseline's. */
  by: z.enum(['created', 'title', 'device', 'latency', 'qps', 'ratio', 'size', 'sqnr']),
  descending: z.boolean().default(true),
})
export type RunSort = z.infer<typeof runSortSchema>

/** Several runs side by side: one column per model of every run. */
export const runComparisonSchema = z.object({
  columns: z.array(
    z.object({
      runId: idSchema,
      runNumber: z.number().int().positive(),
      label: z.string(),
      role: z.enum(['baseline', 'candidate']),
      /** Position among the run's candidates; null for a baseline. */
      candidate: z.number().int().nonnegative().nullable(),
      deviceId: z.string(),
      deviceKind: deviceKindSchema,
      valid: z.boolean(),
    }),
  ),
  rows: z.array(
    z.object({
      /** Stable key such as `latency.p99` or `quality.sqnr_db`; the window translates it. */
      key: z.string(),
      unit: z.enum(['ms', 'qps', 'bytes', 'dB', 'ratio']),
      better: z.enum(['lower', 'higher']),
      values: z.array(z.number().nullable()),
      /** Samples a percentile needs where it is missing: per column, null when it is not that. */
      needed: z.array(z.number().int().nullable()),
      /** Against the first column; null for the first column and where the guard forbids it. */
      deltas: z.array(ratioSchema.nullable()),
    }),
  ),
  /** Conditions that differ. Latencies of such columns must not be compared. */
  guard: z.array(
    z.object({
      field: z.string(),
      values: z.array(z.string()),
      severity: z.enum(['blocks', 'note']),
    }),
  ),
  /** Configuration: all leaves, with a mark on those that differ. */
  config: z.array(
    z.object({
      path: z.string(),
      values: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])),
      differs: z.boolean(),
    }),
  ),
})
export type RunComparison = z.infer<typeof runComparisonSchema>

export const reportFormatSchema = z.enum(['html', 'pdf', 'md', 'csv', 'json'])
export type ReportFormat = z.infer<typeof reportFormatSchema>

export const workChannels = {
  'jobs.list': channel(
    z.object({
      projectId: idSchema.optional(),
      /** Leave out jobs that were put away. */
      dismissed: z.boolean().optional(),
      limit: z.number().int().min(1).max(1000).default(100),
    }),
    z.object({ jobs: z.array(jobSchema) }),
  ),
  /** `log` holds the last lines; the topic `jobs.log` gives the rest as it comes. */
  'jobs.get': channel(byId, jobWithStages.extend({ log: z.array(logLineSchema), logPath: z.string() })),
  'jobs.start': channel(
    z.discriminatedUnion('kind', [
      z.object({ projectId: idSchema, kind: z.literal('compare'), request: compareJobRequestSchema }),
      /** Runs on the host CPU. Its result: `calibrations.*` with the job's id. */
      z.object({ projectId: idSchema, kind: z.literal('calibrate'), request: calibrateJobRequestSchema }),
    ]),
    jobSchema,
  ),
  'jobs.cancel': channel(byId, jobSchema),
  'jobs.resume': channel(byId, jobSchema),
  'jobs.dismiss': channel(byId, jobSchema),

  'runs.list': channel(
    z.object({
      projectId: idSchema,
      filter: runFilterSchema.optional(),
      sort: runSortSchema.optional(),
      offset: z.number().int().min(0).default(0),
      limit: z.number().int().min(1).max(500).default(50),
    }),
    z.object({ total: z.number().int(), runs: z.array(runRowSchema) }),
  ),
  'runs.get': channel(
    byId,
    z.object({
      run: runRowSchema,
      comparison: comparisonSchema,
      provenance: provenanceSchema,
      artifacts: z.array(artifactSchema),
    }),
  ),
  /** What the charts of one run are drawn from; apart from `runs.get` because it is long. */
  'runs.figures': channel(byId, runFiguresSchema),
  'runs.compare': channel(z.object({ ids: z.array(idSchema).min(2).max(6) }), runComparisonSchema),
  'runs.note': channel(z.object({ id: idSchema, text: z.string().max(10_000) }), runRowSchema),

  /** Without `path` the content comes back as base64 (`pdf` needs a path or a browser on the window's side). */
  'reports.export': channel(
    z.object({
      runIds: z.array(idSchema).min(1).max(6),
      format: reportFormatSchema,
      locale: z.enum(['en', 'zh']),
      path: pathSchema.optional(),
    }),
    z.object({
      path: z.string().nullable(),
      fileName: z.string(),
      mediaType: z.string(),
      base64: z.string().nullable(),
    }),
  ),
  /** The same comparison as an `aqw` command, quoted for a POSIX shell. */
  'commandLine.forCompare': channel(
    z.object({ projectId: idSchema, request: compareJobRequestSchema }),
    z.object({ command: z.string() }),
  ),
}

export const workTopics = {
  /** First every job that is active, then each change. */
  'jobs.changed': topic(z.object({ projectId: idSchema.optional() }), z.object({ job: jobSchema })),
  /** First the present state, then each change, at most ten per second. */
  'jobs.progress': topic(byId, jobWithStages),
  /** Lines after `afterSeq` (default: the last 200), then new ones in batches. */
  'jobs.log': topic(
    z.object({ id: idSchema, afterSeq: z.number().int().nonnegative().optional() }),
    z.object({ lines: z.array(logLineSchema) }),
  ),
}
