// Writing the amct_config.json that `amct_tool` takes.
import path from 'node:path'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import { METHOD_PARAMETERS, type Recipe } from '../../../contract/recipe.ts'
import type { AmctText } from './write-json.ts'

/** What the form says besides the recipe. Placeholders stand for what is left out. */
export interface AmctToolSurroundings {
  modelPath?: string | undefined
  /** Sizes by input, where all are known. */
  inputShapes?: Record<string, readonly number[]> | undefined
  calibrationFolder?: string | undefined
  samples?: number | undefined
}

function lostNotes(recipe: Recipe): InteropNote[] {
  const { activation, weight, repair } = recipe
  const parameters = METHOD_PARAMETERS[activation.method].filter((key) => activation[key] !== undefined)
  const lost = [
    ...parameters.map((key) => `activation.${key}`),
    ...(weight.per_channel ? [] : ['weight.per_channel']),
    ...(weight.method === 'max_abs' ? [] : [`weight.method ${weight.method}`]),
    ...(recipe.precision === 'int8' ? [] : [`precision ${recipe.precision}`]),
    ...(recipe.skip_op_types.length === 0 ? [] : [`skip_op_types (${recipe.skip_op_types.join(', ')})`]),
    ...recipe.op_types.map((rule) => `the rule for ${rule.op_type}`),
    ...(repair.equalize ? ['repair.equalize'] : []),
    ...(repair.balance ? ['repair.balance'] : []),
    ...(repair.split_concat.mode === 'off' ? [] : ['repair.split_concat']),
    ...(repair.bias_correction ? ['repair.bias_correction'] : []),
    ...(repair.rounding.method === 'nearest' ? [] : [`repair.rounding ${repair.rounding.method}`]),
    ...(repair.fold_batch_norm ? [] : ['repair.fold_batch_norm']),
    ...(repair.skip_fold_layers.length === 0 ? [] : ['repair.skip_fold_layers']),
  ]
  return lost.map((what) => makeNote('parameters_lost', { what }))
}

/** Layers of other precisions, in the recipe's order of precedence. */
function mixedLayers(recipe: Recipe, notes: InteropNote[]): { layer_name: string; data_type: string }[] {
  const written = { fp16: 'FP16', float: 'FP32', int8: 'INT8' } as const
  const mixed = recipe.fp16_layers.map((layer) => ({ layer_name: layer, data_type: 'FP16' }))
  for (const { layer, precision, activation, weight } of recipe.overrides) {
    if (precision === 'fp16' || precision === 'float' || precision === 'int8') {
      mixed.push({ layer_name: layer, data_type: written[precision] })
    } else if (precision !== undefined) {
      notes.push(makeNote('rule_precision', { layer, precision }))
    }
    if (activation || weight)
      notes.push(makeNote('parameters_lost', { what: `the method chosen for ${layer}` }))
  }
  return mixed
}

/** amct_config.json of a recipe. */
export function formatAmctToolConfig(recipe: Recipe, around: AmctToolSurroundings = {}): AmctText {
  const notes = lostNotes(recipe)
  const mixed = mixedLayers(recipe, notes)
  const shapes = Object.entries(around.inputShapes ?? {}).map(([name, dims]) => [name, dims.join(',')])
  const model = around.modelPath ?? './model.onnx'
  const config = {
    model_info: {
      model_path: model,
      input_shapes: Object.fromEntries(shapes) as Record<string, string>,
      output_path: `./${path.basename(model, path.extname(model))}_int8.om`,
    },
    quantization_info: {
      quant_mode: 'static_ptq',
      data_type: 'INT8',
      calibration_config: {
        calibration_data_path: around.calibrationFolder ?? './calibration',
        ...(around.samples !== undefined && { calibration_data_num: around.samples }),
        calibration_batch_size: 1,
      },
      quant_options: {
        activation_quant_method: recipe.activation.method,
        weight_quant_method: 'max_abs',
        skip_quant_layers: recipe.skip_layers,
        ...(mixed.length > 0 && {
          mixed_precision_config: { enable_mixed_precision: true, mixed_precision_layers: mixed },
        }),
      },
    },
  }
  return { text: `${JSON.stringify(config, null, 2)}\n`, notes }
}
