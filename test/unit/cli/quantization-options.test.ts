// Settings of the command line against those of the recipe.
import { describe, expect, it } from 'vitest'
import { withSettings } from '../../../cli/runtime/quantization-options.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'

const recipe = recipeSchema.parse({
  schema: RECIPE_SCHEMA,
  activation: { method: 'percentile', percentile: 99.9 },
  weight: { per_channel: false },
  overrides: [{ layer: 'conv', precision: 'fp16', activation: { method: 'kl' } }],
})

describe('options that stand in for the recipe', () => {
  it('change nothing when left out', () => {
    expect(withSettings(recipe, {})).toEqual(recipe)
  })

  it('replace what holds for all layers and keep the rules for some', () => {
    const changed = withSettings(recipe, { precision: 'w4a8', method: 'mse', weightMethod: 'mse' })
    expect(changed.precision).toBe('w4a8')
    // The percentile belonged to the other method.
    expect(changed.activation).toEqual({ method: 'mse' })
    expect(changed.weight).toEqual({ method: 'mse', per_channel: false })
    expect(changed.overrides).toEqual(recipe.overrides)
  })
})
