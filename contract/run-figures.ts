// The bulky figures of a run, for its charts: samples, kernel times, what the model files are made of, layer choices.
import { z } from 'zod'
import { kernelCostSchema } from './cost.ts'
import { layerReportSchema } from './quantization.ts'

/** Weight bytes by stored type; `other` is graph, names and scales. */
export const sizePartSchema = z.object({
  part: z.enum(['int8', 'int32', 'fp16', 'fp32', 'other']),
  bytes: z.number().nonnegative(),
})
export type SizePart = z.infer<typeof sizePartSchema>

export const runSideFiguresSchema = z.object({
  /** As in the comparison: FP32, FP16, INT8. */
  label: z.string(),
  role: z.enum(['baseline', 'candidate']),
  /** Times of the model itself in the order they were measured, ms; long series are thinned evenly to 5,000. */
  samplesMs: z.array(z.number()).max(5_000),
  /** Time of every device kernel; empty where the device does not tell (host CPU). */
  kernels: z.array(
    kernelCostSchema.pick({ name: true, opType: true, nodes: true, ns: true, precision: true }),
  ),
  /** Where kernel times come from; null without kernels. */
  kernelsFrom: z.enum(['cost model', 'profile']).nullable(),
  /** Adds up to the size of the model file; empty when it is not known. */
  sizes: z.array(sizePartSchema),
})
export type RunSideFigures = z.infer<typeof runSideFiguresSchema>

export const runFiguresSchema = z.object({
  /** Baseline first, then the candidates in the order of the comparison. */
  sides: z.array(runSideFiguresSchema),
  /** What quantization decided for every layer it could touch. */
  layers: z.array(
    layerReportSchema.pick({ name: true, opType: true, quantized: true, precision: true, reason: true }),
  ),
})
export type RunFigures = z.infer<typeof runFiguresSchema>
