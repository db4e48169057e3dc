// models.lint: what stands between a model and ATC.
import { z } from 'zod'
import { lintReportSchema } from '../lint.ts'
import { idSchema, pathSchema } from '../workspace.ts'
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
}
