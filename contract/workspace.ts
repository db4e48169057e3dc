// Workspace entities at the boundary: projects, models, datasets, recipes, jobs, runs, settings.
import { z } from 'zod'
import { GATE_MAXIMUM_LENGTH } from './gates.ts'
import { deviceKindSchema, elementTypeSchema } from './device.ts'
import { ratioSchema } from './benchmark.ts'
import { datasetSpecSchema } from './quantization.ts'
import { recipeSchema } from './recipe.ts'

/** Identifiers are UUIDs (version 7 where created here: they sort by time). */
export const idSchema = z.uuid()
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)
export const timestampSchema = z.iso.datetime()
export const nameSchema = z.string().trim().min(1).max(200)
/** Paths come from a person or a picker; 4096 is PATH_MAX of Linux. */
export const pathSchema = z
  .string()
  .min(1)
  .max(4096)
  .refine((text) => !text.includes('\0'), 'contains a NUL character')

/** Plain form of an error, as `toErrorShape` writes it. */
export const errorShapeSchema = z.object({
  code: z.string().startsWith('E_'),
  message: z.string(),
  hint: z.string(),
  details: z.record(z.string(), z.unknown()),
})

export const projectSchema = z.object({
  id: idSchema,
  name: nameSchema,
  description: z.string(),
  /** Made from the bundled sample. */
  sample: z.boolean(),
  createdAt: timestampSchema,
  updatedAt: timestampSchema,
  counts: z.object({
    models: z.number().int().nonnegative(),
    datasets: z.number().int().nonnegative(),
    recipes: z.number().int().nonnegative(),
    runs: z.number().int().nonnegative(),
    activeJobs: z.number().int().nonnegative(),
  }),
  /** The latest finished run, for the recents list. */
  lastRunId: idSchema.nullable(),
})
export type Project = z.infer<typeof projectSchema>

/** `workspace`: the files are kept inside the workspace folder; `reference`: used where they are, guarded by their hash. */
export const storageSchema = z.enum(['workspace', 'reference'])
export type Storage = z.infer<typeof storageSchema>

export const modelRowSchema = z.object({
  id: idSchema,
  projectId: idSchema,
  name: nameSchema,
  format: z.enum(['onnx', 'om']),
  /** Where the person took it from. */
  sourcePath: z.string(),
  /** Where it is read from now. */
  path: z.string(),
  storage: storageSchema,
  /** Over the file, or over the list of its files when it has external data. */
  sha256: sha256Schema,
  bytes: z.number().nonnegative(),
  createdAt: timestampSchema,
  /** The file is no longer where it was. */
  missing: z.boolean(),
  /** Where it stands in the lineage original -> FP16 -> INT8. */
  role: z.enum(['original', 'fp32', 'fp16', 'int8', 'deploy', 'fake-quant']),
  parentId: idSchema.nullable(),
  /** The run that produced it; null for an imported model. */
  runId: idSchema.nullable(),
  /** Weight elements; null where it is not known. */
  parameters: z.number().int().nonnegative().nullable(),
  opset: z.number().int().positive().nullable(),
  nodes: z.number().int().nonnegative().nullable(),
  inputs: z.array(
    z.object({
      name: z.string(),
      elementType: elementTypeSchema,
      /** A number, a symbol, or null when unknown. */
      dims: z.array(z.union([z.number().int(), z.string(), z.null()])),
    }),
  ),
})
export type ModelRow = z.infer<typeof modelRowSchema>

/** One row of the layer table. */
export const layerRowSchema = z.object({
  index: z.number().int().nonnegative(),
  /** Node name in the graph. */
  name: z.string(),
  opType: z.string(),
  /** Module path as the exporter wrote it, such as `unet.down_blocks.0.resnets.0.conv1`. */
  modulePath: z.string().nullable(),
  weight: z.string().nullable(),
  weightDims: z.array(z.number().int()).nullable(),
  parameters: z.number().int().nonnegative(),
  weightBytes: z.number().int().nonnegative(),
  /** A type that can be quantized at all. */
  quantizable: z.boolean(),
})
export type LayerRow = z.infer<typeof layerRowSchema>

export const datasetRowSchema = z.object({
  id: idSchema,
  projectId: idSchema,
  name: nameSchema,
  sourcePath: z.string(),
  path: z.string(),
  storage: storageSchema,
  sha256: sha256Schema,
  bytes: z.number().nonnegative(),
  files: z.number().int().nonnegative(),
  /** Samples that one input has. */
  samples: z.number().int().nonnegative(),
  /** How files map to inputs: several `<id>_<input>.bin`, one folder per input, an index file, or plain files. */
  layout: z.enum(['auto', 'single', 'prefixed', 'folders', 'index']),
  inputs: z.array(z.string()),
  createdAt: timestampSchema,
  missing: z.boolean(),
})
export type DatasetRow = z.infer<typeof datasetRowSchema>

export const histogramSchema = z.object({
  /** `counts.length + 1` edges, ascending. */
  edges: z.array(z.number()),
  counts: z.array(z.number().int().nonnegative()),
})
export type Histogram = z.infer<typeof histogramSchema>

export const datasetPreviewSchema = z.object({
  dataset: datasetRowSchema,
  inputs: z.array(
    z.object({
      name: z.string(),
      elementType: elementTypeSchema,
      dims: z.array(z.number().int()),
      /** Where the shape comes from. */
      dimsFrom: z.enum(['index', 'model', 'size']),
      /** Statistics over `sampled` samples; non-finite values are counted apart. */
      sampled: z.number().int().nonnegative(),
      min: z.number().nullable(),
      max: z.number().nullable(),
      mean: z.number().nullable(),
      stddev: z.number().nullable(),
      nonFinite: z.number().int().nonnegative(),
      histogram: histogramSchema.nullable(),
      thumbnails: z.array(
        z.object({
          sample: z.number().int().nonnegative(),
          file: z.string(),
          width: z.number().int().positive(),
          height: z.number().int().positive(),
          /** `data:image/png;base64,...` */
          dataUrl: z.string(),
        }),
      ),
    }),
  ),
  samples: z.array(
    z.object({
      index: z.number().int().nonnegative(),
      label: z.string().nullable(),
      files: z.array(z.object({ input: z.string(), file: z.string(), bytes: z.number().nonnegative() })),
    }),
  ),
  /** Files whose size does not fit the model, by name; refused when a job starts. */
  problems: z.array(errorShapeSchema),
})
export type DatasetPreview = z.infer<typeof datasetPreviewSchema>

export const recipeRowSchema = z.object({
  id: idSchema,
  projectId: idSchema,
  name: nameSchema,
  recipe: recipeSchema,
  origin: z.enum(['preset', 'edited', 'amct', 'sample']),
  sha256: sha256Schema,
  createdAt: timestampSchema,
  updatedAt: timestampSchema,
})
export type RecipeRow = z.infer<typeof recipeRowSchema>

// ---- jobs ---------------------------------------------------------------------------------------------------------

export const jobStateSchema = z.enum([
  'queued',
  'running',
  'cancelling',
  'done',
  'failed',
  'cancelled',
  /** The engine ended while the job ran; `jobs.resume` continues after the last finished stage. */
  'interrupted',
])
export type JobState = z.infer<typeof jobStateSchema>

/** States in which a job still has work to do in this engine process. */
export const activeJobStates: readonly JobState[] = ['queued', 'running', 'cancelling']
export const resumableJobStates: readonly JobState[] = ['interrupted', 'failed', 'cancelled']

export const jobStageSchema = z.object({
  /** Stable key such as `quantize`; the window translates it. */
  key: z.string(),
  state: z.enum(['pending', 'running', 'done', 'cached', 'failed', 'cancelled']),
  done: z.number().nonnegative(),
  total: z.number().nonnegative(),
  item: z.string().nullable(),
  startedAt: timestampSchema.nullable(),
  finishedAt: timestampSchema.nullable(),
})
export type JobStage = z.infer<typeof jobStageSchema>

export const jobSchema = z.object({
  id: idSchema,
  projectId: idSchema,
  kind: z.enum(['compare', 'calibrate']),
  title: z.string(),
  state: jobStateSchema,
  /** Device selector, e.g. `sim:Ascend310P3`. */
  device: z.string(),
  request: z.record(z.string(), z.unknown()),
  /** 1 for the first start, one more for every resume. */
  attempt: z.number().int().nonnegative(),
  createdAt: timestampSchema,
  startedAt: timestampSchema.nullable(),
  finishedAt: timestampSchema.nullable(),
  progress: z.object({
    /** 0..1 over all stages. */
    fraction: z.number().min(0).max(1),
    stage: z.string().nullable(),
    /** null until there is enough progress to tell. */
    etaSeconds: z.number().nonnegative().nullable(),
  }),
  error: errorShapeSchema.nullable(),
  runId: idSchema.nullable(),
  dismissed: z.boolean(),
})
export type Job = z.infer<typeof jobSchema>

export const logLineSchema = z.object({
  /** Counts up from 1 within a job. */
  seq: z.number().int().positive(),
  at: timestampSchema,
  level: z.enum(['debug', 'info', 'warning', 'error']),
  text: z.string(),
})
export type LogLine = z.infer<typeof logLineSchema>

/** Which of the calibration data a job uses. */
const calibrationDataFields = {
  /** Calibration samples to use; all when left out. */
  calibrationSamples: z.number().int().min(1).max(1_000_000).optional(),
  /** Which ones, when fewer than there are; the first ones when left out. */
  selection: datasetSpecSchema.shape.selection.unwrap().optional(),
  /** Shapes for models with dynamic inputs. */
  inputShapes: z.record(z.string(), z.array(z.number().int().positive()).max(16)).optional(),
}

/** What a one-click comparison needs; everything is named by workspace id. */
export const compareJobRequestSchema = z
  .object({
    modelId: idSchema,
    datasetId: idSchema,
    /** A saved recipe, or one given in place; neither means the default recipe. */
    recipeId: idSchema.optional(),
    recipe: recipeSchema.optional(),
    /** `npu:0`, `sim:Ascend310P3` or `cpu`. */
    device: z.string().min(1).max(80),
    /** Benchmark scenario; left out fields take the defaults of the benchmark. */
    scenario: z
      .object({
        loopCount: z.number().int().min(1).max(10_000_000).optional(),
        minRuns: z.number().int().min(1).max(10_000_000).optional(),
        minDurationMs: z.number().nonnegative().max(86_400_000).optional(),
        warmupRuns: z.number().int().nonnegative().max(1_000_000).optional(),
        warmupMs: z.number().nonnegative().max(3_600_000).optional(),
        blockRuns: z.number().int().min(1).max(100_000).optional(),
        batch: z.number().int().min(1).optional(),
        seed: z.number().int().nonnegative().optional(),
      })
      .optional(),
    ...calibrationDataFields,
    /** Held-out data for the quality figures; the calibration data when left out. */
    evaluationDatasetId: idSchema.optional(),
    /** Samples of the quality figures, spread evenly over the data; 32 when left out. */
    evaluationSamples: z.number().int().min(1).max(1_000_000).optional(),
    /** Also measures FP32 against INT8 on the host CPU; without effect when that is the device. */
    hostCpu: z.boolean().optional(),
    /** Also generates with every side by a quality task and judges the results. */
    task: z
      .object({
        /** A task file, or a folder. */
        path: pathSchema,
        /** Pictures or sequences. */
        count: z.number().int().min(1).max(1_000_000).optional(),
        seed: z.number().int().min(0).max(0x7fff_ffff).default(0),
      })
      .optional(),
    /** Conditions that every candidate is held to (docs/gates.md). */
    gates: z.array(z.string().min(1).max(GATE_MAXIMUM_LENGTH)).max(100).optional(),
    title: z.string().max(200).optional(),
  })
  .refine((request) => !(request.recipeId && request.recipe), 'give recipeId or recipe, not both')
export type CompareJobRequest = z.infer<typeof compareJobRequestSchema>

/** A calibration for its own sake: ranges, methods and coverage of every tensor that the recipe quantizes. */
export const calibrateJobRequestSchema = z
  .object({
    modelId: idSchema,
    datasetId: idSchema,
    /** As in a comparison. */
    recipeId: idSchema.optional(),
    recipe: recipeSchema.optional(),
    ...calibrationDataFields,
    title: z.string().max(200).optional(),
  })
  .refine((request) => !(request.recipeId && request.recipe), 'give recipeId or recipe, not both')
export type CalibrateJobRequest = z.infer<typeof calibrateJobRequestSchema>

// ---- runs ---------------------------------------------------------------------------------------------------------

const columnSummarySchema = z.object({
  label: z.string(),
  precision: z.string(),
  latencyMeanMs: z.number().nullable(),
  latencyP50Ms: z.number().nullable(),
  qps: z.number().nullable(),
  sizeBytes: z.number().nullable(),
  deviceMemoryBytes: z.number().nullable(),
  loadMs: z.number().nullable(),
  sqnrDb: z.number().nullable(),
  cosine: z.number().nullable(),
})
export type RunColumnSummary = z.infer<typeof columnSummarySchema>

/** One row of the runs table. Immutable, except for the note. */
export const runRowSchema = z.object({
  id: idSchema,
  projectId: idSchema,
  jobId: idSchema.nullable(),
  /** Counts up within the project, for people: "run 12". */
  number: z.number().int().positive(),
  createdAt: timestampSchema,
  title: z.string(),
  note: z.string(),
  device: z.object({
    id: z.string(),
    kind: deviceKindSchema,
    name: z.string(),
    soc: z.string().nullable(),
  }),
  modelId: idSchema.nullable(),
  modelName: z.string(),
  recipeId: idSchema.nullable(),
  recipeName: z.string(),
  datasetId: idSchema.nullable(),
  datasetName: z.string(),
  valid: z.boolean(),
  baseline: columnSummarySchema,
  candidates: z.array(columnSummarySchema),
  /** Latency of the first candidate over the baseline. */
  latencyRatio: ratioSchema.nullable(),
})
export type RunRow = z.infer<typeof runRowSchema>

export const artifactSchema = z.object({
  id: idSchema,
  runId: idSchema.nullable(),
  /** `fp16.om`, `deploy.onnx`, `fake-quant.onnx`, `quant.json`, `record`, `comparison.json`, ... */
  kind: z.string(),
  name: z.string(),
  path: z.string(),
  sha256: sha256Schema,
  bytes: z.number().nonnegative(),
  createdAt: timestampSchema,
  missing: z.boolean(),
})
export type Artifact = z.infer<typeof artifactSchema>

/** Everything needed to repeat a run. */
export const provenanceSchema = z.object({
  appVersion: z.string(),
  startedAt: timestampSchema,
  finishedAt: timestampSchema,
  model: z.object({ name: z.string(), sha256: sha256Schema, bytes: z.number() }),
  dataset: z.object({ name: z.string(), sha256: sha256Schema, samples: z.number() }),
  recipe: z.object({ name: z.string(), sha256: sha256Schema, recipe: recipeSchema }),
  device: z.string(),
  request: z.record(z.string(), z.unknown()),
  /** The same thing on the command line. */
  command: z.string(),
  /** Stages that were taken from an earlier run, by key. */
  cachedStages: z.array(z.string()),
})
export type Provenance = z.infer<typeof provenanceSchema>

// ---- settings -----------------------------------------------------------------------------------------------------

export const settingsSchema = z.object({
  theme: z.enum(['system', 'light', 'dark']).default('system'),
  locale: z.enum(['system', 'en', 'zh']).default('system'),
  /** The four-step tour was finished or put away. */
  tourDone: z.boolean().default(false),
  defaultDevice: z.string().max(80).nullable().default(null),
  /** Jobs without an exclusive device that may run at the same time. */
  cpuJobSlots: z.number().int().min(1).max(16).default(1),
  /** Seconds between asking a job to stop and ending its process. */
  cancelGraceSeconds: z.number().int().min(1).max(600).default(10),
  notifications: z.boolean().default(true),
  /** Models above this size are used in place instead of being copied into the workspace. */
  referenceModelBytes: z.number().int().min(0).default(1_073_741_824),
  /** The window's own state (column widths, last page), opaque here. Values are JSON text. */
  ui: z.record(z.string().max(100), z.string().max(100_000)).default({}),
})
export type Settings = z.infer<typeof settingsSchema>
/** Changes: only the fields that are given. `ui` keys are merged; an empty text removes a key. */
export const settingsPatchSchema = z.object({
  theme: z.enum(['system', 'light', 'dark']).optional(),
  locale: z.enum(['system', 'en', 'zh']).optional(),
  tourDone: z.boolean().optional(),
  defaultDevice: z.string().max(80).nullable().optional(),
  cpuJobSlots: z.number().int().min(1).max(16).optional(),
  cancelGraceSeconds: z.number().int().min(1).max(600).optional(),
  notifications: z.boolean().optional(),
  referenceModelBytes: z.number().int().min(0).optional(),
  ui: z.record(z.string().max(100), z.string().max(100_000)).optional(),
})
export type SettingsPatch = z.infer<typeof settingsPatchSchema>
