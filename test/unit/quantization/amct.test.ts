// Recipes in AMCT's forms: config.json, simplified configuration, amct_config.json; recognised, read, written, refused.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { noteText } from '../../../contract/interop.ts'
import { defaultRecipe, RECIPE_SCHEMA, type Recipe, recipeSchema } from '../../../contract/recipe.ts'
import { readRecipe, recognizeRecipe, writeRecipe } from '../../../engine/quantization/index.ts'
import { selectLayers } from '../../../engine/quantization/selection.ts'
import { amctModel } from './amct-model.ts'

function failure(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function recipe(parts: object): Recipe {
  return recipeSchema.parse({ schema: RECIPE_SCHEMA, ...parts })
}

/** What the recipe does to every layer: enough to say that two recipes mean the same. */
function effect(made: Recipe): unknown {
  const { chosen, weightOnly, pools } = selectLayers(amctModel(), made)
  return [...chosen, ...weightOnly, ...pools].map((layer) => ({
    name: layer.name,
    observer: layer.observer,
    ...('weightBits' in layer && {
      bits: layer.weightBits,
      method: layer.weightMethod,
      perChannel: layer.anatomy.opType === 'Conv' ? layer.perChannelWeight : undefined,
    }),
  }))
}

// In the layout of create_quant_config (int8_calibration_config.json in the tests of hicann/amct).
const LAYER = `{
        "quant_enable":true,
        "activation_quant_params":{
            "num_bits":8,
            "max_percentile":0.999999,
            "min_percentile":0.999999,
            "search_range":[
                0.7,
                1.3
            ],
            "search_step":0.01,
            "act_algo":"ifmr"
        },
        "weight_quant_params":{
            "num_bits":8,
            "wts_algo":"arq_quantize",
            "channel_wise":true
        }
    }`
const CONFIG = `{
    "version":1,
    "batch_num":2,
    "activation_offset":true,
    "do_fusion":true,
    "skip_fusion_layers":[],
    "conv1":${LAYER},
    "layer1":${LAYER.replace('"quant_enable":true', '"quant_enable":false')},
    "layer1.inner":${LAYER}
}
`

// After the samples of the AMCT documentation (quant.cfg).
const CFG = `
# global quantize parameter
batch_num : 2
activation_offset : true
joint_quant : false
skip_layers : "conv1"
skip_layer_types:"AvgPool2d"
do_fusion: false
skip_fusion_layers : "layer1"
common_config : {
    arq_quantize : {
        channel_wise : true
    }
    ifmr_quantize : {
        search_range_start : 0.7
        search_range_end : 1.3
        search_step : 0.01
        max_percentile : 0.999999
        min_percentile : 0.999999
    }
}
override_layer_types : {
    layer_type : "MatMul"
    calibration_config : {
        hfmg_quantize : {
            num_of_bins : 2048
            asymmetric : false
        }
    }
}
override_layer_configs : {
    layer_name : "layer1.inner"
    calibration_config : {
        arq_quantize : { channel_wise : false }
        ifmr_quantize : {
            search_range_start : 0.8
            search_range_end : 1.2
            search_step : 0.02
        }
    }
}
`

describe('recognising a form', () => {
  it.each([
    [JSON.stringify(defaultRecipe), 'recipe'],
    ['// mine\n{ "schema": "aqw.recipe/1" }', 'recipe'],
    ['{ "model_info": {}, "quantization_info": {} }', 'amct_tool'],
    [CONFIG, 'amct_json'],
    ['\uFEFF{ "conv1": { "quant_enable": true } }', 'amct_json'],
    [CFG, 'amct_cfg'],
    ['common_config: {}', 'amct_cfg'],
    ['{ "skip_layer": [] }', 'recipe'],
    ['', 'recipe'],
  ])('of %j', (text, form) => {
    expect(recognizeRecipe(text, 'file')).toBe(form)
  })

  it('says what to do with a record', () => {
    const error = failure(() => readRecipe('# scales\nrecord { key: "a" value {} }', 'record.txt'))
    expect(error.code).toBe('E_RECIPE_IS_RECORD')
    expect(error.hint).toContain('--record')
  })
})

describe("AMCT's config.json", () => {
  it('quantizes the layers it enables and leaves out those it does not list, as AMCT does', () => {
    const { recipe: made, form, notes } = readRecipe(CONFIG, 'config.json', amctModel())
    expect(form).toBe('amct_json')
    expect(made.skip_layers).toEqual(['layer1', 'fc'])
    expect(made.activation).toEqual({ method: 'ifmr' })
    const { chosen, kept } = selectLayers(amctModel(), made)
    expect(chosen.map((layer) => layer.name)).toEqual(['conv1', 'layer1.inner'])
    expect([...kept.values()].map((layer) => layer.name)).toEqual(['layer1', 'fc', 'scores'])
    expect(notes.map((note) => note.code)).toEqual(['batch_num'])
  })

  it('says the same without the model', () => {
    const { recipe: made } = readRecipe(CONFIG, 'config.json')
    expect(made.precision).toBe('float')
    expect(effect(made)).toEqual(effect(readRecipe(CONFIG, 'config.json', amctModel()).recipe))
  })

  it('reads every parameter', () => {
    const text = `{
      "activation_offset": false, "do_fusion": false, "skip_fusion_layers": ["conv1"],
      "conv1": { "quant_enable": true, "dmq_balancer_param": 0.3,
        "activation_quant_params": { "act_algo": "hfmg", "num_of_bins": 1024, "asymmetric": true },
        "weight_quant_params": { "wts_algo": "ada_quantize", "num_iteration": 500, "reg_param": 0.1,
          "beta_range": [20, 2], "warm_start": 0.3, "channel_wise": false } },
      "fc": { "quant_enable": true, "weight_quant_params": { "num_bits": 4 } },
      "pool": { "quant_enable": true } }`
    const { recipe: made, notes } = readRecipe(text, 'config.json', amctModel())
    expect(notes).toEqual([])
    expect(made.repair).toMatchObject({
      fold_batch_norm: false,
      skip_fold_layers: ['conv1'],
      balance: { method: 'dmq', strength: 0.3, layers: ['conv1'] },
      rounding: {
        method: 'adaround',
        iterations: 500,
        regularization: 0.1,
        beta_range: [20, 2],
        warm_start: 0.3,
        layers: ['conv1'],
      },
    })
    const { chosen, pools } = selectLayers(amctModel(), made)
    expect(chosen).toMatchObject([
      { name: 'conv1', observer: { method: 'hfmg', bins: 1024, symmetric: false }, weightMethod: 'kl' },
      { name: 'fc', observer: { method: 'ifmr', symmetric: true }, weightBits: 4 },
    ])
    expect(chosen[0]?.perChannelWeight).toBe(false)
    expect(pools).toMatchObject([{ name: 'pool', observer: { method: 'ifmr', symmetric: true } }])
  })

  it('tells which layer of the configuration cannot be quantized, and why', () => {
    const text = '{ "scores": { "quant_enable": true }, "relu1": { "quant_enable": true }, "fc": {} }'
    const { notes } = readRecipe(text, 'config.json', amctModel())
    expect(notes.map((note) => noteText(note))).toEqual([
      'scores (MatMul) stays in floating point: two dynamic inputs.',
      'relu1 (Relu) stays in floating point: operator type.',
    ])
  })

  it('notes what a recipe cannot say', () => {
    const text = `{ "joint_quant": true, "fakequant_precision_mode": "FORCE_FP16_QUANT",
      "tensor_quantize": [{ "layer_name": "add1", "input_index": 0 }],
      "conv1": { "quant_enable": true, "dmq_balancer_param": 0.4,
                 "weight_quant_params": { "wts_algo": "ada_quantize", "num_iteration": 0 } },
      "layer1": { "quant_enable": true, "dmq_balancer_param": 0.4 },
      "fc": { "quant_enable": true, "dmq_balancer_param": 0.6, "weight_quant_params": { "channel_wise": true } } }`
    const { recipe: made, notes } = readRecipe(text, 'config.json', amctModel())
    expect(notes.map((note) => note.code)).toEqual([
      'joint_quant',
      'fakequant_precision',
      'tensor_quantize',
      'channel_wise',
      'rounding_off',
      'balance_differs',
    ])
    expect(made.repair.balance).toMatchObject({ strength: 0.4, layers: ['conv1', 'layer1', 'fc'] })
  })

  it.each([
    ['"batch_num":2', '"batch_nun":2', 'E_JSON_UNKNOWN_KEY', 'batch_nun', 3],
    ['"quant_enable":true', '"quant_enabled":true', 'E_JSON_UNKNOWN_KEY', 'quant_enabled', 8],
    ['"max_percentile":0.999999', '"max_percentle":0.9', 'E_JSON_UNKNOWN_KEY', 'max_percentle', 11],
    ['"conv1":', '"layer1":', 'E_JSON_SYNTAX', undefined, 26],
    ['"version":1', '"version":2', 'E_JSON_VALUE', 'version', 2],
    ['"batch_num":2', '"batch_num":0', 'E_JSON_VALUE', 'batch_num', 3],
    [
      '"num_bits":8,\n            "wts',
      '"num_bits":6,\n            "wts',
      'E_JSON_VALUE',
      'conv1.weight_quant_params.num_bits',
      21,
    ],
    ['"num_bits":8', '"num_bits":16', 'E_JSON_VALUE', 'conv1.activation_quant_params.num_bits', 10],
    [
      '"act_algo":"ifmr"',
      '"act_algo":"hfmg"',
      'E_JSON_VALUE',
      'conv1.activation_quant_params.max_percentile',
      11,
    ],
    [
      '"search_step":0.01',
      '"search_step":0.7',
      'E_JSON_VALUE',
      'conv1.activation_quant_params.search_step',
      17,
    ],
    ['"channel_wise":true', '"warm_start":0.2', 'E_JSON_VALUE', 'conv1.weight_quant_params.warm_start', 23],
    [
      '"wts_algo":"arq_quantize"',
      '"wts_algo":"nuq_quantize"',
      'E_JSON_VALUE',
      'conv1.weight_quant_params.wts_algo',
      22,
    ],
  ])('refuses %j -> %j with line and key', (from, to, code, key, line) => {
    const error = failure(() => readRecipe(CONFIG.replace(from, to), 'config.json'))
    expect(error.code).toBe(code)
    if (key !== undefined) expect(error.details['key']).toBe(key)
    expect(error.details['line']).toBe(line)
  })

  it('says why INT6 is refused', () => {
    const text = '{ "conv1": { "quant_enable": true, "weight_quant_params": { "num_bits": 7 } } }'
    expect(failure(() => readRecipe(text, 'c')).hint).toContain('Winograd')
  })

  it('names the nearest layer for a name that the model does not have', () => {
    const error = failure(() => readRecipe(CONFIG.replace('"conv1"', '"conv2"'), 'config.json', amctModel()))
    expect(error.code).toBe('E_LAYER_UNKNOWN')
    expect(error.hint).toContain('conv1')
  })

  it('is written with every layer that can be quantized, sorted, every parameter spelt out', () => {
    const made = recipe({ activation: { method: 'ifmr' }, skip_layers: ['conv1'], fp16_layers: ['fc'] })
    const { text, notes } = writeRecipe(made, 'amct_json', { model: amctModel(), batchNum: 4 })
    const config = JSON.parse(text) as Record<string, unknown>
    expect(Object.keys(config)).toEqual([
      'version',
      'batch_num',
      'activation_offset',
      'do_fusion',
      'skip_fusion_layers',
      'conv1',
      'fc',
      'layer1',
      'layer1.inner',
      'pool',
    ])
    expect(config).toMatchObject({
      batch_num: 4,
      pool: { quant_enable: false },
      conv1: { quant_enable: false },
    })
    expect(config['layer1']).toEqual({
      quant_enable: true,
      activation_quant_params: {
        num_bits: 8,
        max_percentile: 0.999999,
        min_percentile: 0.999999,
        search_range: [0.7, 1.3],
        search_step: 0.01,
        act_algo: 'ifmr',
        asymmetric: true,
      },
      weight_quant_params: { num_bits: 8, channel_wise: true, wts_algo: 'arq_quantize' },
    })
    expect(notes.map((note) => note.code)).toEqual(['fp16_is_float'])
  })

  it('needs the model to be written', () => {
    expect(failure(() => writeRecipe(defaultRecipe, 'amct_json')).code).toBe('E_RECIPE_NEEDS_MODEL')
  })
})

describe("AMCT's simplified configuration", () => {
  it('keeps the order of precedence: layer, type, common', () => {
    const { recipe: made, notes } = readRecipe(CFG, 'quant.cfg', amctModel())
    expect(made.skip_layers).toEqual(['conv1'])
    expect(made.skip_op_types).toEqual(['AveragePool'])
    expect(made.repair).toMatchObject({ fold_batch_norm: false, skip_fold_layers: ['layer1'] })
    expect(notes.map((note) => note.code)).toEqual(['batch_num'])
    const { chosen } = selectLayers(amctModel(), made)
    expect(chosen).toMatchObject([
      { name: 'layer1', observer: { method: 'ifmr', symmetric: false }, perChannelWeight: true },
      {
        name: 'layer1.inner',
        observer: { method: 'ifmr', ifmr: { searchRange: [0.8, 1.2], searchStep: 0.02 } },
        perChannelWeight: false,
      },
      { name: 'fc', observer: { method: 'hfmg', bins: 2048, symmetric: true } },
    ])
  })

  it('quantizes average pooling unless told not to, as AMCT does', () => {
    const { recipe: made } = readRecipe('batch_num: 1', 'quant.cfg', amctModel())
    expect(selectLayers(amctModel(), made).pools).toHaveLength(1)
  })

  it('lets an override inherit only the symmetry of common_config, for the same algorithm', () => {
    const text = (algorithm: string): string => `
      activation_offset: true
      common_config { ifmr_quantize { asymmetric: false search_step: 0.02 } }
      override_layer_configs { layer_name: "fc" calibration_config { ${algorithm} {} } }`
    const observer = (algorithm: string): unknown => {
      const { recipe: made } = readRecipe(text(algorithm), 'quant.cfg', amctModel())
      return selectLayers(amctModel(), made).chosen.find((layer) => layer.name === 'fc')?.observer
    }
    expect(observer('ifmr_quantize')).toMatchObject({ symmetric: true, ifmr: { searchStep: 0.01 } })
    expect(observer('hfmg_quantize')).toMatchObject({ method: 'hfmg', symmetric: false })
  })

  it('finds the layers of AdaRound and of the balancer by type when there is a model', () => {
    const text = `
      common_config { ada_quantize { num_iteration: 50 } dmq_balancer { migration_strength: 0.3 } }
      override_layer_types { layer_type: "Linear" calibration_config { arq_quantize {} } }`
    const { recipe: made } = readRecipe(text, 'quant.cfg', amctModel())
    const convolutions = ['conv1', 'layer1', 'layer1.inner']
    expect(made.repair.rounding).toMatchObject({ method: 'adaround', iterations: 50, layers: convolutions })
    expect(made.repair.balance).toEqual({ method: 'dmq', strength: 0.3, layers: convolutions })
    const { notes } = readRecipe(text, 'quant.cfg')
    expect(notes.map((note) => note.code)).toContain('rounding_everywhere')
  })

  it('takes the older fields for convolutions and the rest', () => {
    const text = `
      conv_calibration_config { ifmr_quantize { search_step: 0.02 } }
      fc_calibration_config { hfmg_quantize {} }`
    const { chosen } = selectLayers(amctModel(), readRecipe(text, 'quant.cfg', amctModel()).recipe)
    expect(chosen.map((layer) => layer.observer.method)).toEqual(['ifmr', 'ifmr', 'ifmr', 'hfmg'])
  })

  it.each([
    ['skip_layers : "conv1"', 'skip_layer : "conv1"', 'E_AMCT_CFG_FIELD', 6],
    ['channel_wise : true', 'chanel_wise : true', 'E_AMCT_CFG_FIELD', 12],
    ['search_step : 0.01', 'search_step : 1', 'E_AMCT_CFG_VALUE', 17],
    ['search_range_end : 1.3', 'search_range_end : "1.3"', 'E_AMCT_CFG_VALUE', 16],
    ['batch_num : 2', 'batch_num : 0', 'E_AMCT_CFG_VALUE', 3],
    ['batch_num : 2', 'batch_num : 2 batch_num : 3', 'E_AMCT_CFG_VALUE', 3],
    ['skip_layers : "conv1"', 'skip_layers : "conv1" skip_layers: "conv1"', 'E_AMCT_CFG_VALUE', 6],
    ['num_of_bins : 2048', 'num_of_bins : 2000', 'E_AMCT_CFG_VALUE', 26],
    ['layer_type : "MatMul"', '', 'E_AMCT_CFG_VALUE', 22],
    ['do_fusion: false', 'do_fusion: no', 'E_AMCT_CFG_VALUE', 8],
    ['joint_quant : false', 'nuq_config { mapping_file: "a.json" }', 'E_AMCT_UNSUPPORTED', 5],
    ['channel_wise : true', 'quant_bits : 7', 'E_AMCT_UNSUPPORTED', 12],
    ['channel_wise : true', 'asymmetric: true', 'E_AMCT_UNSUPPORTED', 12],
    ['min_percentile : 0.999999', 'dst_type : INT16', 'E_AMCT_UNSUPPORTED', 19],
    ['common_config : {', 'common_config : { weight_compress_only: true', 'E_AMCT_UNSUPPORTED', 10],
    ['common_config : {', 'common_config : ', 'E_AMCT_CFG_SYNTAX', 11],
  ])('refuses %j -> %j with its line', (from, to, code, line) => {
    const error = failure(() => readRecipe(CFG.replace(from, to), 'quant.cfg'))
    expect([error.code, error.details['line']]).toEqual([code, line])
    expect(error.message).toContain(`quant.cfg:${line}`)
  })

  it('names the known fields nearest to a misspelt one', () => {
    const error = failure(() => readRecipe(CFG.replace('skip_layers', 'skip_layer'), 'quant.cfg'))
    expect(error.hint).toContain('skip_layers')
  })

  it('refuses configurations for other purposes', () => {
    const error = failure(() => readRecipe('kv_cache_quant_config { }', 'q.cfg'))
    expect(error.code).toBe('E_AMCT_UNSUPPORTED')
  })

  it('is written without wildcards, layer by layer, when the model is known', () => {
    const made = recipe({ skip_layers: ['layer1*'], overrides: [{ layer: 'fc', precision: 'w4a8' }] })
    const { text } = writeRecipe(made, 'amct_cfg', { model: amctModel() })
    expect(text).toContain('skip_layers: "layer1"\nskip_layers: "layer1.inner"\nskip_layers: "pool"\n')
    expect(text).toContain('quant_bits: 4')
    const { notes } = writeRecipe(made, 'amct_cfg')
    expect(notes.map((note) => note.code)).toContain('wildcard')
  })
})

describe('round trips', () => {
  const cases: [string, object][] = [
    ['min_max', {}],
    ['max_abs', { activation: { method: 'max_abs' } }],
    [
      'IFMR with parameters',
      {
        activation: {
          method: 'ifmr',
          symmetric: true,
          search_range: [0.5, 1.5],
          search_step: 0.05,
          max_percentile: 0.9999,
        },
      },
    ],
    ['HFMG', { activation: { method: 'hfmg', bins: 1024 } }],
    ['INT4', { precision: 'w4a8' }],
    ['skips', { skip_layers: ['conv1'], skip_op_types: ['MatMul'] }],
    ['pooling', { op_types: [{ op_type: 'AveragePool', precision: 'int8' }] }],
    [
      'types',
      { op_types: [{ op_type: 'Conv', activation: { method: 'hfmg' }, weight: { per_channel: false } }] },
    ],
    [
      'overrides',
      {
        skip_layers: ['layer1'],
        overrides: [
          { layer: 'layer1.inner', precision: 'int8', activation: { method: 'ifmr' } },
          { layer: 'fc', precision: 'float' },
        ],
      },
    ],
  ]

  it.each(cases)('config.json says all of %s', (_title, parts) => {
    const written = writeRecipe(recipe(parts), 'amct_json', { model: amctModel() })
    const back = readRecipe(written.text, 'config.json', amctModel()).recipe
    expect(effect(back)).toEqual(effect(recipe(parts)))
  })

  it.each(cases)('the simplified configuration says all of %s', (_title, parts) => {
    const written = writeRecipe(recipe(parts), 'amct_cfg', { model: amctModel() })
    const back = readRecipe(written.text, 'quant.cfg', amctModel()).recipe
    expect(effect(back)).toEqual(effect(recipe(parts)))
    const unseen = writeRecipe(recipe(parts), 'amct_cfg')
    expect(effect(readRecipe(unseen.text, 'quant.cfg', amctModel()).recipe)).toEqual(effect(recipe(parts)))
  })

  it('AdaRound and the balancer survive both', () => {
    const made = recipe({
      weight: { method: 'kl' },
      repair: {
        balance: { strength: 0.3, layers: ['fc'] },
        rounding: { method: 'adaround', iterations: 100, warm_start: 0.25 },
      },
    })
    for (const form of ['amct_json', 'amct_cfg'] as const) {
      const { text } = writeRecipe(made, form, { model: amctModel() })
      const { repair } = readRecipe(text, 'file', amctModel()).recipe
      expect(repair.balance).toEqual({ method: 'dmq', strength: 0.3, layers: ['fc'] })
      expect(repair.rounding).toMatchObject({ method: 'adaround', iterations: 100, warm_start: 0.25 })
    }
  })

  it('what AMCT cannot say is noted, in both languages', () => {
    const made = recipe({
      name: 'mine',
      activation: { method: 'mse' },
      weight: { method: 'mse' },
      overrides: [
        { layer: 'fc', precision: 'w8a16' },
        { layer: 'conv1', activation: { method: 'percentile' } },
      ],
      repair: {
        equalize: true,
        bias_correction: true,
        rounding: { method: 'gptq' },
        balance: { method: 'smoothquant' },
      },
    })
    const { notes } = writeRecipe(made, 'amct_json', { model: amctModel() })
    expect(notes.map((note) => note.code)).toEqual([
      'name_lost',
      'method_unknown',
      'method_percentile',
      'weight_method_unknown',
      'smoothquant_is_dmq',
      'repair_unknown',
      'repair_unknown',
      'repair_unknown',
      'weight_only',
    ])
    for (const note of notes) {
      expect(noteText(note)).not.toMatch(/\{\w+\}/)
      expect(noteText(note, 'zh')).toMatch(/[\u4e00-\u9fff]/)
    }
  })

  it('amct_config.json is read back as it was written', () => {
    const made = recipe({ activation: { method: 'max_abs' }, skip_layers: ['conv1'], fp16_layers: ['fc'] })
    const { text } = writeRecipe(made, 'amct_tool', { modelPath: './m.onnx', inputShapes: { x: [1, 4] } })
    const { form, recipe: back, tool } = readRecipe(text, 'amct_config.json')
    expect(form).toBe('amct_tool')
    expect(tool?.model).toMatchObject({ path: './m.onnx', inputShapes: { x: [1, 4] } })
    expect(effect(back)).toEqual(effect(made))
  })

  it('of random layer configurations: what is written is what was read', () => {
    const layer = fc.record({
      quant_enable: fc.boolean(),
      activation_quant_params: fc.oneof(
        fc.record(
          {
            max_percentile: fc.constantFrom(0.9, 0.999999, 1),
            search_range: fc.constantFrom([0.7, 1.3], [0.5, 1.1], [1, 1.0625]),
            search_step: fc.constantFrom(0.01, 0.0625),
            asymmetric: fc.boolean(),
          },
          { requiredKeys: [] },
        ),
        fc.record({ act_algo: fc.constant('hfmg'), num_of_bins: fc.constantFrom(1024, 8192) }),
      ),
      weight_quant_params: fc.record(
        { num_bits: fc.constantFrom(4, 8), channel_wise: fc.boolean() },
        { requiredKeys: [] },
      ),
    })
    const names = ['conv1', 'layer1', 'layer1.inner', 'fc', 'pool']
    const config = fc.record(Object.fromEntries(names.map((name) => [name, layer])), {
      requiredKeys: ['conv1'],
    })
    fc.assert(
      fc.property(config, fc.boolean(), (layers, activation_offset) => {
        const text = JSON.stringify({ activation_offset, ...layers })
        const read = readRecipe(text, 'config.json', amctModel()).recipe
        const unseen = readRecipe(text, 'config.json').recipe
        expect(effect(unseen)).toEqual(effect(read))
        for (const form of ['amct_json', 'amct_cfg'] as const) {
          const again = writeRecipe(read, form, { model: amctModel() }).text
          expect(effect(readRecipe(again, 'file', amctModel()).recipe)).toEqual(effect(read))
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('arbitrary files', () => {
  const words = fc.constantFrom(
    '{', '}', '[', ']', ':', ',', '"a"', '"quant_enable"', 'true', '1', '0.5', '-1', '\n', '#', '//',
    'common_config', 'override_layer_configs', 'calibration_config', 'layer_name', 'ifmr_quantize', 'skip_layers',
    'arq_quantize', 'batch_num', '"__proto__"', 'nan',
  ) // prettier-ignore

  it('are read or refused by our own errors', () => {
    const text = fc.oneof(
      fc.string(),
      fc.array(words, { maxLength: 40 }).map((parts) => parts.join(' ')),
      fc.array(words, { maxLength: 40 }).map((parts) => `{ "conv1" : { ${parts.join(' ')} } }`),
      fc.array(words, { maxLength: 30 }).map((parts) => `common_config { ${parts.join(' ')} }`),
    )
    fc.assert(
      fc.property(text, (source) => {
        try {
          readRecipe(source, 'file')
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('with damage anywhere in a valid one likewise', () => {
    const damaged = fc
      .tuple(fc.constantFrom(CONFIG, CFG), fc.nat(), fc.nat({ max: 5 }), fc.string({ maxLength: 4 }))
      .map(([source, position, length, patch]) => {
        const start = position % source.length
        return source.slice(0, start) + patch + source.slice(start + length)
      })
    fc.assert(
      fc.property(damaged, (source) => {
        try {
          readRecipe(source, 'file')
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
        }
      }),
      { numRuns: 300 },
    )
  })
})
