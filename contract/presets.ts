// Presets: recipes chosen by what a model is, with a proposal and its reason for every layer they treat differently.
import { z } from 'zod'
import { layerPrecisionSchema, recipeSchema } from './recipe.ts'

/** A text in both languages of the product. */
export const localizedTextSchema = z.object({ en: z.string(), zh: z.string() })
export type LocalizedText = z.infer<typeof localizedTextSchema>

/** What a model is for, as far as its graph tells. */
export const modelKindSchema = z.enum([
  'diffusion_unet',
  'diffusion_transformer',
  'vae_decoder',
  'vae_encoder',
  'text_encoder',
  'language_model',
  'convolutional_network',
  'vision_transformer',
  'other',
])
export type ModelKind = z.infer<typeof modelKindSchema>

/** Which models a preset is made for; `general` ones fit every model. */
export const presetFamilySchema = z.enum(['general', 'diffusion', 'language', 'convolutional'])
export type PresetFamily = z.infer<typeof presetFamilySchema>

/** What a layer does in its model (docs/presets.md). */
export const layerRoleSchema = z.enum([
  'time_embedding',
  'time_projection',
  'added_embedding',
  'modulation',
  'context_projection',
  'input_convolution',
  'patch_embedding',
  'output_convolution',
  'output_projection',
  'skip_convolution',
  'downsampler',
  'upsampler',
  'attention_query',
  'attention_key',
  'attention_value',
  'attention_qkv',
  'attention_output',
  'attention_scores',
  'attention_mix',
  'transformer_input',
  'transformer_output',
  'feed_forward_input',
  'feed_forward_gate',
  'feed_forward_output',
  'language_head',
  'classifier',
  'router',
  'depthwise_convolution',
  'convolution',
  'projection',
])
export type LayerRole = z.infer<typeof layerRoleSchema>

export const presetProposalSchema = z.object({
  /** As the recipe's lists and `aqw quantize` name it. */
  layer: z.string(),
  opType: z.string(),
  role: layerRoleSchema,
  precision: layerPrecisionSchema,
  /** No recipe can change it, such as the product of two activations; it is named so that nobody looks for it. */
  fixed: z.boolean(),
  reason: localizedTextSchema,
})
export type PresetProposal = z.infer<typeof presetProposalSchema>

export const recipePresetSchema = z.object({
  id: z.string(),
  family: presetFamilySchema,
  /** The first choice for this model; at most one preset of a list has it. */
  recommended: z.boolean(),
  name: localizedTextSchema,
  description: localizedTextSchema,
  recipe: recipeSchema,
  /** Layers that get another precision than `recipe.precision`, in graph order; empty without a model. */
  proposals: z.array(presetProposalSchema),
})
export type RecipePreset = z.infer<typeof recipePresetSchema>

/** What was recognised in a model. */
export const recognitionSchema = z.object({
  kind: modelKindSchema,
  family: presetFamilySchema,
  /** Layers of each role, roles that occur only. */
  roles: z.array(z.object({ role: layerRoleSchema, layers: z.number().int().positive() })),
})
export type Recognition = z.infer<typeof recognitionSchema>
