// The recipe: what to quantize and how. Our own JSON form, versioned, the same object in files, jobs and the window.
// Keys are snake_case because people write these files by hand next to AMCT's own configurations.
import { z } from 'zod'

export const RECIPE_SCHEMA = 'aqw.recipe/1'

/** `min_max`: asymmetric grid over [min, max]. `max_abs`: symmetric grid over [-max|x|, max|x|]. */
export const activationMethodSchema = z.enum(['min_max', 'max_abs'])
export type ActivationMethod = z.infer<typeof activationMethodSchema>

export const weightMethodSchema = z.enum(['max_abs'])
export type WeightMethod = z.infer<typeof weightMethodSchema>

/** `int8`: W8A8. `fp16`: left floating point, the device computes it in FP16. `float`: left as it is. */
export const layerPrecisionSchema = z.enum(['int8', 'fp16', 'float'])
export type LayerPrecision = z.infer<typeof layerPrecisionSchema>

/** A layer: node name, module path or weight name; `*` stands for any run of characters. */
export const layerPatternSchema = z.string().min(1).max(1000)

const activationSchema = z.strictObject({ method: activationMethodSchema.default('min_max') })

const weightSchema = z.strictObject({
  method: weightMethodSchema.default('max_abs'),
  /** One scale per output channel of Conv and ConvTranspose. MatMul and Gemm always have one per tensor (AMCT). */
  per_channel: z.boolean().default(true),
})

export const layerOverrideSchema = z.strictObject({
  layer: layerPatternSchema,
  precision: layerPrecisionSchema.optional(),
  activation: z.strictObject({ method: activationMethodSchema }).optional(),
  weight: z.strictObject({ per_channel: z.boolean() }).optional(),
})
export type LayerOverride = z.infer<typeof layerOverrideSchema>

export const recipeSchema = z.strictObject({
  schema: z.literal(RECIPE_SCHEMA),
  name: z.string().max(200).optional(),
  activation: activationSchema.prefault({}),
  weight: weightSchema.prefault({}),
  /** Layers left in floating point. */
  skip_layers: z.array(layerPatternSchema).max(10_000).default([]),
  /** ONNX operator types left in floating point, such as "Gemm". */
  skip_op_types: z.array(z.string().min(1).max(100)).max(100).default([]),
  /** Layers kept in FP16 on the device: the 16-bit side of a mixed-precision model. */
  fp16_layers: z.array(layerPatternSchema).max(10_000).default([]),
  /** Later entries win over earlier ones, and all of them over the lists above. */
  overrides: z.array(layerOverrideSchema).max(10_000).default([]),
})
export type Recipe = z.infer<typeof recipeSchema>

/** The recipe used when none is given: AMCT's defaults with plain min-max ranges. */
export const defaultRecipe: Recipe = recipeSchema.parse({ schema: RECIPE_SCHEMA })
