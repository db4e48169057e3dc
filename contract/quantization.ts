// What crosses the boundary of calibration and quantization: the data set asked for, and what was made of the model.
import { z } from 'zod'
import { repairNoteSchema } from './repair.ts'
import { activationMethodSchema, layerPrecisionSchema, weightMethodSchema } from './recipe.ts'

/** Where calibration data lies and how much of it to use. Layouts: docs/quantization.md. */
export const datasetSpecSchema = z.strictObject({
  folder: z.string().min(1),
  /** Text file naming the bins; looked for as given, in `searchFolders`, then in `folder`. */
  listFile: z.string().min(1).optional(),
  searchFolders: z.array(z.string().min(1)).default([]),
  /** Samples to use; all when left out. More than there are is an error. */
  count: z.number().int().positive().optional(),
  /**
   * Which samples a `count` below their number takes: the first ones, evenly spread ones, or the same number from every
   * stretch of diffusion time steps (docs/calibration.md, "Which samples").
   */
  selection: z.enum(['first', 'spread', 'timesteps']).default('first'),
  /** Samples joined along the first dimension of each input. */
  batchSize: z.number().int().positive().max(4096).default(1),
  /** Shapes of inputs whose dimensions the model leaves open. */
  inputShapes: z.record(z.string(), z.array(z.number().int().nonnegative())).default({}),
  /**
   * How the data of an input lie: `HWC` for channels last, turned around on load for an input [N, C, H, W]. Without it a
   * folder made by `aqw prepare` says so itself.
   */
  layouts: z.record(z.string(), z.enum(['CHW', 'HWC'])).default({}),
})
export type DatasetSpec = z.infer<typeof datasetSpecSchema>
/** A DatasetSpec as callers write it: defaults may be left out. */
export type DatasetRequest = z.input<typeof datasetSpecSchema>

/** Why a layer that could carry INT8 stays in floating point. */
export const keptFloatReasonSchema = z.enum([
  'skipped_by_recipe',
  'operator_type_skipped_by_recipe',
  'fp16_by_recipe',
  'float_by_recipe',
  'two_dynamic_inputs',
  'weight_not_constant',
  'weight_rank',
  'weight_type',
  'conv3d_dilation',
  'gemm_transposes_input',
  'gemm_scales_operands',
  'bias_not_constant',
  'bias_shape',
  'no_input',
  'recurrent',
  'pooling_has_no_weight',
  'pooling_float16',
])
export type KeptFloatReason = z.infer<typeof keptFloatReasonSchema>

export const activationQuantizationSchema = z.object({
  /** The tensor that AscendQuant reads. */
  tensor: z.string(),
  min: z.number(),
  max: z.number(),
  /** What chose the range: the winner where the recipe says `auto`. Absent in records of earlier versions. */
  method: activationMethodSchema.optional(),
  /** Real value of one step (scale_d). The AscendQuant attribute is its reciprocal. */
  scale: z.number(),
  /** Ascend sense: q = round(x / scale) + offset, int8. */
  offset: z.number().int(),
  symmetric: z.boolean(),
})
export type ActivationQuantization = z.infer<typeof activationQuantizationSchema>

export const weightQuantizationSchema = z.object({
  name: z.string(),
  dims: z.array(z.number().int()),
  /** 8 when absent: records of earlier versions. */
  bits: z.union([z.literal(8), z.literal(4)]).optional(),
  method: weightMethodSchema.optional(),
  /** Inputs that share the scale of an output channel; absent: all of them. */
  groupSize: z.number().int().optional(),
  /** One scale, or one per output channel (scale_w). Empty with `groupSize`: those are in the models only. */
  scales: z.array(z.number()),
})
export type WeightQuantization = z.infer<typeof weightQuantizationSchema>

/** Why a layer could not have the precision that the recipe asked for and got a wider one. */
export const fallbackReasonSchema = z.enum([
  /** INT4 weights are packed in pairs along the input channels of one group (AMCT). */
  'int4_groups',
  'int4_odd_channels',
])
export type FallbackReason = z.infer<typeof fallbackReasonSchema>

const layerFallbackSchema = z.object({ wanted: layerPrecisionSchema, reason: fallbackReasonSchema })
export type LayerFallback = z.infer<typeof layerFallbackSchema>

/** Why the deploy model holds the weight of a weight-only layer in floating point, rounded to its integers. */
export const deployFloatReasonSchema = z.enum([
  /** CANN's weight-only product is one of matrices. */
  'convolution',
  /** CANN documents no form of INT4 weights in an ONNX file. */
  'int4',
  /** ATC knows the product for opsets 11 to 19. */
  'opset',
  /** A dimension of the weight exceeds 65535. */
  'size',
])
export type DeployFloatReason = z.infer<typeof deployFloatReasonSchema>

/**
 * What AdaRound or GPTQ did to a layer's weight. Errors are mean squared errors of the layer's output on the calibration
 * data as a share of its mean square, caused by the rounding of its weights alone: to the nearest, and as chosen.
 */
export const layerRoundingSchema = z.union([
  z.object({
    method: z.enum(['adaround', 'gptq']),
    errorBefore: z.number().nonnegative(),
    errorAfter: z.number().nonnegative(),
  }),
  /** Rounded to the nearest after all: too many inputs per output for the method, or no data reached the layer. */
  z.object({
    method: z.enum(['adaround', 'gptq']),
    skipped: z.enum(['too_many_inputs', 'shares_weight', 'no_data']),
    columns: z.number().int().optional(),
    limit: z.number().int().optional(),
  }),
])
export type LayerRounding = z.infer<typeof layerRoundingSchema>

export const layerReportSchema = z.object({
  name: z.string(),
  opType: z.string(),
  modulePath: z.string().optional(),
  quantized: z.boolean(),
  /** What the layer became: for a quantized one an integer precision, else `fp16` or `float`. */
  precision: layerPrecisionSchema,
  /** Present exactly when the layer is not quantized. */
  reason: keptFloatReasonSchema.optional(),
  /** Present when the recipe asked for a precision that the layer cannot have. */
  fallback: layerFallbackSchema.optional(),
  deployFloat: deployFloatReasonSchema.optional(),
  /** Present for `int8` and `w4a8`. */
  activation: activationQuantizationSchema.optional(),
  weight: weightQuantizationSchema.optional(),
  /** Name of the int32 bias, if the layer has one. */
  bias: z.string().optional(),
  rounding: layerRoundingSchema.optional(),
})
export type LayerReport = z.infer<typeof layerReportSchema>

export const quantizationResultSchema = z.object({
  /** For ATC: AscendQuant and AscendDequant nodes, INT8 weights. */
  deployPath: z.string(),
  /** The same quantization as QuantizeLinear and DequantizeLinear, for ONNX Runtime. */
  fakeQuantPath: z.string(),
  /** Which quantized node came from which source nodes. */
  quantJsonPath: z.string(),
  /** AMCT's record file: every scale and offset, as text. */
  recordPath: z.string(),
  /** The deploy model's arithmetic with the integer kernels of ONNX Runtime; where it was asked for. */
  hostCpuPath: z.string().optional(),
  layers: z.array(layerReportSchema),
  /** Layers inside branches of If, Loop and Scan, which stay as they are; absent when there are none. */
  layersInBranches: z.number().int().positive().optional(),
  /** Changes to the graph and the weights before and while they were quantized. Absent in records of earlier versions. */
  repairs: z.array(repairNoteSchema).optional(),
  /** Bytes on disk, external data included. */
  sizes: z.object({
    source: z.number(),
    deploy: z.number(),
    fakeQuant: z.number(),
    hostCpu: z.number().optional(),
  }),
  dataset: z.object({ samples: z.number().int(), sha256: z.string() }),
  seconds: z.object({ calibrate: z.number(), quantize: z.number(), write: z.number() }),
})
export type QuantizationResult = z.infer<typeof quantizationResultSchema>

/** A model's input as calibration needs it. Dimensions the model leaves open are null. */
export const modelInputSchema = z.object({
  name: z.string(),
  /** TensorProto.DataType number. */
  dataType: z.number().int(),
  dims: z.array(z.number().int().nonnegative().nullable()),
})
export type ModelInput = z.infer<typeof modelInputSchema>
