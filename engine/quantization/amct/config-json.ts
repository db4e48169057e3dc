// Reading AMCT's quantization configuration, the config.json that create_quant_config writes: globals, and an object for
// every layer. A layer that it does not list, or lists without quant_enable, is not quantized (AMCT,
// ConfigBase.parse_config_file).
import { z } from 'zod'
import { AppError } from '../../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import { ACTIVATION_DEFAULTS, type Recipe } from '../../../contract/recipe.ts'
import { parseJson } from '../json-source.ts'
import type { Model } from '../../onnx/index.ts'
import { type ConfiguredLayer, recipeOfLayers } from './layer-recipe.ts'
import { type AmctSettings, DEFAULT_ADAROUND, DEFAULT_ACTIVATION } from './settings.ts'

const nameSchema = z.string().min(1).max(1000)
const percentileSchema = z.number().gt(0.5).max(1)

const ifmrKeys = ['max_percentile', 'min_percentile', 'search_range', 'search_step'] as const
const adaKeys = ['num_iteration', 'reg_param', 'beta_range', 'warm_start'] as const

function rangeGrows(range: readonly [number, number]): boolean {
  return range[0] < range[1]
}

const activationSchema = z
  .strictObject({
    num_bits: z
      .number()
      .refine((bits) => bits === 8, '8: INT4 and INT16 activations are not supported')
      .optional(),
    max_percentile: percentileSchema.optional(),
    min_percentile: percentileSchema.optional(),
    search_range: z
      .tuple([z.number().positive(), z.number().positive().max(100)])
      .refine(rangeGrows, 'two numbers, the first below the second')
      .optional(),
    search_step: z.number().min(1e-4).optional(),
    act_algo: z.enum(['ifmr', 'hfmg']).optional(),
    asymmetric: z.boolean().nullable().optional(),
    num_of_bins: z.union([1024, 2048, 4096, 8192].map((bins) => z.literal(bins))).optional(),
  })
  .superRefine((written, context) => {
    const ifmr = ifmrKeys.filter((key) => written[key] !== undefined)
    const hfmg = written.act_algo === 'hfmg' || written.num_of_bins !== undefined
    const [first] = ifmr
    if (first && hfmg) {
      context.addIssue({
        code: 'custom',
        path: [first],
        message: 'nothing here: it belongs to ifmr, not to hfmg',
      })
    }
    if (written.num_of_bins !== undefined && written.act_algo === 'ifmr') {
      context.addIssue({ code: 'custom', path: ['num_of_bins'], message: 'nothing here: it belongs to hfmg' })
    }
    const [start, end] = written.search_range ?? ACTIVATION_DEFAULTS.searchRange
    const step = written.search_step ?? ACTIVATION_DEFAULTS.searchStep
    // AMCT compares decimals; the tolerance is for what binary fractions make of them.
    if (step > end - start + 1e-9) {
      context.addIssue({ code: 'custom', path: ['search_step'], message: 'a step within search_range' })
    }
  })

const weightSchema = z
  .strictObject({
    num_bits: z
      .number()
      .refine(
        (bits) => bits === 8 || bits === 4,
        '8 or 4: INT6 and INT7 are for the Winograd units of AMCT only',
      )
      .optional(),
    wts_algo: z.enum(['arq_quantize', 'ada_quantize']).optional(),
    channel_wise: z.boolean().optional(),
    num_iteration: z.number().int().min(0).max(1_000_000).optional(),
    reg_param: z.number().gt(0).lt(1).optional(),
    beta_range: z
      .tuple([z.number().positive(), z.number().positive()])
      .refine(([start, end]) => start > end, 'two numbers, the first above the second')
      .optional(),
    warm_start: z.number().gt(0).lt(1).optional(),
  })
  .superRefine((written, context) => {
    const stray = adaKeys.find((key) => written[key] !== undefined)
    if (stray && written.wts_algo !== 'ada_quantize') {
      context.addIssue({ code: 'custom', path: [stray], message: 'nothing here: it belongs to ada_quantize' })
    }
  })

const layerSchema = z.strictObject({
  quant_enable: z.boolean().default(false),
  dmq_balancer_param: z.number().min(0.2).max(0.8).optional(),
  activation_quant_params: activationSchema.prefault({}),
  weight_quant_params: weightSchema.prefault({}),
})
type WrittenLayer = z.infer<typeof layerSchema>

const globalKeys = {
  version: z.literal(1).optional(),
  batch_num: z.number().int().positive().optional(),
  activation_offset: z.boolean().default(true),
  joint_quant: z.boolean().optional(),
  weight_offset: z.literal(false).optional(),
  do_fusion: z.boolean().default(true),
  skip_fusion_layers: z.array(nameSchema).max(10_000).default([]),
  fakequant_precision_mode: z.enum(['DEFAULT', 'FORCE_FP16_QUANT']).optional(),
  tensor_quantize: z
    .array(
      z.strictObject({
        layer_name: nameSchema,
        input_index: z.number().int().nonnegative(),
        activation_quant_params: activationSchema.optional(),
      }),
    )
    .max(10_000)
    .optional(),
}

const configSchema = z.object(globalKeys).catchall(layerSchema)

/** Names of the globals, by which this form is recognised. */
export const AMCT_JSON_GLOBALS: readonly string[] = Object.keys(globalKeys)

function settingsOf(layer: WrittenLayer): AmctSettings {
  const { activation_quant_params: activation, weight_quant_params: weight } = layer
  const hfmg = activation.act_algo === 'hfmg' || activation.num_of_bins !== undefined
  return {
    activation: {
      algorithm: hfmg ? 'hfmg' : 'ifmr',
      ...(typeof activation.asymmetric === 'boolean' && { asymmetric: activation.asymmetric }),
      maxPercentile: activation.max_percentile ?? DEFAULT_ACTIVATION.maxPercentile,
      minPercentile: activation.min_percentile ?? DEFAULT_ACTIVATION.minPercentile,
      searchRange: activation.search_range ?? DEFAULT_ACTIVATION.searchRange,
      searchStep: activation.search_step ?? DEFAULT_ACTIVATION.searchStep,
      bins: activation.num_of_bins ?? DEFAULT_ACTIVATION.bins,
    },
    weight: {
      bits: weight.num_bits === 4 ? 4 : 8,
      ...(weight.channel_wise !== undefined && { channelWise: weight.channel_wise }),
      ...(weight.wts_algo === 'ada_quantize' && {
        adaRound: {
          iterations: weight.num_iteration ?? DEFAULT_ADAROUND.iterations,
          regularization: weight.reg_param ?? DEFAULT_ADAROUND.regularization,
          betaRange: weight.beta_range ?? DEFAULT_ADAROUND.betaRange,
          warmStart: weight.warm_start ?? DEFAULT_ADAROUND.warmStart,
        },
      }),
    },
    ...(layer.dmq_balancer_param !== undefined && { balance: layer.dmq_balancer_param }),
  }
}

export interface AmctReading {
  recipe: Recipe
  notes: InteropNote[]
}

/**
 * Reads a config.json of AMCT.
 * @param file The file's name, for messages only.
 * @param model Given, every name is looked up in it, and layers that the file leaves out become skip_layers. Without,
 * the recipe says the same the other way round: floating point, except the layers named.
 * @throws E_JSON_SYNTAX, E_JSON_UNKNOWN_KEY, E_JSON_VALUE, E_LAYER_UNKNOWN
 */
export function parseAmctConfigJson(text: string, file: string, model?: Model): AmctReading {
  const config = parseJson(configSchema, text, file)
  const layers = Object.entries(config)
    .filter(([name]) => !Object.hasOwn(globalKeys, name))
    .map(([name, layer]): ConfiguredLayer => {
      const written = layer as WrittenLayer
      return { name, enabled: written.quant_enable, settings: settingsOf(written) }
    })
  if (layers.length === 0) {
    throw new AppError('E_JSON_VALUE', {
      path: file,
      key: '(whole file)',
      reason: 'names no layer',
      expected: 'an object with quant_enable for every layer to quantize',
    })
  }
  const notes: InteropNote[] = []
  if (config.batch_num !== undefined) notes.push(makeNote('batch_num', { count: config.batch_num }))
  if (config.joint_quant) notes.push(makeNote('joint_quant'))
  if (config.fakequant_precision_mode === 'FORCE_FP16_QUANT') notes.push(makeNote('fakequant_precision'))
  for (const { layer_name: layer } of config.tensor_quantize ?? []) {
    notes.push(makeNote('tensor_quantize', { layer, types: 'Conv, ConvTranspose, Gemm, MatMul' }))
  }
  const globals = {
    activationOffset: config.activation_offset,
    fusion: { enabled: config.do_fusion, skip: config.skip_fusion_layers },
  }
  return { recipe: recipeOfLayers(layers, globals, model, notes), notes }
}
