// Options of weight repair, and what repair did in one line.
import { type Command, Option } from 'commander'
import type { RepairNote } from '../../contract/repair.ts'
import { type Recipe, recipeSchema, type RoundingSettings } from '../../contract/recipe.ts'
import { AppError } from '../../contract/errors/index.ts'
import { parseInteger } from './arguments.ts'

export interface RepairOptions {
  equalize?: boolean
  balance?: string | true
  splitConcat?: string | true
  biasCorrection?: boolean
  /** False with --no-fold-batch-norm, else true. */
  foldBatchNorm?: boolean
  rounding?: RoundingSettings['method']
  roundingIterations?: string
}

const ROUNDING_METHODS: RoundingSettings['method'][] = ['nearest', 'adaround', 'gptq']
const MOST_ITERATIONS = 1_000_000

export function addRepairOptions(command: Command): void {
  command
    .option('--equalize', 'even out the weights of neighbouring layers (docs/weight-repair.md)')
    .option(
      '--balance [strength]',
      'move range from activations to weights; strength 0.2 to 0.8 (default: 0.5)',
    )
    .option(
      '--split-concat [mode]',
      'a scale for each half of joined inputs; "auto" (default): where it gains, or "all"',
    )
    .option('--bias-correction', 'take the mean error of quantization out of the biases')
    .option('--no-fold-batch-norm', 'leave batch normalizations as they are')
    .addOption(
      new Option('--rounding <method>', 'how weights are rounded (docs/rounding.md)').choices(
        ROUNDING_METHODS,
      ),
    )
    .option('--rounding-iterations <n>', 'iterations of adaround for every layer (default: 10000)')
}

function strengthOf(text: string): number {
  const strength = Number(text)
  if (text.trim() !== '' && strength >= 0.2 && strength <= 0.8) return strength
  throw new AppError('E_ARGUMENT', {
    name: '--balance',
    reason: `"${text}" is no strength`,
    expected: 'a number from 0.2 to 0.8',
  })
}

function modeOf(text: string): 'auto' | 'all' {
  if (text === 'auto' || text === 'all') return text
  throw new AppError('E_ARGUMENT', {
    name: '--split-concat',
    reason: `"${text}" is no mode`,
    expected: 'auto or all',
  })
}

/** The recipe's rounding, or the one that the command line asks for: of the same method, with the recipe's parameters. */
function roundingOf(recipe: Recipe, { rounding, roundingIterations }: RepairOptions): object {
  const own = recipe.repair.rounding
  const method = rounding ?? own.method
  const chosen = method === own.method ? own : { method }
  if (roundingIterations === undefined) return chosen
  if (method !== 'adaround') {
    throw new AppError('E_ARGUMENT', {
      name: '--rounding-iterations',
      reason: `${method} has no iterations`,
      expected: 'adaround as --rounding or in the recipe',
    })
  }
  return {
    ...chosen,
    iterations: parseInteger('--rounding-iterations', roundingIterations, 1, MOST_ITERATIONS),
  }
}

/** The recipe with the repairs that the command line asks for besides its own. @throws E_ARGUMENT */
export function withRepair(recipe: Recipe, options: RepairOptions): Recipe {
  const { equalize, balance, splitConcat, biasCorrection, foldBatchNorm } = options
  const { repair } = recipe
  return recipeSchema.parse({
    ...recipe,
    repair: {
      ...repair,
      ...(equalize && { equalize }),
      ...(balance !== undefined && {
        balance: { ...repair.balance, ...(balance !== true && { strength: strengthOf(balance) }) },
      }),
      ...(splitConcat !== undefined && {
        split_concat: { ...repair.split_concat, mode: splitConcat === true ? 'auto' : modeOf(splitConcat) },
      }),
      ...(biasCorrection && { bias_correction: true }),
      ...(foldBatchNorm === false && { fold_batch_norm: false }),
      rounding: roundingOf(recipe, options),
    },
  })
}

const KIND_TEXTS: Record<RepairNote['kind'], string> = {
  fold_batch_norm: 'batch normalizations folded',
  equalize: 'pairs equalized',
  balance: 'inputs balanced',
  split_concat: 'layers split at joints',
  bias_correction: 'biases corrected',
}

/** Such as "layers split at joints: 5, biases corrected: 40"; undefined when nothing was repaired. */
export function repairText(notes: readonly RepairNote[]): string | undefined {
  const counts = Map.groupBy(notes, ({ kind }) => kind)
  const parts = [...counts].map(([kind, group]) => `${KIND_TEXTS[kind]}: ${group.length}`)
  return parts.length > 0 ? parts.join(', ') : undefined
}

/** Kinds of repair that a recipe asks for by name and that found nothing to do, such as "pairs equalized". */
export function idleRepairs({ repair }: Recipe, notes: readonly RepairNote[]): string[] {
  const asked: [RepairNote['kind'], boolean][] = [
    ['equalize', repair.equalize],
    ['balance', repair.balance !== undefined],
    ['split_concat', repair.split_concat.mode !== 'off'],
    ['bias_correction', repair.bias_correction],
  ]
  return asked
    .filter(([kind, wanted]) => wanted && !notes.some((note) => note.kind === kind))
    .map(([kind]) => KIND_TEXTS[kind])
}
