// Options that quantize, calibrate and compare share: calibration data and the recipe.
import { readFileSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { type DatasetRequest, type DatasetSpec, datasetSpecSchema } from '../../contract/quantization.ts'
import {
  activationMethodSchema,
  layerPrecisionSchema,
  type Recipe,
  recipeSchema,
  weightMethodSchema,
} from '../../contract/recipe.ts'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../../engine/common/hashing.ts'
import type { Logger } from '../../engine/common/log.ts'
import { existingFile, existingFolder, parseInputShapes, parseInteger } from './arguments.ts'
import { logNotes } from './notes.ts'
import { openAnyModel } from './open-model.ts'
import { addRepairOptions, type RepairOptions, withRepair } from './repair-options.ts'

export interface DatasetOptions extends RepairOptions {
  calibration: string
  list?: string
  count?: string
  calibrationSelection?: DatasetSpec['selection']
  batch: string
  inputShape?: string
  layout?: string
  recipe?: string
  preset?: string
  precision?: Recipe['precision']
  method?: Recipe['activation']['method']
  weightMethod?: Recipe['weight']['method']
}

/** @param record Scales may come from a record file instead of calibration. */
export function addDatasetOptions(command: Command, record = false): void {
  const calibration = new Option('--calibration <folder>', 'folder with calibration data (.bin or .npy)')
  command
    .addOption(record ? calibration : calibration.makeOptionMandatory())
    .option('--list <file>', 'text file naming the samples, one per line')
    .option('--count <n>', 'use n samples (default: all)')
    .addOption(selectionOption('--calibration-selection <how>'))
    .option('--batch <n>', 'samples per run', '1')
    .option(
      '--input-shape <shapes>',
      'shapes of open inputs, e.g. "sample_input_tensor:1,4,64,64;timestep:1"',
    )
    .option('--layout <layouts>', 'layout of data stored with channels last, e.g. "input:HWC"')
    .option('--recipe <file>', "recipe, or any of AMCT's configurations (docs/interop.md)")
    .option('--preset <id>', 'one of the recipes that "aqw presets MODEL" shows')
    .addOption(
      new Option('--precision <p>', 'what the recipe says nothing else about').choices([
        ...layerPrecisionSchema.options,
      ]),
    )
    .addOption(
      new Option('--method <m>', "range method of activations, in place of the recipe's").choices([
        ...activationMethodSchema.options,
      ]),
    )
    .addOption(
      new Option('--weight-method <m>', "how weight scales are found, in place of the recipe's").choices([
        ...weightMethodSchema.options,
      ]),
    )
  addRepairOptions(command)
}

/** The recipe with the settings for all layers that the command line gives; rules of the recipe stay as they are. */
export function withSettings(
  recipe: Recipe,
  options: Pick<DatasetOptions, 'precision' | 'method' | 'weightMethod' | keyof RepairOptions>,
): Recipe {
  const { precision, method, weightMethod } = options
  return recipeSchema.parse({
    ...withRepair(recipe, options),
    ...(precision && { precision }),
    ...(method && { activation: { method } }),
    weight: { ...recipe.weight, ...(weightMethod && { method: weightMethod }) },
  })
}

/** Which samples a count below their number takes. */
export function selectionOption(flags: string): Option {
  return new Option(
    flags,
    'which n samples: the first ones, evenly spread, or even over diffusion time steps',
  ).choices([...datasetSpecSchema.shape.selection.unwrap().options])
}

/** `input:HWC;other:CHW`. @throws E_ARGUMENT */
function layoutsOf(text: string): Record<string, 'CHW' | 'HWC'> {
  const entries = text.split(';').map((part) => {
    const colon = part.lastIndexOf(':')
    const layout = part
      .slice(colon + 1)
      .trim()
      .toUpperCase()
      .replace(/^N/, '')
    if (colon <= 0 || (layout !== 'CHW' && layout !== 'HWC')) {
      const expected = 'NAME:HWC or NAME:CHW, several separated by ";"'
      throw new AppError('E_ARGUMENT', { name: '--layout', reason: `"${part}" is not usable`, expected })
    }
    return [part.slice(0, colon).trim(), layout] as const
  })
  return Object.fromEntries(entries)
}

/** @throws E_FOLDER_NOT_FOUND, E_ARGUMENT, also for a choice of samples without a number of them */
export function datasetOf(options: DatasetOptions): DatasetRequest {
  const { calibrationSelection: selection, count } = options
  if (count === undefined && selection !== undefined && selection !== 'first') {
    throw new AppError('E_ARGUMENT', {
      name: '--count',
      reason: `"${selection}" chooses among more samples than are used`,
      expected: 'the number of samples to choose',
    })
  }
  return {
    folder: existingFolder(options.calibration),
    ...(options.list === undefined ? {} : { listFile: options.list }),
    ...(options.count === undefined ? {} : { count: parseInteger('--count', options.count, 1, 10_000_000) }),
    ...(options.calibrationSelection === undefined ? {} : { selection: options.calibrationSelection }),
    batchSize: parseInteger('--batch', options.batch, 1, 4096),
    ...(options.inputShape === undefined
      ? {}
      : { inputShapes: parseInputShapes('--input-shape', options.inputShape) }),
    ...(options.layout === undefined ? {} : { layouts: layoutsOf(options.layout) }),
  }
}

/** Recipes and records are text of a few numbers per channel; a model given by mistake is refused before it is read. */
const MOST_TEXT_BYTES = 256 * 1024 * 1024

/** @throws E_FILE_NOT_FOUND, E_FILE_READ */
export function readText(file: string): string {
  try {
    const { size } = statSync(existingFile(file))
    if (size > MOST_TEXT_BYTES) throw new Error(`${size} bytes are too many for a text file`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

/**
 * The recipe in whatever form its file has; the default recipe when none is given. What the form cannot say is logged.
 * @param modelPath Names in AMCT's own forms are looked up in this model.
 */
export async function recipeOf(
  options: Pick<DatasetOptions, 'recipe' | 'preset'>,
  modelPath: string | undefined,
  log: Logger,
): Promise<Recipe> {
  if (options.preset !== undefined) return presetRecipe(options, options.preset, modelPath)
  if (options.recipe === undefined) {
    const { defaultRecipe } = await import('../../contract/recipe.ts')
    return defaultRecipe
  }
  const text = readText(options.recipe)
  const { readRecipe, recognizeRecipe } = await import('../../engine/quantization/index.ts')
  const ours = recognizeRecipe(text, options.recipe) === 'recipe'
  const model = ours || modelPath === undefined ? undefined : await openAnyModel(modelPath)
  const { recipe, notes } = readRecipe(text, options.recipe, model)
  logNotes(log, notes)
  return recipe
}

/** The recipe of a preset, made for the model. @throws E_ARGUMENT, E_PRESET_UNKNOWN */
async function presetRecipe(
  options: Pick<DatasetOptions, 'recipe'>,
  id: string,
  modelPath: string | undefined,
): Promise<Recipe> {
  if (options.recipe !== undefined || modelPath === undefined) {
    const expected = 'one of --preset and --recipe, and --preset together with a model'
    throw new AppError('E_ARGUMENT', { name: '--preset', reason: 'it cannot be used here', expected })
  }
  const { presetOf } = await import('../../engine/quantization/presets/index.ts')
  return presetOf(await openAnyModel(modelPath), id).recipe
}
