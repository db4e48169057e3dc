// Editing a recipe: patterns, decisions, rules, parameters, presets and the JSON text.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PresetProposal } from '../../../contract/presets.ts'
import {
  activationMethodSchema,
  activationSchema,
  defaultRecipe,
  layerPrecisionSchema,
  METHOD_PARAMETERS,
  recipeSchema,
  repairSchema,
  type Recipe,
} from '../../../contract/recipe.ts'
import type { LayerRow } from '../../../contract/workspace.ts'
import { lineRange, parseRecipeText, recipeText } from '../../../renderer/pages/quantize/json.ts'
import { layerLines } from '../../../renderer/pages/quantize/lines.ts'
import {
  binCounts,
  checkActivation,
  checkRepair,
  hasSymmetry,
  numberParameters,
  readNumber,
  withMethod,
  withParameter,
  withRounding,
} from '../../../renderer/pages/quantize/parameters.ts'
import { layersOf, PatternIndex, writtenName } from '../../../renderer/pages/quantize/patterns.ts'
import {
  addedEntries,
  changedParts,
  groupProposals,
  withPreset,
} from '../../../renderer/pages/quantize/presets.ts'
import { decider, withInt4Weights, withLayerPrecision } from '../../../renderer/pages/quantize/recipe.ts'
import {
  ruleRows,
  tableRows,
  withChangedRule,
  withMovedRule,
  withNewRule,
  withoutRule,
  type Rule,
} from '../../../renderer/pages/quantize/rules.ts'
import { matchesWildcard } from '../../../renderer/format/search.ts'

const layer = (name: string, patch: Partial<LayerRow> = {}): LayerRow => ({
  index: 0,
  name,
  opType: 'Conv',
  modulePath: null,
  weight: null,
  weightDims: null,
  parameters: 0,
  weightBytes: 0,
  quantizable: true,
  ...patch,
})
const named = (path: string, opType = 'Conv'): LayerRow =>
  layer(`/${path.replaceAll('.', '/')}/${opType}`, {
    modulePath: path,
    weight: `${path}.weight`,
    opType,
  })

const conv = named('unet.down.conv')
const query = named('unet.mid.attn.to_q', 'MatMul')
const scores = layer('/unet/mid/attn/MatMul', { modulePath: 'unet.mid.attn', opType: 'MatMul' })
const recipe = (patch: Partial<Recipe>): Recipe => ({ ...defaultRecipe, ...patch })
const decide = (wanted: Recipe, of: LayerRow) => decider(wanted)(of)

describe('patterns', () => {
  it('name a node, a module with everything inside it, or a weight', () => {
    for (const pattern of [
      'unet.down.conv',
      'unet.down',
      'unet',
      'unet.down.conv.weight',
      conv.name,
      '*conv*',
    ]) {
      expect(layersOf(pattern, [conv]), pattern).toEqual([conv])
    }
    for (const pattern of ['unet.dow', 'down.conv', 'unet.down.conv.bias', '/unet/down']) {
      expect(layersOf(pattern, [conv]), pattern).toEqual([])
    }
  })

  it('prepared together decide like one by one', () => {
    const part = fc.constantFrom('unet', 'mid', 'conv', 'a', '*')
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'))
    const plain = path.map((text) => text.replaceAll('*', 'b'))
    fc.assert(
      fc.property(fc.array(path, { maxLength: 8 }), plain, (patterns, module) => {
        const row = named(module)
        const names = [row.name, module, `${module}.weight`]
        const expected = patterns.flatMap((pattern, index) => {
          const hit = pattern.includes('*')
            ? names.some((name) => matchesWildcard(pattern, name))
            : names.includes(pattern) || `${module}.weight`.startsWith(`${pattern}.`)
          return hit ? [index] : []
        })
        expect(new PatternIndex(patterns).matches(row)).toEqual(expected)
      }),
    )
  })

  it('write a layer by its module only where the module is this one layer', () => {
    expect(writtenName(conv)).toBe('unet.down.conv')
    // The module of the scores holds the query projection too.
    expect(writtenName(scores)).toBe('/unet/mid/attn/MatMul')
    expect(layersOf(writtenName(scores), [query, scores])).toEqual([scores])
  })
})

describe('what a recipe decides for a layer', () => {
  it('takes the later of the lists, and rules by layer over all', () => {
    expect(decide(recipe({}), conv)).toEqual({ precision: 'int8', by: 'default', pattern: null })
    expect(decide(recipe({ precision: 'w8a16' }), conv).precision).toBe('w8a16')
    const op_types = [{ op_type: 'Conv', precision: 'w4a8' as const }]
    expect(decide(recipe({ op_types }), conv)).toEqual({ precision: 'w4a8', by: 'op-type', pattern: 'Conv' })
    expect(decide(recipe({ op_types }), query).by).toBe('default')
    const skip = { op_types, skip_layers: ['unet.down.conv.weight'] }
    expect(decide(recipe(skip), conv)).toMatchObject({ precision: 'float', by: 'skip' })
    expect(decide(recipe({ skip_op_types: ['Conv'] }), conv).by).toBe('skip-type')
    expect(decide(recipe({ skip_op_types: ['Conv'], op_types }), conv).by).toBe('op-type')
    expect(decide(recipe({ ...skip, fp16_layers: ['*conv'] }), conv)).toMatchObject({
      precision: 'fp16',
      by: 'fp16',
      pattern: '*conv',
    })
    const overrides = [
      { layer: 'unet.*', precision: 'fp16' as const },
      { layer: conv.name, precision: 'int8' as const },
    ]
    expect(decide(recipe({ ...skip, overrides }), conv)).toMatchObject({ precision: 'int8', by: 'layer' })
    expect(decide(recipe({ overrides: overrides.toReversed() }), conv)).toMatchObject({
      precision: 'fp16',
      by: 'rule',
      pattern: 'unet.*',
    })
  })

  it('passes over rules that leave the precision open', () => {
    const open = recipe({
      op_types: [{ op_type: 'Conv', weight: { method: 'mse' } }],
      overrides: [{ layer: 'unet.*', activation: { method: 'mse' } }],
    })
    expect(decide(open, conv).by).toBe('default')
  })

  it('sets many layers, keeps rules before them, and takes them back without a trace', () => {
    const ruled = withNewRule(defaultRecipe, {
      scope: 'layer',
      target: 'unet.*',
      settings: { precision: 'fp16' },
    })
    const set = withLayerPrecision(ruled, [conv, query], 'w4a8')
    for (const row of [conv, query])
      expect(decide(set, row)).toMatchObject({ precision: 'w4a8', by: 'layer' })
    expect(decide(set, scores).by).toBe('rule')
    expect(withLayerPrecision(set, [conv, query], null)).toEqual(ruled)
    expect(recipeSchema.safeParse(set).success).toBe(true)
  })

  it('keeps what else an override says when its precision goes', () => {
    const overrides = [
      { layer: 'unet.down.conv', precision: 'fp16' as const, weight: { per_channel: false } },
    ]
    expect(withLayerPrecision(recipe({ overrides }), [conv], null).overrides).toEqual([
      { layer: 'unet.down.conv', weight: { per_channel: false } },
    ])
  })

  it('gives INT4 weights without touching the kind of activations', () => {
    expect(layerPrecisionSchema.options.map(withInt4Weights)).toEqual([
      'w4a8',
      'w4a8',
      'w4a16',
      'w4a16',
      'w4a8',
      'w4a8',
    ])
  })
})

describe('lines of the layer table', () => {
  const check = (patch: object) => ({
    layers: [
      {
        name: conv.name,
        opType: 'Conv',
        quantized: true,
        reason: null,
        precision: 'int8' as const,
        fallback: null,
        ...patch,
      },
    ],
    problems: [],
    counts: { quantized: 1, kept: 0 },
  })

  it('show the decision until the engine has answered', () => {
    const [line] = layerLines(recipe({ precision: 'w4a16' }), [conv], null)
    expect(line).toMatchObject({ quantized: true, becomes: 'w4a16', fallback: null })
    expect(layerLines(recipe({ skip_layers: ['unet.down'] }), [conv], null)[0]).toMatchObject({
      quantized: false,
      becomes: 'float',
    })
  })

  it('show what the engine makes of it, with the reason', () => {
    const kept = check({ quantized: false, reason: 'weight_rank', precision: 'float' })
    expect(layerLines(defaultRecipe, [conv], kept)[0]).toMatchObject({
      quantized: false,
      becomes: 'float',
      reason: 'weight_rank',
    })
    const narrower = check({ precision: 'int8', fallback: { wanted: 'w4a8', reason: 'int4_odd_channels' } })
    expect(layerLines(recipe({ precision: 'w4a8' }), [conv], narrower)[0]).toMatchObject({
      becomes: 'int8',
      fallback: { wanted: 'w4a8', reason: 'int4_odd_channels' },
    })
  })
})

describe('rules', () => {
  const byType: Rule = { scope: 'op_type', target: 'MatMul', settings: { precision: 'w8a16' } }
  const wild: Rule = { scope: 'layer', target: 'unet.*', settings: { precision: 'fp16' } }
  const single: Rule = { scope: 'layer', target: 'unet.down.conv', settings: { weight: { method: 'mse' } } }
  const all = [single, wild, byType].reduce(withNewRule, defaultRecipe)

  it('stand in the order in which they win, whatever the order of adding', () => {
    const rows = ruleRows(all, [conv, query, scores])
    expect(rows.map((row) => [row.scope, row.target, row.matches])).toEqual([
      ['op_type', 'MatMul', 2],
      ['layer', 'unet.*', 3],
      ['layer', 'unet.down.conv', 1],
    ])
    expect(recipeSchema.parse(all)).toEqual(all)
  })

  it('stand in one table with the lists, each where it wins', () => {
    const listed = { ...all, skip_op_types: ['Gemm'], skip_layers: ['unet.mid'], fp16_layers: ['unet.down'] }
    const rows = tableRows(listed, [conv, query, scores])
    expect(rows.map((row) => [row.scope === 'list' ? row.list : row.scope, row.matches])).toEqual([
      ['common', 3],
      ['skip_op_types', 0],
      ['op_type', 2],
      ['skip_layers', 2],
      ['fp16_layers', 1],
      ['layer', 3],
      ['layer', 1],
    ])
    expect(tableRows(defaultRecipe, [conv])).toEqual([{ scope: 'common', matches: 1 }])
  })

  it('move within their scope and never out of it', () => {
    const moved = withMovedRule(all, { scope: 'layer', index: 0 }, 1)
    expect(moved?.overrides.map((entry) => entry.layer)).toEqual(['unet.down.conv', 'unet.*'])
    expect(withMovedRule(all, { scope: 'layer', index: 0 }, -1)).toBeNull()
    expect(withMovedRule(all, { scope: 'op_type', index: 0 }, 1)).toBeNull()
  })

  it('change in place, change their scope, and go', () => {
    const changed = withChangedRule(
      all,
      { scope: 'layer', index: 0 },
      { ...wild, settings: { precision: 'w4a8' } },
    )
    expect(changed.overrides[0]).toEqual({ layer: 'unet.*', precision: 'w4a8' })
    const turned = withChangedRule(all, { scope: 'layer', index: 0 }, { ...byType, target: 'Conv' })
    expect(turned.overrides.map((entry) => entry.layer)).toEqual(['unet.down.conv'])
    expect(turned.op_types.map((entry) => entry.op_type)).toEqual(['MatMul', 'Conv'])
    const gone = withoutRule(
      withoutRule(withoutRule(all, { scope: 'op_type', index: 0 }), { scope: 'layer', index: 1 }),
      {
        scope: 'layer',
        index: 0,
      },
    )
    expect(gone).toEqual(defaultRecipe)
  })
})

describe('parameters of range methods', () => {
  it('are offered exactly where the schema takes them', () => {
    for (const method of activationMethodSchema.options) {
      const offered = [
        ...numberParameters(method).map((entry) => entry.name as string),
        ...(binCounts(method).counts.length > 0 ? ['bins'] : []),
        ...(hasSymmetry(method) || method === 'max_abs' ? ['symmetric'] : []),
      ]
      const known = METHOD_PARAMETERS[method].filter((name) => name !== 'search_range')
      expect(offered.toSorted(), method).toEqual([...known].toSorted())
      for (const { name, fallback } of numberParameters(method)) {
        expect(checkActivation({ method, [name]: fallback }), `${method} ${name}`).toBeNull()
      }
      for (const bins of binCounts(method).counts) expect(checkActivation({ method, bins })).toBeNull()
    }
    expect(binCounts('hfmg').counts).not.toContain(16384)
  })

  it('stay with another method only where it takes them', () => {
    const percentile = withParameter({ method: 'percentile', bins: 2048 }, 'percentile', 99.9)
    expect(withMethod(percentile, 'auto')).toEqual({ method: 'auto', bins: 2048, percentile: 99.9 })
    expect(withMethod(percentile, 'kl')).toEqual({ method: 'kl', bins: 2048 })
    expect(withMethod({ method: 'mse', bins: 16384 }, 'hfmg')).toEqual({ method: 'hfmg' })
    expect(withMethod({ method: 'min_max', symmetric: false }, 'max_abs')).toEqual({ method: 'max_abs' })
    expect(withParameter(percentile, 'bins', undefined)).toEqual({ method: 'percentile', percentile: 99.9 })
  })

  it('never make a recipe that the schema refuses by changing the method', () => {
    const method = fc.constantFrom(...activationMethodSchema.options)
    fc.assert(
      fc.property(method, method, (from, to) => {
        const numbers = Object.fromEntries(
          numberParameters(from).map(({ name, fallback }) => [name, fallback]),
        )
        const settings = activationSchema.parse({ method: from, ...numbers })
        expect(activationSchema.safeParse(withMethod(settings, to)).success).toBe(true)
      }),
    )
  })

  it('say what is wrong in terms that can be translated', () => {
    expect(checkActivation({ method: 'percentile', percentile: 101 })).toEqual({
      key: 'atMost',
      values: { limit: 100 },
    })
    expect(checkActivation({ method: 'percentile', percentile: 50 })).toEqual({
      key: 'above',
      values: { limit: 50 },
    })
    expect(checkActivation({ method: 'ifmr', search_range: [1.3, 0.7] })?.key).toBe('search_range')
    expect(checkActivation({ method: 'ifmr', search_step: 2 })?.key).toBe('search_step')
    const repair = repairSchema.parse({ rounding: { method: 'gptq' } })
    expect(checkRepair(repair)).toBeNull()
    expect(
      checkRepair({ ...repair, rounding: { method: 'gptq', dampening: 0.01, block_size: 1.5 } })?.key,
    ).toBe('integer')
  })

  it('of rounding come with their defaults and keep the layers', () => {
    const gptq = withRounding({ method: 'nearest' }, 'gptq')
    expect(gptq).toEqual({ method: 'gptq', dampening: 0.01, block_size: 128 })
    const some = withRounding({ ...gptq, layers: ['unet.*'] } as typeof gptq, 'adaround')
    expect(some).toMatchObject({ method: 'adaround', iterations: 10_000, layers: ['unet.*'] })
    expect(withRounding(some, 'nearest')).toEqual({ method: 'nearest' })
  })

  it('are read from text: nothing is the default, a word is refused', () => {
    expect(readNumber(' ')).toEqual({ value: undefined })
    expect(readNumber(' 99.9 ')).toEqual({ value: 99.9 })
    expect(readNumber('1e-3')).toEqual({ value: 0.001 })
    for (const text of ['a lot', 'NaN', 'Infinity', '1,5']) expect(readNumber(text), text).toBeNull()
  })
})

describe('presets', () => {
  const preset = recipe({
    activation: { method: 'auto' },
    fp16_layers: ['unet.time_embedding'],
    overrides: [{ layer: 'unet.up.*', precision: 'w8a16' }],
  })
  const own = recipe({
    name: 'mine',
    fp16_layers: ['unet.conv_in', 'unet.time_embedding'],
    overrides: [{ layer: 'unet.up.conv', precision: 'int8' }],
  })

  it('bring their settings, unite lists, and stand before the rules a person made', () => {
    const merged = withPreset(own, preset)
    expect(merged).toMatchObject({ name: 'mine', activation: { method: 'auto' } })
    expect(merged.fp16_layers).toEqual(['unet.time_embedding', 'unet.conv_in'])
    expect(merged.overrides.map((entry) => entry.layer)).toEqual(['unet.up.*', 'unet.up.conv'])
    expect(decide(merged, named('unet.up.conv'))).toMatchObject({ precision: 'int8', by: 'layer' })
    expect(changedParts(own, merged)).toEqual(['activation'])
    expect(addedEntries(own, merged)).toBe(1)
  })

  it('change nothing the second time', () => {
    const merged = withPreset(own, preset)
    expect(withPreset(merged, preset)).toEqual(merged)
  })

  it('are shown by role, precision and reason without losing a layer', () => {
    const reason = (en: string) => ({ en, zh: en })
    const proposal = (name: string, role: PresetProposal['role'], why: string): PresetProposal => ({
      layer: name,
      opType: 'Conv',
      role,
      precision: 'fp16',
      fixed: false,
      reason: reason(why),
    })
    const groups = groupProposals([
      proposal('a', 'skip_convolution', 'two ranges'),
      proposal('b', 'output_convolution', 'last'),
      proposal('c', 'skip_convolution', 'two ranges'),
    ])
    expect(groups.map((group) => [group.role, group.layers])).toEqual([
      ['skip_convolution', ['a', 'c']],
      ['output_convolution', ['b']],
    ])
  })
})

describe('the JSON text', () => {
  it('survives the way there and back', () => {
    const edited = withLayerPrecision(
      recipe({ repair: repairSchema.parse({ balance: {}, rounding: { method: 'adaround' } }) }),
      [conv],
      'w4a16',
    )
    expect(parseRecipeText(recipeText(edited))).toEqual({ ok: true, recipe: edited })
  })

  it('may hold comments', () => {
    expect(parseRecipeText('{ // mine\n"schema": "aqw.recipe/1" /* ours */ }').ok).toBe(true)
  })

  it.each([
    ['{\n  "schema": "aqw.recipe/1",\n  "activatoin": {}\n}', 3, 'activatoin'],
    [
      '{\n  "schema": "aqw.recipe/1",\n  "activation": {\n    "method": "percentile",\n    "percentile": 400\n  }\n}',
      5,
      'activation.percentile',
    ],
    [
      '{\n  "schema": "aqw.recipe/1",\n  "overrides": [\n    { "layer": "a", "precision": "int9" }\n  ]\n}',
      4,
      'overrides[0].precision',
    ],
    [
      '{\n  "schema": "aqw.recipe/1",\n  "repair": {\n    "balance": { "strength": 0.9 }\n  }\n}',
      4,
      'repair.balance.strength',
    ],
    ['{\n  "schema": "aqw.recipe/1"\n  "name": "x"\n}', 3, ''],
    ['', 1, ''],
  ])('names line and key of a mistake: %j', (text, line, key) => {
    const parsed = parseRecipeText(text)
    expect(parsed.ok ? [] : parsed.problems.map((problem) => [problem.line, problem.key])).toEqual([
      [line, key],
    ])
  })

  it('is never a reason to throw', () => {
    fc.assert(fc.property(fc.string(), (text) => !parseRecipeText(text).ok))
    fc.assert(fc.property(fc.json(), (text) => typeof parseRecipeText(text).ok === 'boolean'))
    expect(parseRecipeText('['.repeat(100_000)).ok).toBe(false)
  })

  it('selects the line that is asked for', () => {
    const text = 'one\ntwo\n\nfour'
    const lines = [1, 2, 3, 4, 9].map((line) => {
      const { start, end } = lineRange(text, line)
      return text.slice(start, end)
    })
    expect(lines).toEqual(['one', 'two', '', 'four', 'four'])
  })
})
