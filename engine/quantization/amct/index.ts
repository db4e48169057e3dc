// Recipes in every form that is read and written: recognising one, reading it, writing it.
import { AppError } from '../../../contract/errors/index.ts'
import type { InteropNote, RecipeForm } from '../../../contract/interop.ts'
import type { Recipe } from '../../../contract/recipe.ts'
import type { Model } from '../../onnx/index.ts'
import { type AmctToolConfig, parseAmctToolConfig, parseRecipe } from '../recipe-file.ts'
import { parseAmctCfg } from './cfg-recipe.ts'
import { AMCT_JSON_GLOBALS, parseAmctConfigJson } from './config-json.ts'
import { formatAmctCfg } from './write-cfg.ts'
import { type AmctText, formatAmctConfigJson } from './write-json.ts'
import { type AmctToolSurroundings, formatAmctToolConfig } from './write-tool.ts'

export type { AmctText } from './write-json.ts'
export type { AmctToolSurroundings } from './write-tool.ts'
export { parseAmctCfg } from './cfg-recipe.ts'
export { parseAmctConfigJson } from './config-json.ts'

/** The text without a byte order mark and leading comments of JSON (`//`) or protobuf text (`#`). */
function withoutPreamble(text: string): string {
  let rest = text.replace(/^\uFEFF/, '').trimStart()
  for (;;) {
    const comment = rest.startsWith('/*') ? '*/' : rest.startsWith('//') || rest.startsWith('#') ? '\n' : null
    if (comment === null) return rest
    const end = rest.indexOf(comment)
    if (end < 0) return ''
    rest = rest.slice(end + comment.length).trimStart()
  }
}

function mentions(text: string, keys: readonly string[]): boolean {
  return keys.some((key) => new RegExp(`"${key}"\\s*:`).test(text))
}

/**
 * Which form a file has, by what only that form has in it; nothing is checked yet. A JSON file without any such key is
 * taken for ours, so that its errors are about ours.
 * @throws E_RECIPE_IS_RECORD
 */
export function recognizeRecipe(text: string, file: string): RecipeForm {
  const body = withoutPreamble(text)
  if (/^record\b/.test(body)) throw new AppError('E_RECIPE_IS_RECORD', { path: file })
  // Anything but an object is either empty or protobuf text, whose first token is a word.
  if (!body.startsWith('{')) return /^[A-Za-z_]/.test(body) ? 'amct_cfg' : 'recipe'
  if (mentions(body, ['schema'])) return 'recipe'
  if (mentions(body, ['model_info', 'quantization_info'])) return 'amct_tool'
  return mentions(body, [...AMCT_JSON_GLOBALS, 'quant_enable']) ? 'amct_json' : 'recipe'
}

export interface RecipeReading {
  form: RecipeForm
  recipe: Recipe
  notes: InteropNote[]
  /** The rest of an amct_config.json. */
  tool?: AmctToolConfig
}

/**
 * Reads a recipe in any form.
 * @param file The file's name, for messages, and for paths in an amct_config.json.
 * @param model Names in AMCT's own forms are looked up in it when given.
 * @throws E_RECIPE_IS_RECORD, E_JSON_*, E_AMCT_CFG_*, E_AMCT_UNSUPPORTED, E_LAYER_UNKNOWN
 */
export function readRecipe(text: string, file: string, model?: Model): RecipeReading {
  const form = recognizeRecipe(text, file)
  switch (form) {
    case 'recipe':
      return { form, recipe: parseRecipe(text, file), notes: [] }
    case 'amct_tool': {
      const tool = parseAmctToolConfig(text, file)
      return { form, recipe: tool.recipe, notes: [], tool }
    }
    case 'amct_json':
      return { form, ...parseAmctConfigJson(text, file, model) }
    case 'amct_cfg':
      return { form, ...parseAmctCfg(text, file, model) }
  }
}

export interface WriteSurroundings extends AmctToolSurroundings {
  /** Resolves names layer by layer; needed for `amct_json`. */
  model?: Model | undefined
  /** Batches of calibration data, for AMCT's own forms. */
  batchNum?: number | undefined
}

/**
 * Writes a recipe in a form.
 * @throws E_RECIPE_NEEDS_MODEL for `amct_json` without a model; E_LAYER_UNKNOWN when a name of the recipe matches nothing
 */
export function writeRecipe(recipe: Recipe, form: RecipeForm, around: WriteSurroundings = {}): AmctText {
  const { model, batchNum } = around
  switch (form) {
    case 'recipe':
      return { text: `${JSON.stringify(recipe, null, 2)}\n`, notes: [] }
    case 'amct_tool':
      return formatAmctToolConfig(recipe, around)
    case 'amct_cfg':
      return formatAmctCfg(recipe, model, batchNum)
    case 'amct_json':
      if (model) return formatAmctConfigJson(recipe, model, batchNum)
      throw new AppError('E_RECIPE_NEEDS_MODEL')
  }
}
