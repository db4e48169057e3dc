// models.lint, models.convert: what stands between a model and ATC, and the way from one quantized form to the other.
import { z } from 'zod'
import { interopNoteSchema } from '../interop.ts'
import { lintReportSchema } from '../lint.ts'
import { idSchema, modelRowSchema, pathSchema } from '../workspace.ts'
import { channel } from './define.ts'

/** A model of the workspace, or a file anywhere. */
const modelFields = { modelId: idSchema.optional(), path: pathSchema.optional() }

function namesOne({ modelId, path }: { modelId?: string | undefined; path?: string | undefined }): boolean {
  return (modelId === undefined) !== (path === undefined)
}

export const interopChannels = {
  'models.lint': channel(
    z
      .object({
        ...modelFields,
        soc: z.string().max(80).optional(),
        /** Sizes of open inputs; -1 where they shall stay so. */
        inputShapes: z.record(z.string(), z.array(z.number().int().min(-1)).max(16)).optional(),
      })
      .refine(namesOne, 'give modelId or path'),
    lintReportSchema,
  ),
  /** Between QuantizeLinear / DequantizeLinear and Ascend's deploy form. */
  'models.convert': channel(
    z
      .object({
        modelId: idSchema.optional(),
        /** A file instead of a model of the workspace. */
        source: pathSchema.optional(),
        /** The form the model is not in yet when left out. */
        to: z.enum(['ascend', 'qdq']).optional(),
        /** Where to write; without it the result joins the project of the model. */
        path: pathSchema.optional(),
      })
      .refine(
        (input) => (input.modelId === undefined) !== (input.source === undefined),
        'give modelId or source',
      )
      .refine(
        (input) => input.modelId !== undefined || input.path !== undefined,
        'a file needs a path to write to',
      ),
    z.object({
      to: z.enum(['ascend', 'qdq']),
      path: z.string(),
      bytes: z.number().nonnegative(),
      notes: z.array(interopNoteSchema),
      /** The new model of the project; null when it was written to `path`. */
      model: modelRowSchema.nullable(),
    }),
  ),
}
