// Recipes by what a model is: recognised roles, proposals with reasons, the recipe that does it.
import type { PresetFamily, Recognition, RecipePreset } from '../../../contract/presets.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { Model } from '../../onnx/index.ts'
import { convolutionalPresets } from './convolutional.ts'
import { diffusionPresets } from './diffusion.ts'
import { generalPresets } from './general.ts'
import { languagePresets } from './language.ts'
import { recogniseModel, type RecognisedModel } from './recognise.ts'

const FAMILY_PRESETS: Record<PresetFamily, (model: RecognisedModel) => RecipePreset[]> = {
  general: () => [],
  diffusion: diffusionPresets,
  language: languagePresets,
  convolutional: convolutionalPresets,
}

/** Recommended where no family is recognised. */
const FALLBACK = 'accurate'

export interface ModelPresets {
  /** Those of the model's family first, the recommended one at the top. */
  presets: RecipePreset[]
  /** null without a model. */
  recognised: Recognition | null
}

/** The presets that fit a model, and what it was recognised as; without a model those that fit every model. */
export function presetsAndRecognition(model: Model | null): ModelPresets {
  if (!model) return { presets: generalPresets(null), recognised: null }
  const recognised = recogniseModel(model)
  const { kind, family, roles } = recognised
  const own = FAMILY_PRESETS[family](recognised)
  const all = [...own, ...generalPresets(model)]
  const first = own[0]?.id ?? FALLBACK
  const presets = all.map((preset) => ({ ...preset, recommended: preset.id === first }))
  return { presets, recognised: { kind, family, roles } }
}

/** The presets that fit a model, the recommended one first; without a model those that fit every model. */
export function presetsForModel(model: Model | null): RecipePreset[] {
  return presetsAndRecognition(model).presets
}

/** One of the model's presets by its id. @throws E_PRESET_UNKNOWN */
export function presetOf(model: Model, id: string): RecipePreset {
  const presets = presetsForModel(model)
  const found = presets.find((preset) => preset.id === id)
  if (found) return found
  const known = presets.map((preset) => preset.id)
  throw new AppError('E_PRESET_UNKNOWN', { id, known })
}
