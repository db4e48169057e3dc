// calibrations.*: what calibration jobs found out, read back in pieces that a window can show.
import { z } from 'zod'
import {
  calibrationHeaderSchema,
  channelSummarySchema,
  coverageVerdictSchema,
  methodResultSchema,
  tensorReportSchema,
} from '../calibration.ts'
import { idSchema, pathSchema, timestampSchema } from '../workspace.ts'
import { channel } from './define.ts'

const byId = z.object({ id: idSchema })

/** A finished calibration. Its id is that of the job that made it. */
export const calibrationRowSchema = z.object({
  id: idSchema,
  projectId: idSchema,
  title: z.string(),
  createdAt: timestampSchema,
  modelId: idSchema,
  modelName: z.string(),
  datasetId: idSchema,
  datasetName: z.string(),
  recipeName: z.string(),
  samples: z.number().int().nonnegative(),
  tensors: z.number().int().nonnegative(),
  verdict: coverageVerdictSchema,
})
export type CalibrationRow = z.infer<typeof calibrationRowSchema>

/** One row of the tensor table. */
export const calibrationTensorRowSchema = z.object({
  tensor: z.string(),
  layers: z.array(z.string()),
  elements: z.number().int().nonnegative(),
  min: z.number(),
  max: z.number(),
  chosen: methodResultSchema,
  /** Method of the best SQNR among those compared, with that SQNR. */
  best: methodResultSchema.pick({ method: true, sqnr_db: true }),
  outlierChannels: channelSummarySchema.shape.outlier_channels.nullable(),
  stepRatio: z.number().nullable(),
  growth: z.number(),
  clipped: z.number(),
  growing: z.boolean(),
})
export type CalibrationTensorRow = z.infer<typeof calibrationTensorRowSchema>

export const calibrationSortSchema = z.object({
  by: z.enum(['order', 'tensor', 'sqnr', 'range', 'growth', 'clipped', 'outliers', 'steps']),
  descending: z.boolean().default(false),
})
export type CalibrationSort = z.infer<typeof calibrationSortSchema>

export const calibrationChannels = {
  /** Newest first. */
  'calibrations.list': channel(
    z.object({ projectId: idSchema }),
    z.object({ calibrations: z.array(calibrationRowSchema) }),
  ),
  /** Everything but the tensors. */
  'calibrations.get': channel(
    z.object({ jobId: idSchema }),
    z.object({ calibration: calibrationRowSchema, report: calibrationHeaderSchema }),
  ),
  'calibrations.tensors': channel(
    z.object({
      id: idSchema,
      /** Part of a tensor's or layer's name. */
      text: z.string().max(200).optional(),
      /** Only those that the coverage rule names. */
      growing: z.boolean().optional(),
      sort: calibrationSortSchema.optional(),
      offset: z.number().int().min(0).default(0),
      limit: z.number().int().min(1).max(500).default(50),
    }),
    z.object({ total: z.number().int(), tensors: z.array(calibrationTensorRowSchema) }),
  ),
  'calibrations.tensor': channel(
    z.object({
      id: idSchema,
      tensor: z.string(),
      /** Where several layers read the tensor with different settings. */
      layer: z.string().optional(),
    }),
    tensorReportSchema,
  ),
  /** Without `path` the content comes back as base64. */
  'calibrations.export': channel(
    z.object({
      id: idSchema,
      format: z.enum(['html', 'pdf', 'md', 'json']),
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
  'calibrations.remove': channel(byId, z.object({ id: idSchema })),
}
