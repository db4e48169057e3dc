// Settings of the command line against those of the recipe.
import { describe, expect, it } from 'vitest'
import { heldOut } from '../../../cli/commands/compare.ts'
import { datasetOf, withSettings } from '../../../cli/runtime/quantization-options.ts'
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

describe('options of calibration data', () => {
  it('hold for held-out data too', () => {
    const calibration = datasetOf({
      calibration: '.',
      count: '3',
      batch: '2',
      inputShape: 'x:2,3,8,8',
      layout: 'x:HWC',
    })
    // All of it: the number of samples is that of calibration.
    expect(heldOut('.', calibration)).toEqual({
      folder: '.',
      batchSize: 2,
      inputShapes: { x: [2, 3, 8, 8] },
      layouts: { x: 'HWC' },
    })
  })

  it('a choice of samples needs to know of how many', () => {
    const choose = (how: 'first' | 'spread' | 'timesteps', count?: string): unknown =>
      datasetOf({ calibration: '.', batch: '1', calibrationSelection: how, ...(count && { count }) })
    expect(() => choose('spread')).toThrow(/"spread" chooses among more samples than are used/)
    expect(() => choose('timesteps')).toThrow(/--count/)
    expect(choose('timesteps', '4')).toMatchObject({ count: 4, selection: 'timesteps' })
    expect(choose('first')).toMatchObject({ selection: 'first' })
  })
})
