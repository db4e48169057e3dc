// Recipes by what a model is.
import type { RecipePreset } from '../../../contract/presets.ts'
import type { Model } from '../../onnx/index.ts'
import { generalPresets } from './general.ts'

/** The presets that fit a model, the recommended one first; without a model those that fit every model. */
export function presetsForModel(model: Model | null): RecipePreset[] {
  return generalPresets(model)
}
