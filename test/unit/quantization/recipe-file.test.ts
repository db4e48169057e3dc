// Recipes and amct_config.json: what is read, and how each mistake is reported.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { defaultRecipe, RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { parseAmctToolConfig, parseRecipe } from '../../../engine/quantization/recipe-file.ts'

const AMCT_CONFIG = `{ "model_info": { "model_path": "./unet_fp16.om",
    "input_shapes": {"sample_input_tensor": "1,4,64,64"}, "input_formats": {"sample_input_tensor": "NCHW"},
    "output_path": "./unet_int8_amct.om" }, // where the result goes
  "quantization_info": { "quant_mode": "static_ptq", "data_type": "INT8",
    "calibration_config": { "calibration_data_path": "./calib_data_bins", "calibration_data_num": 200,
      "calibration_batch_size": 1, "calibration_data_file_list": "calib_list.txt" },
    "quant_options": { "activation_quant_method": "max_abs", "weight_quant_method": "max_abs",
      "skip_quant_layers": ["unet.up_blocks.3.resnets.2.norm1", "unet.conv_out.weight"],
      "mixed_precision_config": { "enable_mixed_precision": true,
        "mixed_precision_layers": [ {"layer_name": "unet.down_blocks.0.resnets.0.norm1", "data_type": "FP16"} ] } } } }`

function failure(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('amct_config.json', () => {
  it('is read as users write it, comments included', () => {
    const config = parseAmctToolConfig(AMCT_CONFIG, 'folder/amct_config.json')
    expect(config.model).toEqual({
      path: './unet_fp16.om',
      inputShapes: { sample_input_tensor: [1, 4, 64, 64] },
      inputFormats: { sample_input_tensor: 'NCHW' },
      outputPath: './unet_int8_amct.om',
    })
    expect(config.dataset).toEqual({
      folder: './calib_data_bins',
      listFile: 'calib_list.txt',
      searchFolders: ['folder'],
      count: 200,
      batchSize: 1,
      inputShapes: { sample_input_tensor: [1, 4, 64, 64] },
    })
    expect(config.recipe.activation.method).toBe('max_abs')
    expect(config.recipe.skip_layers).toEqual(['unet.up_blocks.3.resnets.2.norm1', 'unet.conv_out.weight'])
    expect(config.recipe.fp16_layers).toEqual(['unet.down_blocks.0.resnets.0.norm1'])
  })

  it('ignores the mixed-precision list when it is switched off', () => {
    const off = AMCT_CONFIG.replace('"enable_mixed_precision": true', '"enable_mixed_precision": false')
    expect(parseAmctToolConfig(off, 'a.json').recipe.fp16_layers).toEqual([])
  })

  it('names line and column of a syntax error', () => {
    const broken = AMCT_CONFIG.replace('"calibration_batch_size": 1,', '"calibration_batch_size": 1')
    const error = failure(() => parseAmctToolConfig(broken, 'amct_config.json'))
    expect(error.code).toBe('E_JSON_SYNTAX')
    expect(error.details).toMatchObject({ path: 'amct_config.json', line: 6, column: 35 })
    expect(error.message).toContain('amct_config.json:6:35')
  })

  it('refuses a trailing comma with its place', () => {
    const error = failure(() => parseRecipe('{\n  "schema": "x",\n}', 'r.json'))
    expect(error.code).toBe('E_JSON_SYNTAX')
    expect(error.details).toMatchObject({ line: 3, column: 1 })
  })

  it('names an unknown key, its place and the nearest key', () => {
    const typo = AMCT_CONFIG.replace('calibration_data_num', 'calibration_data_nun')
    const error = failure(() => parseAmctToolConfig(typo, 'amct_config.json'))
    expect(error.code).toBe('E_JSON_UNKNOWN_KEY')
    expect(error.details).toMatchObject({ line: 5, key: 'calibration_data_nun' })
    expect(error.hint).toMatch(/Did you mean "calibration_data_num"/)
  })

  it('finds the keys inside lists', () => {
    const typo = AMCT_CONFIG.replace('"layer_name"', '"layer"')
    const error = failure(() => parseAmctToolConfig(typo, 'amct_config.json'))
    expect(error.code).toBe('E_JSON_UNKNOWN_KEY')
    expect(error.hint).toContain('"layer_name"')
  })

  it.each([
    ['"calibration_data_num": 200', '"calibration_data_num": "200"', 'calibration_data_num', 'number'],
    ['"calibration_data_num": 200', '"calibration_data_num": 0', 'calibration_data_num', '0'],
    ['"INT8"', '"INT4"', 'quantization_info.data_type', '"INT8"'],
    [
      '"activation_quant_method": "max_abs"',
      '"activation_quant_method": "k1"',
      'activation_quant_method',
      '"min_max"',
    ],
    ['"1,4,64,64"', '"1x4x64x64"', 'input_shapes.sample_input_tensor', 'shape'],
    ['"model_path": "./unet_fp16.om",', '', 'model_info.model_path', 'string'],
    ['"FP16"', '"BF16"', 'mixed_precision_layers[0].data_type', '"FP16"'],
  ])('reports a wrong value: %s -> %s', (from, to, key, expected) => {
    const error = failure(() => parseAmctToolConfig(AMCT_CONFIG.replace(from, to), 'amct_config.json'))
    expect(error.code).toBe('E_JSON_VALUE')
    expect(error.details.key).toContain(key)
    expect(`${error.message} ${error.hint}`).toContain(expected)
  })
})

describe('recipe', () => {
  it('has defaults for everything but its schema', () => {
    const recipe = parseRecipe(`{"schema": "${RECIPE_SCHEMA}"}`, 'r.json')
    expect(recipe).toEqual(defaultRecipe)
    expect(recipe.activation.method).toBe('min_max')
    expect(recipe.weight).toEqual({ method: 'max_abs', per_channel: true })
  })

  it.each([
    ['max_abs', 'max_abs'],
    ['min_max', 'min_max'],
    ['minmax', 'min_max'],
    ['kl', 'kl'],
    ['entropy', 'kl'],
    ['percentile', 'percentile'],
    ['moving_average', 'moving_average'],
    ['mse', 'mse'],
    ['ifmr', 'ifmr'],
    ['hfmg', 'hfmg'],
    ['auto', 'auto'],
  ])('of an AMCT configuration takes the method name %s', (written, method) => {
    const text = AMCT_CONFIG.replace(
      '"activation_quant_method": "max_abs"',
      `"activation_quant_method": "${written}"`,
    )
    expect(parseAmctToolConfig(text, 'amct_config.json').recipe.activation).toEqual({ method })
  })

  it('takes the parameters of a method, for all layers and for some', () => {
    const ifmr = { method: 'ifmr', max_percentile: 0.9999, search_range: [0.5, 1.2], search_step: 0.05 }
    const override = { layer: '*', activation: { method: 'percentile', percentile: 99.9, symmetric: true } }
    const text = JSON.stringify({ schema: RECIPE_SCHEMA, activation: ifmr, overrides: [override] })
    const recipe = parseRecipe(text, 'r.json')
    expect(recipe.activation).toEqual(ifmr)
    expect(recipe.overrides[0]).toEqual(override)
  })

  it.each([
    ['{ "method": "kl", "percentile": 99 }', 'activation.percentile', 'symmetric, bins'],
    ['{ "percentile": 99 }', 'activation.percentile', 'min_max'],
    ['{ "method": "percentile", "percentile": 50 }', 'activation.percentile', '50'],
    ['{ "method": "percentile", "percentile": 100.1 }', 'activation.percentile', '100'],
    ['{ "method": "max_abs", "symmetric": false }', 'activation.symmetric', 'min_max'],
    ['{ "method": "mse", "bins": 1000 }', 'activation.bins', '1024'],
    ['{ "method": "hfmg", "bins": 16384 }', 'activation.bins', '8192'],
    ['{ "method": "ifmr", "search_range": [1.3, 0.7] }', 'activation.search_range', 'below'],
    ['{ "method": "ifmr", "search_range": [0.9, 1], "search_step": 0.2 }', 'activation.search_step', 'range'],
    ['{ "method": "ifmr", "max_percentile": 0.5 }', 'activation.max_percentile', '0.5'],
    ['{ "method": "moving_average", "averaging_constant": 0 }', 'activation.averaging_constant', '0'],
  ])('refuses a parameter that does not fit: %s', (activation, key, expected) => {
    const text = `{ "schema": "${RECIPE_SCHEMA}", "activation": ${activation} }`
    const error = failure(() => parseRecipe(text, 'r.json'))
    expect(error.code).toBe('E_JSON_VALUE')
    expect(error.details.key).toBe(key)
    expect(`${error.message} ${error.hint}`).toContain(expected)
  })

  it('survives writing and reading', () => {
    const recipe = recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      name: 'mixed',
      fp16_layers: ['*conv_out*'],
      overrides: [{ layer: '*.to_q.weight', precision: 'int8', activation: { method: 'max_abs' } }],
    })
    expect(parseRecipe(JSON.stringify(recipe), 'r.json')).toEqual(recipe)
  })

  it('names the version it understands', () => {
    const error = failure(() => parseRecipe('{"schema": "aqw.recipe/9"}', 'r.json'))
    expect(error.code).toBe('E_JSON_VALUE')
    expect(error.hint).toContain(RECIPE_SCHEMA)
  })

  it('refuses a key given twice and nesting without end', () => {
    expect(failure(() => parseRecipe('{"schema": "a", "schema": "b"}', 'r')).message).toContain(
      'appears twice',
    )
    expect(failure(() => parseRecipe('['.repeat(100_000), 'r')).message).toContain('nested deeper')
    expect(failure(() => parseRecipe('', 'r')).code).toBe('E_JSON_SYNTAX')
  })

  it('never fails in any other way than by its own errors', () => {
    const fragments = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"schema"',
      `"${RECIPE_SCHEMA}"`,
      '//',
      '\n',
      '1',
      '"a"',
    )
    fc.assert(
      fc.property(fc.array(fragments, { maxLength: 30 }), (parts) => {
        try {
          parseRecipe(parts.join(''), 'r')
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
        }
      }),
    )
  })
})
