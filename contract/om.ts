// What an .om file says about itself, and what the simulated compiler stores in it.
import { z } from 'zod'
import { costTableSchema, costValidationSchema, precisionSchema } from './cost.ts'

/** One input or output of a compiled model. Dimension -1 is dynamic. */
export const omTensorSchema = z.object({
  name: z.string(),
  /** ACL data type name in lower case: float, float16, int8, int32, uint8, int64 ... */
  dataType: z.string(),
  format: z.string(),
  dims: z.array(z.number()),
  /** Bytes of the largest gear; 0 when the shape is fully dynamic. */
  size: z.number(),
})
export type OmTensor = z.infer<typeof omTensorSchema>

export const omGearsSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('batch'), values: z.array(z.number()) }),
  z.object({ kind: z.literal('image'), values: z.array(z.tuple([z.number(), z.number()])) }),
  z.object({ kind: z.literal('dims'), values: z.array(z.array(z.number())) }),
])
export type OmGears = z.infer<typeof omGearsSchema>

/** `aqw.manifest` of a simulated .om: what made the file, from what, and the cost estimate per gear. */
export const omManifestSchema = z.object({
  schema: z.literal('aqw.om-manifest/1'),
  compiler: z.string(),
  name: z.string(),
  soc: z.string(),
  precision: precisionSchema,
  source: z.object({ file: z.string(), bytes: z.number() }),
  inputs: z.array(omTensorSchema),
  outputs: z.array(omTensorSchema),
  gears: omGearsSchema.nullable(),
  memoryBytes: z.number(),
  weightBytes: z.number(),
  validation: costValidationSchema,
  /** One table per gear, in gear order; exactly one for a static model. */
  costs: z.array(costTableSchema),
})
export type OmManifest = z.infer<typeof omManifestSchema>

export const omKindSchema = z.enum(['om', 'flow', 'bundle', 'om2'])

/** What `inspect` shows of any .om, real or simulated. */
export const omSummarySchema = z.object({
  path: z.string(),
  bytes: z.number(),
  kind: omKindSchema,
  /** Whether our compiler wrote it (it carries a payload that the simulated runtime executes). */
  simulated: z.boolean(),
  headerVersion: z.number().nullable(),
  /** Number of root and subgraph models in the file. */
  modelCount: z.number(),
  dynamicShape: z.boolean(),
  name: z.string(),
  soc: z.string().nullable(),
  compiler: z.string().nullable(),
  commandLine: z.string().nullable(),
  /** The model that the command line names, when it does. */
  sourceModel: z.string().nullable(),
  inputs: z.array(omTensorSchema),
  outputs: z.array(omTensorSchema),
  gears: omGearsSchema.nullable(),
  ops: z.object({ total: z.number(), types: z.array(z.object({ type: z.string(), count: z.number() })) }),
  sizes: z.object({
    memory: z.number().nullable(),
    weights: z.number().nullable(),
    /** Constants by element type, the largest share first; INT4 ones count half a byte per element. */
    weightTypes: z.array(z.object({ dataType: z.string(), count: z.number(), bytes: z.number() })),
    partitions: z.array(z.object({ type: z.number(), name: z.string(), bytes: z.number() })),
  }),
  manifest: omManifestSchema.omit({ costs: true }).nullable(),
  notes: z.array(z.string()),
})
export type OmSummary = z.infer<typeof omSummarySchema>
