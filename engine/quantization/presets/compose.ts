// A preset out of a policy: which precision each role gets, why, and the recipe that says so layer by layer.
import type {
  LayerRole,
  LocalizedText,
  PresetFamily,
  PresetProposal,
  RecipePreset,
} from '../../../contract/presets.ts'
import { type LayerPrecision, RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import type { z } from 'zod'
import type { RecognisedModel, RoledLayer } from './recognise.ts'

export interface Decision {
  precision: LayerPrecision
  reason: LocalizedText
}

/** What a preset does with each role; roles left out get the recipe's own precision. */
export type Policy = Partial<Record<LayerRole, Decision>>

export interface PresetPlan {
  id: string
  family: PresetFamily
  name: LocalizedText
  description: LocalizedText
  /** Everything of the recipe but its lists of layers. */
  recipe: Omit<z.input<typeof recipeSchema>, 'schema' | 'name'>
  policy: Policy
}

const PRODUCT_REASON: LocalizedText = {
  en: 'The product of two activations: never quantized on this path, the device computes it in FP16. No entry in the recipe is needed.',
  zh: '两个激活之积：在此路径上从不量化，设备以 FP16 计算，配置中无需列出。',
}

function proposalOf({ layer, role }: RoledLayer, policy: Policy): PresetProposal | undefined {
  const named = { layer: layer.name, opType: layer.node.opType, role }
  if (layer.weightDims === null) {
    return { ...named, precision: 'fp16', fixed: true, reason: PRODUCT_REASON }
  }
  const decision = policy[role]
  return decision && { ...named, ...decision, fixed: false }
}

/** The preset for a model. Layers that share a name are named once: no recipe can tell them apart. */
export function composePreset(plan: PresetPlan, model: RecognisedModel): RecipePreset {
  const proposals = model.layers.flatMap((entry) => proposalOf(entry, plan.policy) ?? [])
  const open = new Map(
    proposals.filter(({ fixed }) => !fixed).map(({ layer, precision }) => [layer, precision] as const),
  )
  const fp16 = [...open].filter(([, precision]) => precision === 'fp16').map(([layer]) => layer)
  const overrides = [...open]
    .filter(([, precision]) => precision !== 'fp16')
    .map(([layer, precision]) => ({ layer, precision }))
  return {
    id: plan.id,
    family: plan.family,
    recommended: false,
    name: plan.name,
    description: plan.description,
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      name: plan.name.en,
      ...plan.recipe,
      fp16_layers: fp16,
      overrides,
    }),
    proposals,
  }
}
