// The recipe: what to quantize and how. Our own JSON form, versioned, the same object in files, jobs and the window.
// Keys are snake_case because people write these files by hand next to AMCT's own configurations.
import { z } from 'zod'

export const RECIPE_SCHEMA = 'aqw.recipe/1'

/**
 * How the range of an activation tensor is found from calibration data (docs/recipes.md, "Activation ranges").
 * `max_abs` is symmetric by definition; every other method lays an asymmetric grid unless `symmetric` is set.
 */
export const activationMethodSchema = z.enum([
  'min_max',
  'max_abs',
  'moving_average',
  'percentile',
  'kl',
  'mse',
  'ifmr',
  'hfmg',
  'auto',
])
export type ActivationMethod = z.infer<typeof activationMethodSchema>

/** IFMR's percentiles lie above one half: below it the trimmed maximum would cross the trimmed minimum (AMCT). */
const trimmingSchema = z.number().gt(0.5).max(1)

/** Parameters of the methods; each is allowed only with the methods listed in METHOD_PARAMETERS. */
const methodParameters = {
  /** Offset 0, the grid reaches equally far in both directions. */
  symmetric: z.boolean().optional(),
  /** Percent of the values inside the range. */
  percentile: z.number().gt(50).max(100).optional(),
  /** Bins of the histogram: a power of two for HFMG's sake (AMCT: 1024 to 8192) and ours. */
  bins: z.union([1024, 2048, 4096, 8192, 16384].map((count) => z.literal(count))).optional(),
  /** Weight of the newest run in the moving average. */
  averaging_constant: z.number().gt(0).max(1).optional(),
  max_percentile: trimmingSchema.optional(),
  min_percentile: trimmingSchema.optional(),
  /** Candidates between these multiples of the trimmed maximum; the end is left out. */
  search_range: z.tuple([z.number().positive(), z.number().positive().max(100)]).optional(),
  search_step: z.number().min(1e-4).optional(),
}
export type MethodParameter = keyof typeof methodParameters

/** What each method takes. */
export const METHOD_PARAMETERS: Record<ActivationMethod, readonly MethodParameter[]> = {
  min_max: ['symmetric'],
  max_abs: ['symmetric'],
  moving_average: ['symmetric', 'averaging_constant'],
  percentile: ['symmetric', 'percentile', 'bins'],
  kl: ['symmetric', 'bins'],
  mse: ['symmetric', 'bins'],
  ifmr: ['symmetric', 'bins', 'max_percentile', 'min_percentile', 'search_range', 'search_step'],
  hfmg: ['symmetric', 'bins'],
  auto: ['symmetric', 'bins', 'percentile'],
}

/** Defaults: AMCT's for IFMR and HFMG, PyTorch's averaging constant, 99.99 percent. */
export const ACTIVATION_DEFAULTS = {
  percentile: 99.99,
  bins: 8192,
  hfmgBins: 4096,
  averagingConstant: 0.01,
  trimming: 0.999999,
  searchRange: [0.7, 1.3],
  searchStep: 0.01,
} as const

type WrittenActivation = { method: ActivationMethod } & Partial<
  Record<MethodParameter, boolean | number | number[]>
>

function checkParameters(written: WrittenActivation, context: z.RefinementCtx): void {
  const { method } = written
  const refuse = (parameter: MethodParameter, message: string): void =>
    context.addIssue({ code: 'custom', path: [parameter], message })
  for (const parameter of Object.keys(methodParameters) as MethodParameter[]) {
    if (written[parameter] !== undefined && !METHOD_PARAMETERS[method].includes(parameter)) {
      refuse(parameter, `nothing here: ${method} takes only ${METHOD_PARAMETERS[method].join(', ')}`)
    }
  }
  if (method === 'max_abs' && written.symmetric === false) {
    refuse('symmetric', 'true: max_abs is symmetric, min_max is its asymmetric counterpart')
  }
  if (method === 'hfmg' && Number(written.bins) > 8192) refuse('bins', 'at most 8192 for hfmg')
  const [start, end] = (written.search_range as number[] | undefined) ?? ACTIVATION_DEFAULTS.searchRange
  const step = Number(written.search_step ?? ACTIVATION_DEFAULTS.searchStep)
  if (!((start as number) < (end as number)))
    refuse('search_range', 'two numbers, the first below the second')
  else if (step > (end as number) - (start as number)) {
    refuse('search_step', 'a step within the search range')
  }
}

/**
 * How the scale of a weight is found: `max_abs` by its largest magnitude (AMCT, ARQ), `kl` by AMCT's divergence search
 * over the largest magnitude, `mse` by least squared error of the weight.
 */
export const weightMethodSchema = z.enum(['max_abs', 'kl', 'mse'])
export type WeightMethod = z.infer<typeof weightMethodSchema>

/**
 * `int8`: W8A8. `w4a8`: INT4 weights, INT8 activations. `w8a16`, `w4a16`: integer weights, activations left in floating
 * point. `fp16`: left floating point, the device computes it in FP16. `float`: left as it is.
 */
export const layerPrecisionSchema = z.enum(['int8', 'w4a8', 'w8a16', 'w4a16', 'fp16', 'float'])
export type LayerPrecision = z.infer<typeof layerPrecisionSchema>

/** A layer: node name, module path or weight name; `*` stands for any run of characters. */
export const layerPatternSchema = z.string().min(1).max(1000)

export const activationSchema = z
  .strictObject({ method: activationMethodSchema.default('min_max'), ...methodParameters })
  .superRefine(checkParameters)
export type ActivationSettings = z.infer<typeof activationSchema>

/** An override replaces the method together with all its parameters. */
const activationOverrideSchema = z
  .strictObject({ method: activationMethodSchema, ...methodParameters })
  .superRefine(checkParameters)

const weightSchema = z.strictObject({
  method: weightMethodSchema.default('max_abs'),
  /** One scale per output channel of Conv and ConvTranspose. MatMul and Gemm always have one per tensor (AMCT). */
  per_channel: z.boolean().default(true),
})
export type WeightSettings = z.infer<typeof weightSchema>

/** What a rule may change for the layers it names; what it leaves out stays. */
const ruleSettings = {
  precision: layerPrecisionSchema.optional(),
  activation: activationOverrideSchema.optional(),
  weight: z
    .strictObject({ method: weightMethodSchema.optional(), per_channel: z.boolean().optional() })
    .optional(),
}

export const layerOverrideSchema = z.strictObject({ layer: layerPatternSchema, ...ruleSettings })
export type LayerOverride = z.infer<typeof layerOverrideSchema>

const opTypeNameSchema = z.string().min(1).max(100)

/** A rule for all layers of an ONNX operator type (AMCT, override_layer_types). */
export const opTypeRuleSchema = z.strictObject({ op_type: opTypeNameSchema, ...ruleSettings })
export type OpTypeRule = z.infer<typeof opTypeRuleSchema>

/** Defaults of weight repair: AMCT's where it has the method (DMQ, AdaRound). */
export const REPAIR_DEFAULTS = {
  strength: 0.5,
  minimumGainDb: 3,
  iterations: 10_000,
  regularization: 0.01,
  betaRange: [20, 2],
  warmStart: 0.2,
  dampening: 0.01,
  blockSize: 128,
} as const

/** Moves range from activations to weights, channel by channel: x / f, w * f (SmoothQuant; AMCT, DMQ balancer). */
const balanceSchema = z.strictObject({
  method: z.enum(['dmq', 'smoothquant']).default('dmq'),
  /** Share of the range that moves into the weights. */
  strength: z.number().min(0.2).max(0.8).default(REPAIR_DEFAULTS.strength),
  /** Layers to balance; every quantized layer that can be when left out. */
  layers: z.array(layerPatternSchema).max(10_000).optional(),
})
export type BalanceSettings = z.infer<typeof balanceSchema>

/** How weights are rounded to integers once their scales are known (docs/recipes.md, "Weight repair"). */
const roundingSchema = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('nearest') }),
  z.strictObject({
    method: z.literal('adaround'),
    iterations: z.number().int().min(1).max(1_000_000).default(REPAIR_DEFAULTS.iterations),
    regularization: z.number().nonnegative().max(100).default(REPAIR_DEFAULTS.regularization),
    beta_range: z.tuple([z.number().positive(), z.number().positive()]).default([20, 2]),
    warm_start: z.number().min(0).lt(1).default(REPAIR_DEFAULTS.warmStart),
    layers: z.array(layerPatternSchema).max(10_000).optional(),
  }),
  z.strictObject({
    method: z.literal('gptq'),
    /** Share of the mean diagonal added to the Hessian. */
    dampening: z.number().positive().max(1).default(REPAIR_DEFAULTS.dampening),
    block_size: z.number().int().min(1).max(4096).default(REPAIR_DEFAULTS.blockSize),
    layers: z.array(layerPatternSchema).max(10_000).optional(),
  }),
])
export type RoundingSettings = z.infer<typeof roundingSchema>

/** Changes to the model and its weights that make quantization cost less quality, without training. */
export const repairSchema = z.strictObject({
  /** Folds BatchNormalization into the layer before it (AMCT, do_fusion). */
  fold_batch_norm: z.boolean().default(true),
  /** Layers whose normalization stays (AMCT, skip_fusion_layers). */
  skip_fold_layers: z.array(layerPatternSchema).max(10_000).default([]),
  /** Cross-layer equalization of layer pairs that only a ReLU or nothing separates. */
  equalize: z.boolean().default(false),
  balance: balanceSchema.optional(),
  /**
   * Conv(Concat(a, b)) becomes Conv(a) + Conv(b) with a scale each: `auto` where the expected gain reaches
   * `minimum_gain_db`.
   */
  split_concat: z
    .strictObject({
      mode: z.enum(['off', 'auto', 'all']).default('off'),
      minimum_gain_db: z.number().nonnegative().max(100).default(REPAIR_DEFAULTS.minimumGainDb),
    })
    .prefault({}),
  /** Takes the mean error of each output channel out of the bias. */
  bias_correction: z.boolean().default(false),
  rounding: roundingSchema.default({ method: 'nearest' }),
})
export type RepairSettings = z.infer<typeof repairSchema>

export const recipeSchema = z.strictObject({
  schema: z.literal(RECIPE_SCHEMA),
  name: z.string().max(200).optional(),
  /** Precision of every layer that no list or rule below says something else about. */
  precision: layerPrecisionSchema.default('int8'),
  activation: activationSchema.prefault({}),
  weight: weightSchema.prefault({}),
  repair: repairSchema.prefault({}),
  /** Layers left in floating point. */
  skip_layers: z.array(layerPatternSchema).max(10_000).default([]),
  /** ONNX operator types left in floating point, such as "Gemm". */
  skip_op_types: z.array(opTypeNameSchema).max(100).default([]),
  /** Rules by operator type; rules by layer (`overrides`) win over them. */
  op_types: z.array(opTypeRuleSchema).max(100).default([]),
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

const writtenWeightMethodSchema = z.enum(['max_abs', 'min_max'])

/** Names that configurations use for our methods besides our own. */
const METHOD_ALIASES = { minmax: 'min_max', maxabs: 'max_abs', entropy: 'kl', kl_divergence: 'kl' } as const

const writtenMethodSchema = z
  .enum([
    ...activationMethodSchema.options,
    ...(Object.keys(METHOD_ALIASES) as (keyof typeof METHOD_ALIASES)[]),
  ])
  .transform((name): ActivationMethod =>
    name in METHOD_ALIASES ? METHOD_ALIASES[name as keyof typeof METHOD_ALIASES] : (name as ActivationMethod),
  )

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
        weight_quant_method: writtenWeightMethodSchema.default('max_abs'),
        skip_quant_layers: z.array(layerPatternSchema).max(10_000).default([]),
        mixed_precision_config: mixedPrecisionSchema.optional(),
      })
      .prefault({}),
  }),
})
export type AmctToolConfigFile = z.infer<typeof amctToolConfigSchema>
