// What weight repair did to a model, layer by layer. Numbers are facts of the change, not of its effect on quality.
import { z } from 'zod'

/** Smallest and largest factor on a channel. */
const factorRange = {
  channels: z.number().int().positive(),
  smallest: z.number().positive(),
  largest: z.number().positive(),
}

const splitPartSchema = z.object({
  /** Node name of the part. */
  layer: z.string(),
  /** Input channels it reads. */
  channels: z.number().int().positive(),
  /** Range of those channels over the calibration data, zero included. */
  min: z.number(),
  max: z.number(),
})

/** One change; `layer` is the node that was changed, by its name in the source model. */
export const repairNoteSchema = z.discriminatedUnion('kind', [
  /** The normalization behind the layer became part of its weight and bias. */
  z.object({ kind: z.literal('fold_batch_norm'), layer: z.string(), normalization: z.string() }),
  /** Output channels of `layer` were divided, input channels of `next` multiplied by the factors. */
  z.object({ kind: z.literal('equalize'), layer: z.string(), next: z.string(), ...factorRange }),
  /** The input of the layers was divided, their weights multiplied by the factors. */
  z.object({
    kind: z.literal('balance'),
    layer: z.string(),
    /** All layers that share the division; `layer` is the first. */
    layers: z.array(z.string()),
    /** The node whose constants took the division in; a Mul was inserted when absent. */
    foldedInto: z.string().optional(),
    ...factorRange,
  }),
  /** The layer became one layer per range of its input channels and their sum. */
  z.object({
    kind: z.literal('split_concat'),
    layer: z.string(),
    /** Expected gain of SQNR at the layer's output; null when only one of the parts carries any signal. */
    gainDb: z.number().nullable(),
    parts: z.array(splitPartSchema).min(2),
    /** The Add whose output is the layer's. */
    sum: z.string(),
  }),
  /** The mean error that quantization adds to each output channel was taken out of the bias. */
  z.object({
    kind: z.literal('bias_correction'),
    layer: z.string(),
    channels: z.number().int().positive(),
    /** The largest correction of a channel. */
    largest: z.number().nonnegative(),
  }),
])
export type RepairNote = z.infer<typeof repairNoteSchema>
