// Options of weight repair on the command line.
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { defaultRecipe, RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import {
  addRepairOptions,
  idleRepairs,
  type RepairOptions,
  repairText,
  withRepair,
} from '../../../cli/runtime/repair-options.ts'

function parsed(...args: string[]): RepairOptions {
  const command = new Command()
  addRepairOptions(command)
  command.parse(args, { from: 'user' })
  return command.opts()
}

describe('options of weight repair', () => {
  it('leave the recipe as it is when none is given', () => {
    expect(withRepair(defaultRecipe, parsed())).toEqual(defaultRecipe)
    const written = recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      repair: { equalize: true, balance: { strength: 0.7, layers: ['a'] }, fold_batch_norm: false },
    })
    expect(withRepair(written, parsed())).toEqual(written)
  })

  it('ask for every repair', () => {
    const options = parsed(
      '--equalize',
      '--balance=0.65',
      '--split-concat=all',
      '--bias-correction',
      '--no-fold-batch-norm',
    )
    expect(withRepair(defaultRecipe, options).repair).toMatchObject({
      equalize: true,
      balance: { method: 'dmq', strength: 0.65 },
      split_concat: { mode: 'all', minimum_gain_db: 3 },
      bias_correction: true,
      fold_batch_norm: false,
    })
  })

  it('have defaults where a value is optional, and keep what the recipe says besides', () => {
    const { repair } = withRepair(defaultRecipe, parsed('--balance', '--split-concat'))
    expect(repair).toMatchObject({ balance: { strength: 0.5 }, split_concat: { mode: 'auto' } })
    const written = recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      repair: { balance: { method: 'smoothquant', strength: 0.3 }, split_concat: { minimum_gain_db: 5 } },
    })
    expect(withRepair(written, parsed('--balance', '--split-concat')).repair).toMatchObject({
      balance: { method: 'smoothquant', strength: 0.3 },
      split_concat: { mode: 'auto', minimum_gain_db: 5 },
    })
  })

  it('choose how weights are rounded, and keep the parameters of the same method', () => {
    expect(withRepair(defaultRecipe, parsed('--rounding=gptq')).repair.rounding).toEqual({
      method: 'gptq',
      dampening: 0.01,
      block_size: 128,
    })
    const written = recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      repair: { rounding: { method: 'adaround', iterations: 300, layers: ['a'] } },
    })
    const faster = ['--rounding-iterations=50']
    expect(withRepair(written, parsed(...faster)).repair.rounding).toMatchObject({
      method: 'adaround',
      iterations: 50,
      layers: ['a'],
    })
    expect(withRepair(written, parsed('--rounding=nearest')).repair.rounding).toEqual({ method: 'nearest' })
    expect(() => withRepair(written, parsed('--rounding=gptq', ...faster))).toThrow(
      expect.objectContaining({ code: 'E_ARGUMENT' }),
    )
  })

  it.each([
    ['--balance=1', '--balance'],
    ['--balance=', '--balance'],
    ['--balance=half', '--balance'],
    ['--split-concat=most', '--split-concat'],
  ])('refuse %s', (argument, name) => {
    expect(() => withRepair(defaultRecipe, parsed(argument))).toThrow(
      expect.objectContaining({ code: 'E_ARGUMENT', details: expect.objectContaining({ name }) }),
    )
  })

  it('are summed up by kind', () => {
    expect(repairText([])).toBeUndefined()
    const note = (layer: string) => ({ kind: 'fold_batch_norm' as const, layer, normalization: 'bn' })
    const bias = { kind: 'bias_correction' as const, layer: 'a', channels: 1, largest: 0 }
    expect(repairText([note('a'), note('b'), bias])).toBe(
      'batch normalizations folded: 2, biases corrected: 1',
    )
  })
})

describe('repairs that found nothing to do', () => {
  it('are those asked for without a note', () => {
    const recipe = withRepair(defaultRecipe, parsed('--equalize', '--balance', '--bias-correction'))
    const note = { kind: 'bias_correction' as const, layer: 'conv', channels: 2, largest: 0.1 }
    expect(idleRepairs(recipe, [note])).toEqual(['pairs equalized', 'inputs balanced'])
    // Folding is on by default: nobody asked for it by name.
    expect(idleRepairs(defaultRecipe, [])).toEqual([])
    expect(idleRepairs(withRepair(defaultRecipe, parsed('--split-concat')), [])).toEqual([
      'layers split at joints',
    ])
  })
})
