// What the calibration page computes: gains, the meter, overrides for a recipe, charts, figures; and the deploy check's choices.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CalibrationSample, MethodResult, TensorReport } from '../../../contract/calibration.ts'
import {
  activationMethodSchema,
  activationSchema,
  METHOD_PARAMETERS,
  recipeSchema,
  type Recipe,
} from '../../../contract/recipe.ts'
import { calibrateJobRequestSchema } from '../../../contract/workspace.ts'
import type { ChartPalette } from '../../../renderer/charts/palette.ts'
import { sampleFields } from '../../../renderer/format/samples.ts'
import {
  channelBars,
  clipHistogram,
  histogramSteps,
  measureOf,
  rangeBars,
  sampleBars,
} from '../../../renderer/pages/calibration/charts.ts'
import { formatFigure, formatShare } from '../../../renderer/pages/calibration/figures.ts'
import {
  bestMethod,
  channelsOfBar,
  comparedMethods,
  coverageShares,
  extendingSamples,
  gainDb,
  layersOfTensor,
  methodKey,
  outlierBars,
  overrideFor,
  rowKey,
  shortLayer,
  usesMethod,
  verdictTone,
  worstRow,
} from '../../../renderer/pages/calibration/report.ts'
import { severityTone, socChoices } from '../../../renderer/pages/models/lint.ts'
import { convertedPath, convertibleTo } from '../../../renderer/pages/models/summary.ts'
import type { LayerNames } from '../../../renderer/pages/quantize/patterns.ts'
import { layerActivation, withLayerActivation } from '../../../renderer/pages/quantize/recipe.ts'

const palette: ChartPalette = {
  series: ['#0', '#1', '#2', '#3', '#4', '#5'],
  ink: 'ink',
  ink2: 'ink2',
  ink3: 'ink3',
  line: 'line',
  pane: 'pane',
  accent: 'accent',
  font: 'font',
  mono: 'mono',
}

function method(
  name: MethodResult['method'],
  sqnr: number | null,
  more: Partial<MethodResult> = {},
): MethodResult {
  return {
    method: name,
    percentile: null,
    min: -1,
    max: 1,
    scale: 2 / 255,
    offset: 0,
    sqnr_db: sqnr,
    clipped: 0,
    ...more,
  }
}

const conv: LayerNames = {
  name: '/unet/mid/conv/Conv',
  modulePath: 'unet.mid.conv',
  weight: 'unet.mid.conv.weight',
  opType: 'Conv',
}
const matmul: LayerNames = {
  name: '/unet/out/MatMul',
  modulePath: 'unet.out',
  weight: 'm.7',
  opType: 'MatMul',
}

function recipe(more: object = {}): Recipe {
  return recipeSchema.parse({ schema: 'aqw.recipe/1', ...more })
}

describe('methods of a tensor', () => {
  it('the best has the highest SQNR, and none beats one without error', () => {
    const methods = [method('min_max', 20), method('mse', 24), method('kl', 24)]
    expect(bestMethod(methods)?.method).toBe('mse')
    expect(bestMethod([...methods, method('hfmg', null)])?.method).toBe('hfmg')
    expect(bestMethod([])).toBeNull()
  })

  it('the worst row has the lowest SQNR; one without error is never it while another has some', () => {
    const row = (sqnr: number | null) => ({ chosen: method('min_max', sqnr) })
    const rows = [row(null), row(30), row(20), row(20)]
    expect(worstRow(rows)).toBe(rows[2])
    expect(worstRow([])).toBeNull()
  })

  it('the gain is never negative; without error there is nothing to gain', () => {
    const row = (chosen: number | null, best: number | null) =>
      gainDb({ chosen: method('min_max', chosen), best: { method: 'mse', sqnr_db: best } })
    expect(row(20, 23.5)).toBe(3.5)
    expect(row(24, 23)).toBe(0)
    expect(row(null, 40)).toBe(0)
    expect(row(20, null)).toBeNull()
  })

  it('percentiles are told apart, and the chosen method is listed once', () => {
    const methods = [
      method('percentile', 20, { percentile: 99.9 }),
      method('percentile', 21, { percentile: 99.99 }),
    ]
    expect(new Set(methods.map(methodKey)).size).toBe(2)
    expect(comparedMethods({ chosen: methods[0]!, methods })).toEqual(methods)
    const own = method('percentile', 19, { percentile: 98 })
    expect(comparedMethods({ chosen: own, methods })).toEqual([own, ...methods])
  })

  it('layers are shown without the operator that exporters append, unless a number tells several apart', () => {
    expect(shortLayer('/unet/mid/conv/Conv')).toBe('unet/mid/conv')
    expect(shortLayer('/unet/attn/MatMul_1')).toBe('unet/attn/MatMul_1')
    expect(shortLayer('/Conv')).toBe('Conv')
    expect(shortLayer('conv1')).toBe('conv1')
  })

  it('rows of one tensor that two layers read differently have different keys', () => {
    expect(rowKey({ tensor: 't', layers: ['a'] })).not.toBe(rowKey({ tensor: 't', layers: ['b'] }))
  })
})

describe('a method for a layer', () => {
  const names = activationMethodSchema.options.filter((name) => name !== 'auto')

  it('every method of a report becomes settings that the recipe takes, and is then recognised', () => {
    const arbitrary = fc.record({
      name: fc.constantFrom(...names),
      percentile: fc.constantFrom(99.9, 99.99, 99.999),
      symmetric: fc.boolean(),
    })
    fc.assert(
      fc.property(arbitrary, ({ name, percentile, symmetric }) => {
        const found = method(name, 30, { percentile: name === 'percentile' ? percentile : null })
        const settings = overrideFor(found, symmetric)
        expect(activationSchema.safeParse(settings).success).toBe(true)
        const changed = withLayerActivation(recipe(), [conv], settings)
        expect(recipeSchema.parse(changed)).toEqual(changed)
        expect(usesMethod(layerActivation(changed, conv), found)).toBe(true)
        expect(layerActivation(changed, matmul)).toEqual(recipe().activation)
        if (METHOD_PARAMETERS[name].includes('symmetric') && name !== 'max_abs') {
          expect(layerActivation(changed, conv).symmetric ?? false).toBe(symmetric)
        }
      }),
    )
  })

  it('is written by module path behind all rules, once, and keeps the precision of the layer', () => {
    const before = recipe({
      overrides: [
        { layer: 'unet.mid.conv', precision: 'w4a8' },
        { layer: 'unet.*', activation: { method: 'kl' } },
      ],
    })
    expect(layerActivation(before, conv).method).toBe('kl')
    const once = withLayerActivation(before, [conv], { method: 'mse' })
    const twice = withLayerActivation(once, [conv], { method: 'hfmg' })
    expect(twice.overrides).toEqual([
      { layer: 'unet.*', activation: { method: 'kl' } },
      { layer: 'unet.mid.conv', precision: 'w4a8', activation: { method: 'hfmg' } },
    ])
  })

  it('rules by operator type are weaker than rules by layer', () => {
    const written = recipe({
      op_types: [{ op_type: 'Conv', activation: { method: 'mse' } }],
      overrides: [{ layer: 'unet.out', activation: { method: 'kl' } }],
    })
    expect(layerActivation(written, conv).method).toBe('mse')
    expect(layerActivation(written, matmul).method).toBe('kl')
    expect(layerActivation(recipe(), conv).method).toBe('min_max')
  })

  it('layers are found by their name; halves of a split layer by the layer they were', () => {
    const tensor = (...layers: string[]): Pick<TensorReport, 'layers'> => ({
      layers: layers.map((name) => ({ name, op_type: 'Conv' })),
    })
    expect(layersOfTensor(tensor(conv.name), [conv, matmul])).toEqual([conv])
    expect(layersOfTensor(tensor(`${conv.name}.split0`, `${conv.name}.split1`), [conv])).toEqual([conv])
    expect(layersOfTensor(tensor('other'), [])).toEqual([
      { name: 'other', modulePath: null, weight: null, opType: 'Conv' },
    ])
  })
})

describe('coverage', () => {
  it('the meter counts tensors that settled and says nothing of too few samples', () => {
    expect(coverageShares({ verdict: 'not_enough', growing_tensors: 26 }, 120)).toEqual({
      tensors: 120,
      settled: 94,
      share: 94 / 120,
    })
    expect(coverageShares({ verdict: 'too_few', growing_tensors: 0 }, 120).share).toBeNull()
    expect(coverageShares({ verdict: 'enough', growing_tensors: 0 }, 0).share).toBeNull()
    expect(verdictTone('enough')).toBe('good')
    expect(verdictTone('not_enough')).toBe('warn')
  })

  it('bars follow the measure, and the last ones are set apart', () => {
    const sample: CalibrationSample = {
      name: '3',
      index: 3,
      timestep: 951,
      growth: 0.25,
      clipped: 0.5,
      growing_tensors: 7,
    }
    expect(measureOf(sample, 'growing')).toBe(7)
    expect(measureOf(sample, 'growth')).toBe(25)
    expect(measureOf(sample, 'clipped')).toBe(50)
    const option = sampleBars(palette, {
      names: ['a', 'b', 'c'],
      values: [3, 2, 1],
      deciding: 1,
      tooltip: () => '',
    })
    const [series] = option['series'] as { data: { value: number; itemStyle: { color: string } }[] }[]
    expect(series?.data.map((bar) => [bar.value, bar.itemStyle.color])).toEqual([
      [3, '#0'],
      [2, '#0'],
      [1, '#2'],
    ])
  })

  it('the first sample never counts as extending a range', () => {
    expect([...extendingSamples([{ growth: 1 }, { growth: 0 }, { growth: 0.1 }])]).toEqual([2])
  })
})

describe('charts of a tensor', () => {
  const histogram = { low: -1, width: 0.5, counts: [0, 4, 8, 1], exact: { low: -1, width: 0.5, bins: 4 } }

  it('a histogram becomes steps that end where its last bin ends', () => {
    expect(histogramSteps(histogram)).toEqual([
      [-1, 0],
      [-0.5, 4],
      [0, 8],
      [0.5, 1],
      [1, 1],
    ])
    expect(histogramSteps({ low: 0, width: 1, counts: [] })).toEqual([])
  })

  it('has both clip lines of every method inside its axis, and no zero on a logarithmic one', () => {
    const lines = [
      { label: 'min-max', low: -3, high: 0.9, role: 'chosen' as const },
      { label: 'mse', low: -0.5, high: 2, role: 'other' as const },
    ]
    const option = clipHistogram(palette, histogram, lines, true)
    const axis = option['xAxis'] as { min: number; max: number }
    expect(axis.min).toBeLessThan(-3)
    expect(axis.max).toBeGreaterThan(2)
    const series = option['series'] as {
      name?: string
      data: [number, number][]
      markLine?: { data: { xAxis: number }[] }
    }[]
    expect(series[0]?.data.every(([, count]) => count > 0)).toBe(true)
    const clips = series
      .slice(1)
      .map(({ name, markLine }) => [name, markLine?.data.map((line) => line.xAxis)])
    expect(clips).toEqual([
      ['mse', [-0.5, 2]],
      ['min-max', [-3, 0.9]],
    ])
  })

  it('outlier channels are the bars above the limit; a bar may stand for several channels', () => {
    const channels = {
      axis: 1,
      channels: 7,
      smallest: 1,
      median: 2,
      largest: 20,
      limit: 6,
      outlier_channels: 1,
      outliers: [{ channel: 3, abs_max: 20, ratio: 10 }],
      abs_max: [2, 20, 12, 1],
      group: 2,
    }
    expect([...outlierBars(channels)]).toEqual([1])
    expect(channelsOfBar(channels, 1)).toEqual({ first: 2, last: 3 })
    expect(channelsOfBar(channels, 3)).toEqual({ first: 6, last: 6 })
    const option = channelBars(palette, {
      values: channels.abs_max,
      outliers: outlierBars(channels),
      limit: 12,
      limitLabel: 'limit',
      tooltip: () => '',
      name: String,
    })
    const [series] = option['series'] as { data: { itemStyle: { color: string } }[] }[]
    expect(series?.data.map((bar) => bar.itemStyle.color)).toEqual(['#0', '#2', '#0', '#0'])
  })

  it('ranges reach to zero, as the grid does', () => {
    const option = rangeBars(palette, {
      names: ['a', 'b'],
      ranges: [
        { min: 1, max: 3 },
        { min: -2, max: -1 },
      ],
      marked: new Set(),
      clip: { low: -2, high: 3, label: 'clip' },
      tooltip: () => '',
    })
    const values = (option['series'] as { data: { value: number }[] }[]).map(({ data }) =>
      data.map(({ value }) => value),
    )
    expect(values).toEqual([
      [3, 0],
      [0, -2],
    ])
  })
})

describe('figures', () => {
  it('keep their significant digits at every magnitude', () => {
    expect(formatFigure(127.3456)).toBe('127.3')
    expect(formatFigure(-0.27846)).toBe('-0.2785')
    expect(formatFigure(0.00001234, 3)).toBe('1.23e-5')
    expect(formatFigure(0)).toBe('0')
    expect(formatFigure(null)).toBe('–')
    expect(formatShare(0)).toBe('0 %')
    expect(formatShare(0.000457763671875)).toBe('0.046 %')
    expect(formatShare(0.5)).toBe('50 %')
  })
})

describe('requests', () => {
  it('carry a choice of samples only where there is one', () => {
    expect(sampleFields(null, 'spread')).toEqual({})
    expect(sampleFields(8, 'first')).toEqual({ calibrationSamples: 8 })
    expect(sampleFields(8, 'timesteps')).toEqual({ calibrationSamples: 8, selection: 'timesteps' })
    const id = '0190b5d4-0000-7000-8000-000000000000'
    const request = { modelId: id, datasetId: id, ...sampleFields(8, 'spread') }
    expect(calibrateJobRequestSchema.parse(request)).toEqual(request)
  })
})

describe('deploy check and conversion', () => {
  it('SoCs are listed once, in order; severities have tones', () => {
    const soc = (name: string | null) => ({ soc: name })
    expect(socChoices([soc('Ascend910B4'), soc(null), soc('Ascend310P3'), soc('Ascend910B4')])).toEqual([
      'Ascend310P3',
      'Ascend910B4',
    ])
    expect(['error', 'warning', 'info'].map((severity) => severityTone(severity as 'error'))).toEqual([
      'bad',
      'warn',
      'plain',
    ])
  })

  it('a quantized model converts to the other form, a plain one to none', () => {
    const types = (...names: string[]) => names.map((type) => ({ type }))
    expect(convertibleTo(types('Conv', 'AscendQuant'))).toBe('qdq')
    expect(convertibleTo(types('Conv', 'DequantizeLinear'))).toBe('ascend')
    expect(convertibleTo(types('Conv'))).toBeNull()
    expect(convertedPath('/m/unet_deploy_model.onnx', 'qdq')).toBe('/m/unet_fake_quant_model.onnx')
    expect(convertedPath('/m.v2/unet.onnx', 'ascend')).toBe('/m.v2/unet_deploy_model.onnx')
  })
})
