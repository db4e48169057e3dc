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

/** The shape of one input as AMCT users write it: "1,4,64,64", or a list of numbers. */
const writtenShapeSchema = z.union([
  z
    .string()
    .regex(/^\s*\d+(\s*,\s*\d+)*\s*$/, 'a shape such as "1,4,64,64"')
    .transform((text) => text.split(',').map(Number)),
  z.array(z.number().int().positive()),
])

const writtenMethodSchema = z.enum(['max_abs', 'min_max'])

const mixedPrecisionSchema = z.strictObject({
  enable_mixed_precision: z.boolean().default(true),
  mixed_precision_layers: z
    .array(z.strictObject({ layer_name: layerPatternSchema, data_type: z.enum(['FP16', 'FP32', 'INT8']) }))
    .max(10_000)
    .default([]),
})

/** `amct_config.json`, the file that `amct_tool --config` takes. */
export const amctToolConfigSchema = z.strictObject({
  model_info: z.strictObject({
    model_path: z.string().min(1),
    input_shapes: z.record(z.string(), writtenShapeSchema).default({}),
    input_formats: z.record(z.string(), z.string()).default({}),
    output_path: z.string().min(1),
  }),
  quantization_info: z.strictObject({
    quant_mode: z.literal('static_ptq').default('static_ptq'),
    data_type: z.literal('INT8').default('INT8'),
    calibration_config: z.strictObject({
      calibration_data_path: z.string().min(1),
      calibration_data_num: z.number().int().positive().optional(),
      calibration_batch_size: z.number().int().positive().max(4096).default(1),
      calibration_data_file_list: z.string().min(1).optional(),
    }),
    quant_options: z
      .strictObject({
        activation_quant_method: writtenMethodSchema.default('max_abs'),
        weight_quant_method: writtenMethodSchema.default('max_abs'),
        skip_quant_layers: z.array(layerPatternSchema).max(10_000).default([]),
        mixed_precision_config: mixedPrecisionSchema.optional(),
      })
      .prefault({}),
  }),
})
export type AmctToolConfigFile = z.infer<typeof amctToolConfigSchema>
