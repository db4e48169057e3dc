// Device specifications and the latency estimate of a compiled model, as every layer sees them.
import { z } from 'zod'

/** One published figure and where it comes from. */
export const figureSchema = z.object({ value: z.number(), unit: z.string().optional(), source: z.string() })
export type Figure = z.infer<typeof figureSchema>

/** A system on chip that models can be compiled for. */
export const socSpecSchema = z.object({
  /** The `--soc_version` name, e.g. `Ascend310P3`. */
  name: z.string(),
  /** Models are bound to a family: an .om of another family is refused by the device. */
  family: z.string(),
  products: z.string().optional(),
  aiCores: z.number(),
  /** 0 when the vector unit is part of the AI core. */
  vectorCores: z.number(),
  /** Units that run vector instructions: the separate vector cores of A2/A3, the AI cores elsewhere. */
  vectorUnits: z.number(),
  clockHz: z.number(),
  vectorElementsPerCycle: z.number(),
  l2Bytes: z.number(),
  l2BytesPerSecond: z.number(),
  memoryBytesPerSecond: z.number(),
  /** Device memory; null when no public figure exists. */
  memoryBytes: z.number().nullable(),
  peakFp16Flops: z.number(),
  peakInt8Ops: z.number(),
  sources: z.record(z.string(), z.string()),
})
export type SocSpec = z.infer<typeof socSpecSchema>

export const precisionSchema = z.enum(['fp32', 'fp16', 'int8'])
export type Precision = z.infer<typeof precisionSchema>

/** Nanoseconds of the competing terms of one kernel; its time is launch + the largest of the other three. */
export const costTermsSchema = z.object({
  cube: z.number(),
  memory: z.number(),
  vector: z.number(),
  launch: z.number(),
})
export type CostTerms = z.infer<typeof costTermsSchema>

export const kernelCostSchema = z.object({
  name: z.string(),
  /** Kernel type in the device's words: Conv2D, MatMulV2, TransData, AscendQuant ... */
  opType: z.string(),
  /** Names of the model's nodes that this kernel computes. */
  nodes: z.array(z.string()),
  ns: z.number(),
  terms: costTermsSchema,
  /** Bytes read and written, weights included. */
  bytes: z.number(),
  macs: z.number(),
  precision: precisionSchema,
})
export type KernelCost = z.infer<typeof kernelCostSchema>

export const costValidationSchema = z.object({
  /** `fitted`: checked against measurements of this SoC; `not validated`: derived from its specifications. */
  status: z.enum(['fitted', 'not validated']),
  /** A measurement is expected within x / factor ... x * factor, for the given share of networks (null: unknown). */
  band: z.object({ factor: z.number(), share: z.number().nullable() }),
  text: z.string(),
})
export type CostValidation = z.infer<typeof costValidationSchema>

export const costTableSchema = z.object({
  soc: z.string(),
  totalNs: z.number(),
  kernels: z.array(kernelCostSchema),
  validation: costValidationSchema,
})
export type CostTable = z.infer<typeof costTableSchema>
