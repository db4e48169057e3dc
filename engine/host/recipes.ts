// Recipes in the window: presets, what a recipe does to a model, and AMCT configurations in and out.
import path from 'node:path'
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import { defaultRecipe, RECIPE_SCHEMA, recipeSchema, type Recipe } from '../../contract/recipe.ts'
import type { RecipeCheck, RecipePreset } from '../../contract/rpc/index.ts'
import type { DatasetRow, ModelRow } from '../../contract/workspace.ts'
import type { Model } from '../onnx/index.ts'
import { selectLayers } from '../quantization/selection.ts'

/** A recipe with more unknown names than this was written for another model. */
const MAX_PROBLEMS = 100

const PRESETS: readonly RecipePreset[] = [
  {
    id: 'balanced',
    name: { en: 'INT8 balanced', zh: 'INT8 均衡' },
    description: {
      en: 'Asymmetric min-max activations, per-channel weights, every layer that can be INT8.',
      zh: '激活采用非对称 min-max，权重逐通道，所有可量化的层均为 INT8。',
    },
    recipe: { ...defaultRecipe, name: 'INT8 balanced' },
  },
  {
    id: 'accurate',
    name: { en: 'INT8 best range per tensor', zh: 'INT8 逐张量最佳范围' },
    description: {
      en: 'Every range method is tried on every activation tensor; the best SQNR wins. Slower calibration.',
      zh: '对每个激活张量尝试所有范围方法，取 SQNR 最高者；校准较慢。',
    },
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      name: 'INT8 best range per tensor',
      activation: { method: 'auto' },
    }),
  },
  {
    id: 'symmetric',
    name: { en: 'INT8 symmetric', zh: 'INT8 对称' },
    description: {
      en: 'Symmetric max-abs activations, as amct_tool configurations use by default.',
      zh: '激活采用对称 max-abs，与 amct_tool 配置的默认值一致。',
    },
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      name: 'INT8 symmetric',
      activation: { method: 'max_abs' },
    }),
  },
  {
    id: 'convolutions',
    name: { en: 'Convolutions only', zh: '仅卷积' },
    description: {
      en: 'Attention and time embedding stay in floating point; for models that lose quality there.',
      zh: '注意力与时间嵌入保持浮点，适用于在这些层损失精度的模型。',
    },
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      name: 'Convolutions only',
      skip_op_types: ['MatMul', 'Gemm'],
    }),
  },
]

/** Presets that make sense for a model: one that skips operator types needs them to be there. */
export function presetsFor(model: Model | null): RecipePreset[] {
  if (!model) return [...PRESETS]
  const types = new Set(model.graph.nodes.map((node) => node.opType))
  return PRESETS.flatMap((preset) => {
    const wanted = preset.recipe.skip_op_types
    const present = wanted.filter((type) => types.has(type))
    if (wanted.length > 0 && present.length === 0) return []
    return [{ ...preset, recipe: { ...preset.recipe, skip_op_types: present } }]
  })
}

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
