// Reports: the label comes first, nothing from a file name or note can break out of its format, both languages.
import { describe, expect, test } from 'vitest'
import type { Comparison } from '../../../contract/comparison.ts'
import {
  renderReport,
  type ReportEntry,
  type ReportFormat,
  type ReportLocale,
} from '../../../engine/report/index.ts'
import { exampleComparison } from './example.ts'

async function render(
  entry: ReportEntry,
  format: ReportFormat,
  locale: ReportLocale = 'en',
): Promise<string> {
  return (await renderReport([entry], format, locale)).bytes.toString('utf8')
}

const withPath = (path: string): Comparison => ({
  ...exampleComparison,
  model: { ...exampleComparison.model, path },
})

describe.each(['html', 'md', 'csv'] as const)('%s', (format) => {
  test('says in its first lines that figures are simulated, with the band', async () => {
    const text = await render({ comparison: exampleComparison }, format)
    const visible = format === 'html' ? text.slice(text.indexOf('<body>')) : text
    const head = visible.split('\n').slice(0, 4).join('\n')
    expect(head).toContain('Simulated')
    expect(head).toContain('x/÷ 2')
  })

  test('is Chinese when asked', async () => {
    const text = await render({ comparison: exampleComparison }, format, 'zh')
    expect(text).toContain('仿真')
    expect(text).toContain('时延均值')
    // The embedded data keeps the engine's own words.
    expect(text.split('<script')[0]).not.toMatch(/Simulated:|Latency, mean/)
  })

  test('a percentile without enough runs names the count it needs', async () => {
    const text = await render({ comparison: exampleComparison }, format)
    expect(text).toContain('needs 662 runs, has 120')
  })

  test('conditions, hashes and recipe are there', async () => {
    const text = await render({ comparison: exampleComparison }, format)
    expect(text).toContain(exampleComparison.baseline.sha256)
    expect(text).toContain(exampleComparison.config_hash)
  })
})

test('a measured section is labelled measured', async () => {
  const { cost_model: _none, ...rest } = exampleComparison
  const measured: Comparison = { ...rest, label: 'measured', cost_model: null }
  const text = await render({ comparison: measured }, 'md')
  expect(text.split('\n')[2]).toContain('Measured on')
  expect(text.split('\n')[2]).not.toContain('Simulated')
})

test('HTML escapes markup in names and does not end its data early', async () => {
  const hostile = withPath('</script><script>alert(1)</script><img src=x onerror=alert(2)>.onnx')
  const text = await render({ comparison: hostile, command: '<b>"&' }, 'html')
  expect(text).not.toContain('<script>alert')
  expect(text).not.toContain('<img src=x')
  expect(text).toContain('&lt;b&gt;&quot;&amp;')
  const data = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(text)?.[1] ?? ''
  expect(JSON.parse(data)).toEqual([{ comparison: hostile, command: '<b>"&' }])
})

test('HTML needs nothing from outside', async () => {
  const text = await render({ comparison: exampleComparison }, 'html')
  expect(text).not.toMatch(/(src|href)="https?:/)
})

test('CSV defuses formulas and quotes separators', async () => {
  const text = await render(
    { comparison: { ...exampleComparison, notes: ['=HYPERLINK("x")', 'a,"b"'] } },
    'csv',
  )
  expect(text).toContain(`"'=HYPERLINK(""x"")"`)
  expect(text).toContain('"a,""b"""')
})

test('Markdown keeps table columns when a label holds a bar', async () => {
  const comparison: Comparison = {
    ...exampleComparison,
    baseline: { ...exampleComparison.baseline, label: 'FP|16' },
  }
  const text = await render({ comparison }, 'md')
  expect(text).toContain('FP\\|16')
})

test('JSON is the comparison itself', async () => {
  expect(JSON.parse(await render({ comparison: exampleComparison }, 'json'))).toEqual(exampleComparison)
})

test('kernel times and file parts become charts with their values', async () => {
  const figures = {
    sides: [
      {
        label: 'FP16',
        role: 'baseline' as const,
        samplesMs: [],
        kernels: [
          { name: 'a', opType: 'Conv2D', nodes: ['a'], ns: 1_500_000, precision: 'fp16' as const },
          { name: 'b', opType: 'Conv2D', nodes: ['b'], ns: 500_000, precision: 'fp16' as const },
        ],
        kernelsFrom: 'cost model' as const,
        sizes: [{ part: 'fp16' as const, bytes: 3 * 1024 * 1024 }],
      },
    ],
    layers: [],
  }
  const text = await render({ comparison: exampleComparison, figures }, 'md')
  expect(text).toContain('| Conv2D | 2.000 |')
  expect(text).toContain('| fp16 | 3.000 |')
})

test('the host CPU beside the device has its own table and its own conditions', async () => {
  const host = { ...exampleComparison, host_cpu: null }
  const comparison: Comparison = {
    ...exampleComparison,
    host_cpu: {
      label: 'measured',
      device: { ...host.device, id: 'cpu', kind: 'cpu', name: 'Some CPU' },
      conditions: { ...host.conditions, warmup_runs: 20, warmup_ms: 2000 },
      baseline: host.baseline,
      candidates: host.candidates,
      deltas: host.deltas,
      incomparable: [],
    },
  }
  const text = await render({ comparison }, 'md')
  const [device = '', cpu = ''] = text.split('## Some CPU')
  expect(device).toContain('| Device memory |')
  expect(cpu.split('## Conditions')[0]).not.toContain('Device memory')
  expect(cpu).toMatch(/Runs on cpu: .* warm-up 20 runs and 2000 ms/)
  expect(cpu).toMatch(/Runs on sim:/)
})
