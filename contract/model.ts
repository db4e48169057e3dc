// What an ONNX model is made of, in numbers: for the inspector page, `aqw inspect` and reports.
import { z } from 'zod'

/** A dimension: its size, its symbol, or null when unknown. */
export const dimensionSchema = z.union([z.number().int().nonnegative(), z.string(), z.null()])

export const tensorSummarySchema = z.object({
  name: z.string(),
  /** Lower-case element type such as "float32"; "undefined" when the model does not say. */
  dataType: z.string(),
  /** null: unknown rank, or not a tensor. */
  dims: z.array(dimensionSchema).nullable(),
})

export const operatorCountSchema = z.object({
  opType: z.string(),
  /** "" is ai.onnx. */
  domain: z.string(),
  count: z.number().int().positive(),
})

/** A layer that owns weights. A weight used by several layers is counted at the first. */
export const layerSummarySchema = z.object({
  name: z.string(),
  opType: z.string(),
  modulePath: z.string().optional(),
  /** Elements of its weights. */
  parameters: z.number().int().nonnegative(),
  /** Bytes of its weights. */
  bytes: z.number().int().nonnegative(),
  /** Element types of its weights. */
  dataTypes: z.array(z.string()),
})

export const modelSummarySchema = z.object({
  path: z.string().optional(),
  irVersion: z.number().int(),
  producer: z.object({ name: z.string(), version: z.string() }),
  /** Opset of ai.onnx; null when the model uses other domains only. */
  opset: z.number().int().nullable(),
  opsets: z.array(z.object({ domain: z.string(), version: z.number().int() })),
  inputs: z.array(tensorSummarySchema),
  outputs: z.array(tensorSummarySchema),
  nodes: z.number().int().nonnegative(),
  /** Most frequent first. */
  operators: z.array(operatorCountSchema),
  weights: z.number().int().nonnegative(),
  /** Elements of all weights. */
  parameters: z.number().int().nonnegative(),
  weightBytes: z.number().int().nonnegative(),
  /** Size on disk of the model and its external data; null for a model in memory. */
  bytes: z.number().int().nonnegative().nullable(),
  /** The files that hold the model, the model itself first. */
  files: z.array(z.object({ path: z.string(), bytes: z.number().int().nonnegative() })),
  metadata: z.array(z.object({ key: z.string(), value: z.string() })),
  /** Largest first. */
  layers: z.array(layerSummarySchema),
})

export type TensorSummary = z.infer<typeof tensorSummarySchema>
export type OperatorCount = z.infer<typeof operatorCountSchema>
export type LayerSummary = z.infer<typeof layerSummarySchema>
export type ModelSummary = z.infer<typeof modelSummarySchema>
