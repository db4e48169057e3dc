// What runs generated, side by side: reports, pictures, blind votes, gates, tasks; and data preparation.
import { z } from 'zod'
import { GATE_MAXIMUM_LENGTH, gateResultSchema } from '../gates.ts'
import { qualityReportSchema } from '../evaluation.ts'
import { preparationResultSchema, preparationSchema, preparationStepSchema } from '../preparation.ts'
import { datasetRowSchema, idSchema, nameSchema, pathSchema, timestampSchema } from '../workspace.ts'
import { channel } from './define.ts'

/** `left` and `right` as the rater saw them. */
export const voteSchema = z.enum(['left', 'right', 'tie', 'skip'])
export type Vote = z.infer<typeof voteSchema>

const labelSchema = z.string().min(1).max(200)
/** Two sides of one run to be voted on. */
const pairFields = { runId: idSchema, first: labelSchema, second: labelSchema }
const raterSchema = z.string().trim().min(1).max(100)

const intervalSchema = z.object({ low: z.number(), high: z.number(), confidence: z.number() })

export const ratingSummarySchema = z.object({
  /** Votes for each side; ties and skipped ones apart. */
  first: z.number().int(),
  second: z.number().int(),
  ties: z.number().int(),
  skipped: z.number().int(),
  /** Share of decided votes for `second`, with its Wilson interval; null without decided votes. */
  winRate: z.number().nullable(),
  interval: intervalSchema.nullable(),
  /** Sign test: how likely votes at least this uneven are when nobody can tell the sides apart. */
  p: z.number().nullable(),
})
export type RatingSummary = z.infer<typeof ratingSummarySchema>

export const ratingRowSchema = z.object({
  id: idSchema,
  sample: z.string(),
  first: labelSchema,
  second: labelSchema,
  /** Which side won. */
  choice: z.enum(['first', 'second', 'tie', 'skip']),
  rater: z.string(),
  createdAt: timestampSchema,
})
export type RatingRow = z.infer<typeof ratingRowSchema>

export const taskSummarySchema = z.object({
  path: z.string(),
  kind: z.enum(['diffusion', 'language', 'classification']),
  name: z.string(),
  /** Prompts of a diffusion task; null where the number is only known when it runs. */
  prompts: z.number().int().nullable(),
  steps: z.number().int().nullable(),
  /** It was made for a folder in diffusers layout: there is no file. */
  made: z.boolean(),
})
export type TaskSummary = z.infer<typeof taskSummarySchema>

export const qualityChannels = {
  /** Reads a task file or folder, as a comparison would. */
  'tasks.check': channel(z.object({ path: pathSchema }), taskSummarySchema),
  /** Tasks that are at hand: those of the sample models. */
  'tasks.samples': channel(z.object({}), z.object({ tasks: z.array(taskSummarySchema) })),

  /** Everything a run generated; null when it had no task. */
  'runs.generated': channel(z.object({ id: idSchema }), z.object({ report: qualityReportSchema.nullable() })),
  /** One generated picture as `data:image/png;base64,...`. */
  'runs.picture': channel(
    z.object({ id: idSchema, side: labelSchema, sample: z.string().min(1).max(100) }),
    z.object({ dataUrl: z.string() }),
  ),

  /** The next pair that the rater has not judged, sides shuffled; null when all are done. */
  'ratings.next': channel(
    z.object({ ...pairFields, rater: raterSchema }),
    z.object({
      pair: z
        .object({
          /** Given back with the vote: the sample. Which side was left only the engine knows. */
          token: z.string(),
          prompt: z.string().nullable(),
          seed: z.number().int().nullable(),
          left: z.string(),
          right: z.string(),
        })
        .nullable(),
      judged: z.number().int(),
      total: z.number().int(),
    }),
  ),
  'ratings.add': channel(
    z.object({ ...pairFields, rater: raterSchema, token: z.string().min(1).max(200), vote: voteSchema }),
    ratingRowSchema,
  ),
  /** Takes the rater's last vote back. */
  'ratings.undo': channel(
    z.object({ ...pairFields, rater: raterSchema }),
    z.object({ removed: z.boolean() }),
  ),
  'ratings.summary': channel(z.object(pairFields), ratingSummarySchema),
  /** All votes of a run as CSV. Without `path` only the text is returned. */
  'ratings.export': channel(
    z.object({ runId: idSchema, path: pathSchema.optional() }),
    z.object({ text: z.string(), path: z.string().nullable(), rows: z.number().int() }),
  ),

  /** Reads a gate; `problem` says what is wrong with it and where. */
  'gates.check': channel(
    z.object({ text: z.string().max(GATE_MAXIMUM_LENGTH) }),
    z.object({ problem: z.object({ reason: z.string(), at: z.number().int() }).nullable() }),
  ),
  /** Applies gates to a finished run. */
  'gates.run': channel(
    z.object({ id: idSchema, gates: z.array(z.string().min(1).max(GATE_MAXIMUM_LENGTH)).max(100) }),
    z.object({ gates: z.array(gateResultSchema) }),
  ),

  /** The chain step by step for one picture of a folder; nothing is written. */
  'preparation.preview': channel(
    z.object({
      path: pathSchema,
      settings: preparationSchema,
      index: z.number().int().nonnegative().default(0),
    }),
    z.object({ file: z.string(), available: z.number().int(), steps: z.array(preparationStepSchema) }),
  ),
  /** Prepares a folder of pictures and adds it to the project as a data set. */
  'preparation.run': channel(
    z.object({
      projectId: idSchema,
      path: pathSchema,
      settings: preparationSchema,
      /** Folder to write; beside the pictures when left out. */
      target: pathSchema.optional(),
      name: nameSchema.optional(),
      modelId: idSchema.optional(),
    }),
    z.object({ dataset: datasetRowSchema, prepared: preparationResultSchema }),
  ),
}
