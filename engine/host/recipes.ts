// Recipes in the window: what a recipe does to a model, and AMCT configurations in and out.
import path from 'node:path'
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import { defaultRecipe, type Recipe } from '../../contract/recipe.ts'
import type { RecipeCheck } from '../../contract/rpc/index.ts'
import type { DatasetRow, ModelRow } from '../../contract/workspace.ts'
import type { Model } from '../onnx/index.ts'
import { selectLayers } from '../quantization/selection.ts'

/** A recipe with more unknown names than this was written for another model. */
const MAX_PROBLEMS = 100

type ListName = 'skip_layers' | 'skip_op_types' | 'fp16_layers' | 'overrides'

/** The recipe without one entry of one list. */
function without(recipe: Recipe, list: ListName, name: string): Recipe {
  if (list === 'overrides')
    return { ...recipe, overrides: recipe.overrides.filter((entry) => entry.layer !== name) }
  return { ...recipe, [list]: recipe[list].filter((entry) => entry !== name) }
}

/** What the recipe would do; names that match nothing become problems, and the rest is shown all the same. */
export function checkRecipe(model: Model, recipe: Recipe): RecipeCheck {
  const problems: RecipeCheck['problems'] = []
  let present = recipe
  for (;;) {
    try {
      return { ...decisions(model, present), problems }
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'E_LAYER_UNKNOWN') throw error
      problems.push(toErrorShape(error))
      const { list, layer } = error.details
      present = without(present, list as ListName, String(layer))
      if (problems.length >= MAX_PROBLEMS) present = { ...defaultRecipe, ...pickMethods(recipe) }
    }
  }
}

function pickMethods(recipe: Recipe): Pick<Recipe, 'activation' | 'weight'> {
  return { activation: recipe.activation, weight: recipe.weight }
}

function decisions(model: Model, recipe: Recipe): Pick<RecipeCheck, 'layers' | 'counts'> {
  const { chosen, kept, candidates } = selectLayers(model, recipe)
  const quantized = new Map(chosen.map((layer) => [model.graph.nodes[layer.anatomy.nodeIndex], layer.name]))
  const layers = candidates.map((candidate) => {
    const report = kept.get(candidate.node)
    return {
      name: quantized.get(candidate.node) ?? report?.name ?? candidate.name,
      opType: candidate.node.opType,
      quantized: quantized.has(candidate.node),
      reason: report?.reason ?? null,
    }
  })
  return { layers, counts: { quantized: chosen.length, kept: kept.size } }
}

export interface AmctExport {
  text: string
  notes: string[]
}

/** amct_config.json for `amct_tool`; `notes` names what that form cannot say. */
export function formatAmctConfig(
  recipe: Recipe,
  model: ModelRow | undefined,
  dataset: DatasetRow | undefined,
): AmctExport {
  const notes: string[] = []
  const skipped = [...recipe.skip_layers]
  if (recipe.skip_op_types.length > 0) {
    notes.push(
      `skip_op_types (${recipe.skip_op_types.join(', ')}) has no counterpart: name the layers instead.`,
    )
  }
  const mixed = recipe.fp16_layers.map((layer) => ({ layer_name: layer, data_type: 'FP16' }))
  for (const override of recipe.overrides) {
    if (override.precision === 'int8') mixed.push({ layer_name: override.layer, data_type: 'INT8' })
    if (override.precision === 'fp16') mixed.push({ layer_name: override.layer, data_type: 'FP16' })
    if (override.precision === 'float') mixed.push({ layer_name: override.layer, data_type: 'FP32' })
    if (override.activation || override.weight) {
      notes.push(`The method chosen for ${override.layer} alone has no counterpart.`)
    }
  }
  const parameters = Object.keys(recipe.activation).filter((key) => key !== 'method')
  if (parameters.length > 0) {
    notes.push(`${parameters.join(', ')} of the activation method have no counterpart: the defaults apply.`)
  }
  if (!recipe.weight.per_channel) notes.push('Weights per tensor for convolutions have no counterpart.')
  const config = {
    model_info: {
      model_path: model?.path ?? './model.onnx',
      input_shapes: fixedShapes(model),
      output_path: `./${model ? path.basename(model.path, path.extname(model.path)) : 'model'}_int8.om`,
    },
    quantization_info: {
      quant_mode: 'static_ptq',
      data_type: 'INT8',
      calibration_config: {
        calibration_data_path: dataset?.path ?? './calibration',
        ...(dataset ? { calibration_data_num: dataset.samples } : {}),
        calibration_batch_size: 1,
      },
      quant_options: {
        activation_quant_method: recipe.activation.method,
        weight_quant_method: recipe.weight.method,
        skip_quant_layers: skipped,
        ...(mixed.length > 0
          ? { mixed_precision_config: { enable_mixed_precision: true, mixed_precision_layers: mixed } }
          : {}),
      },
    },
  }
  return { text: `${JSON.stringify(config, null, 2)}\n`, notes }
}

/** Shapes of inputs whose sizes are all known, as AMCT users write them. */
function fixedShapes(model: ModelRow | undefined): Record<string, string> {
  const fixed = (model?.inputs ?? []).filter((input) => input.dims.every((size) => typeof size === 'number'))
  return Object.fromEntries(fixed.map((input) => [input.name, input.dims.join(',')]))
}
