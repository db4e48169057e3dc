// Presets that fit every model: they know nothing of what its layers do.
import type { RecipePreset } from '../../../contract/presets.ts'
import { defaultRecipe, RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import type { Model } from '../../onnx/index.ts'

const LAYER_TYPES = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul']

type GeneralPreset = Omit<RecipePreset, 'family' | 'recommended' | 'proposals'>

const PRESETS: readonly GeneralPreset[] = [
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

/** The general presets; one that skips operator types needs some of them to be there, and something else to quantize. */
export function generalPresets(model: Model | null): RecipePreset[] {
  const types = model && new Set(model.graph.nodes.map((node) => node.opType))
  return PRESETS.flatMap((preset) => {
    const wanted = preset.recipe.skip_op_types
    const present = types ? wanted.filter((type) => types.has(type)) : wanted
    const rest = !types || LAYER_TYPES.some((type) => types.has(type) && !wanted.includes(type))
    if (wanted.length > 0 && (present.length === 0 || !rest)) return []
    const recipe = { ...preset.recipe, skip_op_types: present }
    return [{ ...preset, recipe, family: 'general', recommended: false, proposals: [] }]
  })
}
