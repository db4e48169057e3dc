// Recipes as files: our own JSON and the amct_config.json of amct_tool.
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { DatasetRequest } from '../../contract/quantization.ts'
import {
  type AmctToolConfigFile,
  amctToolConfigSchema,
  type LayerOverride,
  RECIPE_SCHEMA,
  type Recipe,
  recipeSchema,
} from '../../contract/recipe.ts'
import { parseJson } from './json-source.ts'

/**
 * Reads a recipe in our JSON form (docs/recipes.md).
 * @param file The file's name, for messages only.
 * @throws E_JSON_SYNTAX, E_JSON_UNKNOWN_KEY, E_JSON_VALUE
 */
export function parseRecipe(text: string, file: string): Recipe {
  return parseJson(recipeSchema, text, file)
}

/** What an amct_config.json asks for. Paths are as written. */
export interface AmctToolConfig {
  model: {
    path: string
    /** Sizes by input name; empty when the file gives none. */
    inputShapes: Record<string, number[]>
    /** Layouts such as NCHW by input name. */
    inputFormats: Record<string, string>
    outputPath: string
  }
  recipe: Recipe
  dataset: DatasetRequest
}

const WRITTEN_PRECISION = { FP16: 'fp16', FP32: 'float', INT8: 'int8' } as const

function mixedPrecision(options: AmctToolConfigFile['quantization_info']['quant_options']): {
  fp16Layers: string[]
  overrides: LayerOverride[]
} {
  const mixed = options.mixed_precision_config
  if (!mixed?.enable_mixed_precision) return { fp16Layers: [], overrides: [] }
  const layers = mixed.mixed_precision_layers
  return {
    fp16Layers: layers.filter((layer) => layer.data_type === 'FP16').map((layer) => layer.layer_name),
    overrides: layers
      .filter((layer) => layer.data_type !== 'FP16')
      .map((layer) => ({ layer: layer.layer_name, precision: WRITTEN_PRECISION[layer.data_type] })),
  }
}

/**
 * Reads an amct_config.json. `//` and block comments are accepted, as in the files people have.
 * @param file The file's name: for messages, and its folder is where a list file is looked for first.
 * @throws E_JSON_SYNTAX, E_JSON_UNKNOWN_KEY, E_JSON_VALUE
 */
export function parseAmctToolConfig(text: string, file: string): AmctToolConfig {
  const { model_info: model, quantization_info: quantization } = parseJson(amctToolConfigSchema, text, file)
  const { calibration_config: calibration, quant_options: options } = quantization
  const { fp16Layers, overrides } = mixedPrecision(options)
  return {
    model: {
      path: model.model_path,
      inputShapes: model.input_shapes,
      inputFormats: model.input_formats,
      outputPath: model.output_path,
    },
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      activation: { method: options.activation_quant_method },
      skip_layers: options.skip_quant_layers,
      fp16_layers: fp16Layers,
      overrides,
    }),
    dataset: {
      folder: calibration.calibration_data_path,
      listFile: calibration.calibration_data_file_list,
      searchFolders: [path.dirname(file)],
      count: calibration.calibration_data_num,
      batchSize: calibration.calibration_batch_size,
      inputShapes: model.input_shapes,
    },
  }
}

/**
 * A path from a configuration file: relative to the folder the command runs in, as users write them; when nothing is
 * there, next to the configuration file.
 */
export function resolveFromConfig(written: string, configFile: string): string {
  const fromHere = path.resolve(written)
  const fromConfig = path.resolve(path.dirname(configFile), written)
  return !existsSync(fromHere) && existsSync(fromConfig) ? fromConfig : fromHere
}
