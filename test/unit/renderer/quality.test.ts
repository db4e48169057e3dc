// The pure parts of the quality views: order of samples, error by step, pixels, heat, gates, votes, preparation.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { comparisonFigureNames } from '../../../contract/comparison-figures.ts'
import type { MetricResult, QualityReport, QualitySide, SampleResult } from '../../../contract/evaluation.ts'
import { preparationSchema } from '../../../contract/preparation.ts'
import { completed, completion, gateProblem } from '../../../renderer/format/gates.ts'
import { generatedRows, metricText } from '../../../renderer/pages/compare/generated.ts'
import {
  formProblems,
  presetNames,
  presetOf,
  presets,
  settingsOf,
} from '../../../renderer/pages/data/preparation.ts'
import {
  amplifiedDifference,
  heat,
  HEAT_RANGE,
  pixelDifference,
  shownSize,
} from '../../../renderer/pages/quality/pixels.ts'
import { ratingVerdict, voteOfKey } from '../../../renderer/pages/quality/ratings.ts'
import {
  defaultOrder,
  judgedSide,
  orderedLines,
  sampleLines,
  sortableMetrics,
  stepFigures,
} from '../../../renderer/pages/quality/samples.ts'

const sample = (id: string, patch: Partial<SampleResult> = {}): SampleResult => ({
  id,
  prompt: null,
  seed: null,
  file: `${id}.png`,
  values: {},
  steps: null,
  ...patch,
})
const side = (
  label: string,
  role: QualitySide['role'],
  samples: SampleResult[],
  metrics: MetricResult[] = [],
) => ({
  label,
  role,
  model: 'm',
  sha256: '',
  device: 'cpu',
  metrics,
  samples,
  seconds: 0,
})
const report = (sides: QualitySide[]): QualityReport => ({
  schema: 'aqw.quality/1',
  created_at: '2026-01-01T00:00:00Z',
  task: { kind: 'diffusion', name: 't', sha256: '', settings: null },
  seed: 0,
  sides,
  notes: [],
})

describe('samples', () => {
  const given = report([
    side('FP32', 'reference', [sample('a', { prompt: 'two' }), sample('b', { prompt: 'ten' }), sample('c')]),
    side('INT8', 'candidate', [
      sample('a', { values: { psnr: 30, lpips: 0.2 } }),
      sample('b', { values: { psnr: 20, lpips: 0.1 } }),
      // Equal to its reference: no finite PSNR.
      sample('c', { values: { psnr: null, lpips: 0 } }),
    ]),
  ])
  const lines = sampleLines(given)
  const ids = (order: Parameters<typeof orderedLines>[1]): string =>
    orderedLines(lines, order, 1)
      .map(({ id }) => id)
      .join('')

  it('come worst first, whichever direction is better, and equal ones last', () => {
    expect(ids('psnr')).toBe('bac')
    expect(ids('lpips')).toBe('abc')
    expect(ids('prompt')).toBe('cba')
    expect(ids('index')).toBe('abc')
  })

  it('are judged by the candidate and a metric that it has', () => {
    expect(judgedSide(given.sides)).toBe(1)
    expect(sortableMetrics(given.sides)).toEqual(['psnr', 'lpips'])
    expect(defaultOrder(given.sides)).toBe('psnr')
    expect(defaultOrder([given.sides[0]!])).toBe('index')
  })

  it('keep their place when a side has only some of them', () => {
    const some = sampleLines(
      report([side('A', 'reference', [sample('x')]), side('B', 'candidate', [sample('y')])]),
    )
    expect(some.map(({ results }) => results.map((result) => result?.id ?? null))).toEqual([
      ['x', null],
      [null, 'y'],
    ])
  })

  it('make mean and worst of every step', () => {
    const steps = (values: (number | null)[]) =>
      sample('s', { steps: values.map((value, index) => ({ at: 900 - 100 * index, value })) })
    const samples = [steps([null, 40, 30]), steps([null, 50, 10])]
    expect(stepFigures(samples, false)).toEqual([
      { at: 800, mean: 45, worst: 40 },
      { at: 700, mean: 20, worst: 10 },
    ])
    expect(stepFigures(samples, true).map(({ worst }) => worst)).toEqual([50, 30])
  })
})

describe('pixels', () => {
  const bytes = (...values: number[]): Uint8ClampedArray => Uint8ClampedArray.from(values)

  it('differ per channel, amplified and clipped, opaque', () => {
    const result = amplifiedDifference(bytes(10, 20, 30, 0), bytes(12, 20, 230, 255), 4)
    expect([...result]).toEqual([8, 0, 255, 255])
    expect(() => amplifiedDifference(bytes(1), bytes(1, 2), 1)).toThrow(RangeError)
  })

  it('are counted', () => {
    const difference = pixelDifference(bytes(0, 0, 0, 255, 9, 9, 9, 255), bytes(3, 0, 3, 255, 9, 9, 9, 0))
    expect(difference).toEqual({ largest: 3, mean: 1, share: 0.5 })
  })

  it('of one picture with itself do not differ, whatever the factor', () => {
    fc.assert(
      fc.property(
        fc.uint8ClampedArray({ minLength: 4, maxLength: 64 }),
        fc.integer({ min: 1, max: 32 }),
        (all, factor) => {
          const whole = all.slice(0, all.length - (all.length % 4))
          const result = amplifiedDifference(whole, whole, factor)
          expect([...result].filter((_, at) => at % 4 !== 3).every((value) => value === 0)).toBe(true)
        },
      ),
    )
  })

  it('of small pictures are enlarged by whole factors, large pictures fit', () => {
    expect(shownSize(64, 64, { width: 400, height: 300 })).toEqual({ width: 256, height: 256, scale: 4 })
    expect(shownSize(1024, 512, { width: 512, height: 512 })).toEqual({ width: 512, height: 256, scale: 0.5 })
  })

  it('of heat grow with the logarithm', () => {
    expect(heat(null)).toBe(0)
    expect(heat(HEAT_RANGE.low)).toBe(0)
    expect(heat(0.01)).toBeCloseTo(0.5, 12)
    expect(heat(HEAT_RANGE.high)).toBe(1)
    expect(heat(50)).toBe(1)
  })
})

describe('gates while they are written', () => {
  it('are completed with names of figures, those that start with the word first', () => {
    expect(completion('qual', 4).names[0]).toMatch(/^quality\./)
    expect(completion('x > baseline.late', 17).names[0]).toBe('baseline.latency.mean')
    expect(completion('base', 4).names[0]).toBe('baseline')
    expect(completion('qps', 3).names).toContain('end_to_end_qps')
    expect(completion('latency.mean <= ', 16).names).toEqual([])
  })

  it('take a name in place of the whole word around the caret', () => {
    const text = 'qps > 1 && laten < 2'
    const at = completion(text, 14)
    expect(completed(text, at, 'latency.p50')).toEqual({ text: 'qps > 1 && latency.p50 < 2', caret: 22 })
  })

  it('say what is wrong and where; every figure there is can be used', () => {
    expect(gateProblem('latncy.mean < 1')).toMatchObject({ at: 0 })
    expect(gateProblem('latency.mean <')?.reason).toContain('the end')
    for (const name of comparisonFigureNames) expect(gateProblem(`${name} <= 0.7*baseline`)).toBeNull()
  })
})

describe('rows of generated quality', () => {
  const metric = (patch: Partial<MetricResult>): MetricResult => ({
    key: 'fid',
    basis: 'encoder.onnx',
    value: 1.5,
    low: 1.25,
    high: 2,
    confidence: 0.95,
    samples: 12,
    unit: 'none',
    better: 'lower',
    needed_samples: 256,
    ...patch,
  })
  const rows = generatedRows([
    side('FP32', 'reference', [], [metric({})]),
    side(
      'INT8',
      'candidate',
      [],
      [
        metric({ value: 12.5, low: null, high: null, needed_samples: null }),
        metric({ basis: 'other.onnx' }),
        metric({ key: 'psnr', basis: null, value: null, unit: 'dB', better: 'higher' }),
      ],
    ),
  ])

  it('set equal metrics beside each other, and never those by different models', () => {
    expect(rows.map(({ key, basis }) => [key, basis])).toEqual([
      ['fid', 'encoder.onnx'],
      ['fid', 'other.onnx'],
      ['psnr', null],
    ])
    expect(rows[0]?.cells.map(({ value, interval, needed }) => [value, interval, needed])).toEqual([
      ['1.50', '1.25 … 2.00', 256],
      ['12.50', '', null],
    ])
    expect(rows[1]?.cells.map(({ absent }) => absent)).toEqual([true, false])
    expect(rows[2]?.cells[1]?.value).toBe('–')
  })

  it('never show a small figure as nothing', () => {
    expect(metricText(5.1e-7, 4)).toBe('5.1e-7')
    expect(metricText(0, 4)).toBe('0.0000')
    expect(metricText(-0.5, 1)).toBe('-0.5')
  })
})

describe('blind votes', () => {
  const summary = (first: number, second: number, p: number | null) => ({
    first,
    second,
    ties: 0,
    skipped: 0,
    winRate: null,
    interval: null,
    p,
  })

  it('show a preference only by the sign test and with enough votes', () => {
    expect(ratingVerdict(summary(0, 0, null))).toBe('none')
    expect(ratingVerdict(summary(0, 5, 0.0625))).toBe('tooFew')
    expect(ratingVerdict(summary(0, 6, 0.03125))).toBe('apart')
    expect(ratingVerdict(summary(5, 7, 0.7744))).toBe('notApart')
  })

  it('have a key each', () => {
    expect(['1', '2', '0', 's', 'S', 'Z', 'x'].map(voteOfKey)).toEqual([
      'left',
      'right',
      'tie',
      'skip',
      'skip',
      'undo',
      null,
    ])
  })
})

describe('preparing pictures', () => {
  it('has presets that the contract accepts and that are recognized again', () => {
    for (const name of presetNames) {
      expect(preparationSchema.safeParse(settingsOf(presets[name])).success).toBe(true)
      expect(presetOf({ ...presets[name], count: 5, seed: 3 })).toBe(name)
    }
    expect(presetOf({ ...presets.imagenet, width: 255 })).toBeNull()
  })

  it('reads numbers per channel and names what it cannot read', () => {
    expect(settingsOf(presets.imagenet)).toMatchObject({
      resize: { mode: 'short_side', size: [256, 256] },
      crop: [224, 224],
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    })
    expect(formProblems({ ...presets.bytes, mean: 'a', std: '1, 0' })).toEqual({
      mean: 'numbers',
      std: 'positive',
    })
    expect(settingsOf({ ...presets.bytes, std: '' })).toBeNull()
  })
})
