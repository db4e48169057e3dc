// A calibration report in every form: nothing lost in JSON, no name of a tensor becomes markup, no text left unfilled.
import { describe, expect, it } from 'vitest'
import {
  CALIBRATION_SCHEMA,
  type CalibrationReport,
  calibrationReportSchema,
} from '../../../contract/calibration.ts'
import { defaultRecipe } from '../../../contract/recipe.ts'
import { observerSpec } from '../../../engine/calibration/index.ts'
import { coverageOf, sampleCoverage } from '../../../engine/calibration/report/coverage.ts'
import { TensorStatistics } from '../../../engine/calibration/report/tensor.ts'
import { calibrationSummaryBlocks, renderCalibration } from '../../../engine/report/index.ts'

const NAME = '<img src=x onerror=alert(1)>'

function exampleReport(samples: number): CalibrationReport {
  const runs = Array.from({ length: samples }, (_, index) => ({
    index,
    name: `s${index}`,
    timestep: 1000 - index,
  }))
  const spec = observerSpec({ method: 'auto' })
  const tensors = [NAME, 'second'].map((tensor, at) => {
    const statistics = new TensorStatistics(
      { tensor, spec, layers: [{ name: `layer ${at}`, op_type: 'Conv' }] },
      0,
    )
    runs.forEach((_, position) => {
      const data = Float32Array.from(
        { length: 64 },
        (_, index) => Math.sin(index * (at + 1)) * (position + 1),
      )
      statistics.add(position, { data, min: Math.min(...data), max: Math.max(...data) })
    })
    const channels = {
      axis: 1,
      channels: 2,
      smallest: 1,
      median: 1,
      largest: 9,
      limit: 6,
      outlier_channels: 1,
      outliers: [{ channel: 1, abs_max: 9, ratio: 9 }],
      abs_max: [1, 9],
      group: 1,
    }
    return { ...statistics.report(runs), channels: at === 0 ? channels : null }
  })
  const covered = tensors.map(({ tensor, layers, samples: seen, leave_one_out: single }) => ({
    tensor,
    layer: layers[0]?.name ?? '',
    samples: seen,
    single: single?.shrinks ?? 0,
  }))
  const rows = sampleCoverage(runs, covered)
  return {
    schema: CALIBRATION_SCHEMA,
    tool: { name: 'aqw', version: '1' },
    created_at: '2026-01-02T03:04:05.000Z',
    model: { path: '/models/unet.onnx', inputs: ['x'] },
    data: {
      folder: '/data',
      sha256: 'ab',
      samples,
      runs: samples,
      batch: 1,
      selection: 'timesteps',
      timesteps: 'index',
    },
    recipe: defaultRecipe,
    samples: rows,
    coverage: coverageOf(rows, covered),
    seconds: 1,
    tensors,
  }
}

const text = async (
  report: CalibrationReport,
  format: 'html' | 'md' | 'json',
  locale: 'en' | 'zh',
): Promise<string> => (await renderCalibration(report, format, locale)).bytes.toString()

describe('a calibration report', () => {
  it('survives JSON unchanged and fits its schema', async () => {
    const report = exampleReport(9)
    const read: unknown = JSON.parse(await text(report, 'json', 'en'))
    expect(calibrationReportSchema.parse(read)).toEqual(report)
    expect(report.coverage.verdict).toBe('not_enough')
  })

  it.each(['en', 'zh'] as const)('is a page and a document in %s, complete and escaped', async (locale) => {
    const report = exampleReport(9)
    const page = await text(report, 'html', locale)
    expect(page).not.toContain(NAME)
    expect(page).toContain('&lt;img src=x')
    expect(page).toContain(report.coverage.rule.text[locale].slice(0, 20))
    const embedded = /<script type="application\/json" id="data">(.*)<\/script>/s.exec(page)?.[1] ?? ''
    expect(JSON.parse(embedded)).toMatchObject({ schema: CALIBRATION_SCHEMA, samples: report.samples })
    const document = await text(report, 'md', locale)
    for (const rendered of [page.replace(embedded, ''), document]) {
      expect(rendered).not.toMatch(/\{[a-z]\w*\}/i)
      expect(rendered).not.toContain('undefined')
      expect(rendered).not.toContain('NaN')
    }
    expect(document).toContain('| layer 1 |')
  })

  it('says on a terminal what grows, and the verdict last', () => {
    const blocks = calibrationSummaryBlocks(exampleReport(9), 'en', 1)
    const headings = blocks.flatMap((block) => (block.kind === 'heading' ? [block.text] : []))
    expect(headings.at(-1)).toMatch(/More samples are needed/)
    const [table] = blocks.flatMap((block) => (block.kind === 'table' ? [block] : []))
    expect(table?.rows).toHaveLength(1)
  })

  it('of one sample has charts without figures to fail on', async () => {
    expect(await text(exampleReport(1), 'html', 'en')).toContain('Too few samples')
  })
})
