// Options that quantize and compare share: calibration data and the recipe.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { DatasetRequest } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../../engine/common/hashing.ts'
import { existingFile, existingFolder, parseInputShapes, parseInteger } from './arguments.ts'

export interface DatasetOptions {
  calibration: string
  list?: string
  count?: string
  batch: string
  inputShape?: string
  recipe?: string
}

export function addDatasetOptions(command: Command): void {
  command
    .requiredOption('--calibration <folder>', 'folder with calibration data (.bin or .npy)')
    .option('--list <file>', 'text file naming the samples, one per line')
    .option('--count <n>', 'use the first n samples (default: all)')
    .option('--batch <n>', 'samples per run', '1')
    .option(
      '--input-shape <shapes>',
      'shapes of open inputs, e.g. "sample_input_tensor:1,4,64,64;timestep:1"',
    )
    .option('--recipe <file>', 'recipe or amct_config.json with the quantization options')
}

/** @throws E_FOLDER_NOT_FOUND, E_ARGUMENT */
export function datasetOf(options: DatasetOptions): DatasetRequest {
  return {
    folder: existingFolder(options.calibration),
    ...(options.list === undefined ? {} : { listFile: options.list }),
    ...(options.count === undefined ? {} : { count: parseInteger('--count', options.count, 1, 10_000_000) }),
    batchSize: parseInteger('--batch', options.batch, 1, 4096),
    ...(options.inputShape === undefined
      ? {}
      : { inputShapes: parseInputShapes('--input-shape', options.inputShape) }),
  }
}

function readText(file: string): string {
  try {
    return readFileSync(existingFile(file), 'utf8')
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

/** Our recipe, or the quantization part of an amct_config.json; the default recipe when none is given. */
export async function recipeOf(options: Pick<DatasetOptions, 'recipe'>): Promise<Recipe> {
  if (options.recipe === undefined) {
    const { defaultRecipe } = await import('../../contract/recipe.ts')
    return defaultRecipe
  }
  const text = readText(options.recipe)
  const { parseAmctToolConfig, parseRecipe } = await import('../../engine/quantization/index.ts')
  // The two forms share no key at the top; a file that is neither gets the error of our own form.
  return /"(model_info|quantization_info)"\s*:/.test(text)
    ? parseAmctToolConfig(text, options.recipe).recipe
    : parseRecipe(text, options.recipe)
}
