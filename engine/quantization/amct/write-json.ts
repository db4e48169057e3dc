// Writing AMCT's config.json, in the layout of create_quant_config: globals, then the layers sorted by name, each with every
// parameter spelt out.
import type { InteropNote } from '../../../contract/interop.ts'
import type { Recipe } from '../../../contract/recipe.ts'
import type { Model } from '../../onnx/index.ts'
import { type AmctLayer, amctLayers } from './model-layers.ts'
import type { AmctActivation, AmctWeight } from './settings.ts'

export interface AmctText {
  text: string
  notes: InteropNote[]
}

function activationParams(activation: AmctActivation): object {
  const { algorithm, asymmetric = true } = activation
  if (algorithm === 'hfmg') {
    return { num_bits: 8, act_algo: 'hfmg', asymmetric, num_of_bins: activation.bins }
  }
  return {
    num_bits: 8,
    max_percentile: activation.maxPercentile,
    min_percentile: activation.minPercentile,
    search_range: activation.searchRange,
    search_step: activation.searchStep,
    act_algo: 'ifmr',
    asymmetric,
  }
}

function weightParams({ bits, channelWise = false, adaRound }: AmctWeight): object {
  if (!adaRound) return { num_bits: bits, channel_wise: channelWise, wts_algo: 'arq_quantize' }
  return {
    num_bits: bits,
    reg_param: adaRound.regularization,
    warm_start: adaRound.warmStart,
    num_iteration: adaRound.iterations,
    beta_range: adaRound.betaRange,
    channel_wise: channelWise,
    wts_algo: 'ada_quantize',
  }
}

/** Conv and ConvTranspose have a scale per channel unless told otherwise, a layer that is not quantized included. */
function layerObject({ enabled, opType, settings }: AmctLayer, activationOffset: boolean): object {
  const perChannel = opType === 'Conv' || opType === 'ConvTranspose'
  const weight = enabled ? settings.weight : { ...settings.weight, channelWise: perChannel }
  const activation = enabled ? settings.activation : { ...settings.activation, asymmetric: activationOffset }
  return {
    quant_enable: enabled,
    ...(settings.balance !== undefined && { dmq_balancer_param: settings.balance }),
    activation_quant_params: activationParams(activation),
    weight_quant_params: weightParams(weight),
  }
}

/**
 * AMCT's config.json of a recipe for a model: every layer that can be quantized.
 * @throws E_LAYER_UNKNOWN when a name of the recipe matches nothing
 */
export function formatAmctConfigJson(recipe: Recipe, model: Model, batchNum = 1): AmctText {
  const { layers, skipFusion, notes } = amctLayers(recipe, model)
  const activationOffset = !(recipe.activation.symmetric ?? recipe.activation.method === 'max_abs')
  const sorted = layers.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const config = Object.fromEntries<unknown>([
    ['version', 1],
    ['batch_num', batchNum],
    ['activation_offset', activationOffset],
    ['do_fusion', recipe.repair.fold_batch_norm],
    ['skip_fusion_layers', skipFusion],
    ...sorted.map((layer) => [layer.name, layerObject(layer, activationOffset)] as [string, unknown]),
  ])
  return { text: `${JSON.stringify(config, null, 4)}\n`, notes }
}
