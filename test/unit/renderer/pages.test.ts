// The pure parts of pages: sorting, lineage, alignment of kernels, comparison rows, distributions.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ComparisonSection, ComparisonSide, Delta } from '../../../contract/comparison.ts'
import type { RunSideFigures } from '../../../contract/run-figures.ts'
import type { LayerRow, ModelRow } from '../../../contract/workspace.ts'
import { nextSort, sortRows, type Column } from '../../../renderer/components/table.ts'
import { compareGroups } from '../../../renderer/pages/compare/rows.ts'
import { compareMarkdown } from '../../../renderer/pages/compare/markdown.ts'
import { distribution, hasNoSpread } from '../../../renderer/pages/compare/distribution.ts'
import { alignKernels, groupTimes } from '../../../renderer/pages/compare/timing.ts'
import { gaugesOf } from '../../../renderer/pages/devices/telemetry.ts'
import { stageFraction, stageMs } from '../../../renderer/pages/jobs/state.ts'
import { sizesByBlock } from '../../../renderer/pages/models/blocks.ts'
import { lineage } from '../../../renderer/pages/models/lineage.ts'

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

describe('table sorting', () => {
  interface Row {
    id: number
    value: number | null
  }
  const column: Column<Row> = { key: 'value', title: '', align: 'end', value: (row) => row.value }

  it('goes through largest first, smallest first, none', () => {
    const first = nextSort<Row>(null, column)
    const second = nextSort(first, column)
    expect([first?.descending, second?.descending, nextSort(second, column)]).toEqual([true, false, null])
  })

  it('is stable, keeps missing values last and every row', () => {
    const rowsArbitrary = fc.array(fc.option(fc.integer({ min: 0, max: 5 })))
    fc.assert(
      fc.property(rowsArbitrary, fc.boolean(), (values, descending) => {
        const rows = values.map((value, id) => ({ id, value }))
        const sorted = sortRows(rows, [column], { key: 'value', descending })
        expect(sorted.map((row) => row.id).toSorted((a, b) => a - b)).toEqual(rows.map((row) => row.id))
        for (let at = 1; at < sorted.length; at += 1) {
          const [a, b] = [sorted[at - 1]!, sorted[at]!]
          if (a.value === null) expect(b.value).toBeNull()
          else if (b.value !== null) {
            expect(descending ? a.value >= b.value : a.value <= b.value).toBe(true)
            if (a.value === b.value) expect(a.id).toBeLessThan(b.id)
          }
        }
      }),
    )
  })
})

describe('lineage', () => {
  const model = (id: string, parentId: string | null, createdAt: string) =>
    ({ id, parentId, createdAt, name: id }) as ModelRow

  it('puts children under their parent, in the order they were made', () => {
    const rows = [
      model('int8', 'base', '3'),
      model('base', null, '1'),
      model('fp16', 'base', '2'),
      model('deploy', 'int8', '4'),
    ]
    expect(lineage(rows).map((line) => [line.model.id, line.depth])).toEqual([
      ['base', 0],
      ['fp16', 1],
      ['int8', 1],
      ['deploy', 2],
    ])
  })

  it('shows every model once, whatever the parents say', () => {
    const arbitrary = fc.array(fc.nat(8), { maxLength: 8 })
    fc.assert(
      fc.property(arbitrary, (parents) => {
        const rows = parents.map((parent, index) => model(String(index), String(parent), String(index)))
        expect(
          lineage(rows)
            .map((line) => line.model.id)
            .toSorted(),
        ).toEqual(rows.map((row) => row.id).toSorted())
      }),
    )
  })
})

describe('sizes by block', () => {
  it('adds up to all weights and sums the tail', () => {
    const layers = Array.from({ length: 30 }, (_, index) =>
      layer(`n${index}`, { modulePath: `unet.block_${index}.conv`, weightBytes: index + 1 }),
    )
    const blocks = sizesByBlock(layers, 'rest', 5)
    expect(blocks).toHaveLength(5)
    expect(blocks.at(-1)?.name).toBe('rest')
    expect(blocks.reduce((sum, block) => sum + block.bytes, 0)).toBe((30 * 31) / 2)
  })
})

const kernel = (name: string, nodes: string[], ns: number, precision: 'fp16' | 'int8' = 'fp16') => ({
  name,
  opType: 'Conv2D',
  nodes,
  ns,
  precision,
})
const side = (
  label: string,
  kernels: RunSideFigures['kernels'],
  samplesMs: number[] = [],
): RunSideFigures => ({
  label,
  role: label === 'FP16' ? 'baseline' : 'candidate',
  samplesMs,
  kernels,
  kernelsFrom: 'cost model',
  sizes: [],
})

describe('kernels side by side', () => {
  it('puts a fused kernel beside the kernels that it replaces', () => {
    const lines = alignKernels([
      side('FP16', [kernel('a', ['conv'], 1e6), kernel('b', ['relu'], 2e6), kernel('c', ['add'], 4e6)]),
      side('INT8', [kernel('ab', ['conv', 'relu'], 1.5e6, 'int8'), kernel('q', [], 5e5, 'int8')]),
    ])
    expect(lines.map((line) => line.ms)).toEqual([
      [3, 1.5],
      [4, null],
      [null, 0.5],
    ])
    expect(lines[0]?.precision).toEqual(['FP16', 'INT8'])
  })

  it('loses no time, whatever the nodes and the grouping', () => {
    const kernels = fc.array(
      fc.record({
        nodes: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 3 }),
        ns: fc.integer({ min: 1, max: 1e6 }),
      }),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(
        kernels,
        kernels,
        fc.constantFrom('block' as const, 'type' as const, 'layer' as const),
        (a, b, grouping) => {
          const sides = [a, b].map((list, at) =>
            side(
              at === 0 ? 'FP16' : 'INT8',
              list.map((item, index) => kernel(`k${index}`, item.nodes, item.ns)),
            ),
          )
          const groups = groupTimes(alignKernels(sides), grouping, 'rest', 3)
          ;[a, b].forEach((list, at) => {
            const total = groups.reduce((sum, group) => sum + (group.ms[at] ?? 0), 0)
            expect(total).toBeCloseTo(list.reduce((sum, item) => sum + item.ns, 0) / 1e6, 6)
          })
        },
      ),
    )
  })
})

describe('distribution', () => {
  it('knows when there is nothing to draw', () => {
    expect(
      hasNoSpread([
        [2, 2, 2],
        [3, 3],
      ]),
    ).toBe(true)
    expect(
      hasNoSpread([
        [2, 2, 2.1],
        [3, 3],
      ]),
    ).toBe(false)
  })

  it('shares out every run of every side', () => {
    const samples = fc.array(fc.double({ min: 0.1, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(samples, samples, (a, b) => {
        const { edges, shares } = distribution([a, b], 20)
        expect(edges).toHaveLength(21)
        for (const list of shares) expect(list.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
      }),
    )
  })
})

const latency = (mean: number, count: number) => ({
  count,
  mean,
  min: mean,
  max: mean,
  stddev: 0,
  p50: mean,
  p90: mean,
  p95: mean,
  p99: count >= 662 ? mean : null,
  p999: null,
  needed: { p50: 1, p90: 64, p95: 130, p99: 662, p999: 6636 },
})
const comparisonSide = (
  label: string,
  mean: number,
  patch: Partial<ComparisonSide> = {},
): ComparisonSide => ({
  label,
  measurement: 'measured',
  model: 'm',
  sha256: '0'.repeat(64),
  size_bytes: 1024 * 1024,
  latency_ms: latency(mean, 700),
  h2d_ms: null,
  d2h_ms: null,
  end_to_end_ms: latency(mean, 700),
  qps: 1000 / mean,
  end_to_end_qps: 1000 / mean,
  load_ms: 100,
  device_memory_bytes: null,
  host_peak_bytes: 0,
  verdict: { valid: true, reasons: [] },
  quality: null,
  quantized_layers: null,
  ...patch,
})
const delta = (patch: Partial<Delta>): Delta => ({
  baseline: 'FP16',
  candidate: 'INT8',
  metric: 'latency_ms',
  baseline_value: 35.8,
  candidate_value: 22.1,
  ratio: 0.617,
  low: 0.6,
  high: 0.64,
  confidence: 0.95,
  method: 'bootstrap',
  no_difference: false,
  better: 'candidate',
  ...patch,
})
const comparison = (patch: Partial<ComparisonSection> = {}): ComparisonSection => ({
  label: 'measured',
  device: {} as ComparisonSection['device'],
  conditions: {} as ComparisonSection['conditions'],
  baseline: comparisonSide('FP16', 35.8),
  candidates: [comparisonSide('INT8', 22.1)],
  deltas: [delta({})],
  incomparable: [],
  ...patch,
})
const rowOf = (section: ComparisonSection, key: string) =>
  compareGroups(section)
    .flatMap((group) => group.rows)
    .find((row) => row.key === key)

describe('comparison rows', () => {
  it('colour by meaning and carry the interval', () => {
    const mean = rowOf(comparison(), 'mean')
    expect(mean?.values).toEqual(['35.80', '22.10'])
    expect(mean?.changes[0]).toEqual({
      text: '-38 %',
      tone: 'good',
      noDifference: false,
      interval: { low: '-40', high: '-36 %' },
    })
  })

  it('say no difference when the interval spans one', () => {
    const section = comparison({
      deltas: [delta({ ratio: 0.99, low: 0.97, high: 1.01, no_difference: true, better: 'same' })],
    })
    expect(rowOf(section, 'mean')?.changes[0]).toMatchObject({ noDifference: true, tone: 'none' })
  })

  it('grey a percentile that has too few runs, with the count it needs', () => {
    expect(rowOf(comparison(), 'p999')).toMatchObject({ values: ['–', '–'], needed: 6636, count: 700 })
    expect(rowOf(comparison(), 'p99')?.needed).toBeNull()
  })

  it('never colour a change whose noise is not known', () => {
    expect(rowOf(comparison(), 'p50')?.changes[0]?.tone).toBe('none')
    expect(rowOf(comparison(), 'load')?.changes[0]).toMatchObject({ tone: 'none', noDifference: true })
  })

  it('show no change at all when the sides must not be compared', () => {
    const section = comparison({ incomparable: [{ field: 'clock', baseline: 'a', candidate: 'b' }] })
    for (const key of ['mean', 'p50', 'p99', 'qps']) expect(rowOf(section, key)?.changes[0]?.text).toBe('')
  })

  it('become Markdown with label and command', () => {
    const text = compareMarkdown({
      title: 'INT8 is 1.62x faster',
      label: 'simulated, VALID',
      conditions: [{ label: 'Device', value: 'sim:Ascend310P3' }],
      columns: ['FP16', 'INT8'],
      changeTitle: 'change',
      intervalTitle: '95 %',
      groups: compareGroups(comparison()),
      rowTitle: (key) => key,
      noDifference: 'no difference',
      intervalText: (interval) =>
        interval && typeof interval === 'object' ? `${interval.low} … ${interval.high}` : '',
      needs: (needed, count) => `needs ${needed}, has ${count}`,
      command: 'aqw compare',
    })
    expect(text.split('\n')[0]).toBe('**INT8 is 1.62x faster** (simulated, VALID)')
    expect(text).toContain('| mean [ms] | 35.80 | 22.10 | -38 % | -40 … -36 % |')
    const widths = new Set(
      text
        .split('\n')
        .filter((line) => line.startsWith('|'))
        .map((line) => line.split('|').length),
    )
    expect(widths.size).toBe(1)
  })
})

describe('jobs and devices', () => {
  it('measure a stage from its start to its end or to now', () => {
    const startedAt = '2026-01-01T00:00:00.000Z'
    expect(stageMs({ startedAt, finishedAt: '2026-01-01T00:00:02.500Z' }, 0)).toBe(2500)
    expect(stageMs({ startedAt, finishedAt: null }, Date.parse(startedAt) + 40)).toBe(40)
    expect(stageMs({ startedAt: null, finishedAt: null }, 0)).toBeNull()
    expect(stageFraction({ state: 'cached', done: 0, total: 0 })).toBe(1)
    expect(stageFraction({ state: 'running', done: 3, total: 12 })).toBe(0.25)
  })

  it('show only readings that the device really gives', () => {
    const telemetry = {
      health: 'OK',
      powerWatt: null,
      temperatureCelsius: 51,
      aiCoreUtilizationPercent: null,
      memoryUsedBytes: 10,
      memoryTotalBytes: 40,
    }
    expect(gaugesOf([{ at: 1, telemetry }], null).map((gauge) => [gauge.key, gauge.now, gauge.max])).toEqual([
      ['memory', 10, 40],
      ['temperature', 51, null],
    ])
    expect(gaugesOf([], null)).toEqual([])
  })
})
