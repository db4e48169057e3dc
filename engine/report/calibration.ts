// Calibration report -> report document: verdict, worst tensors, methods, growth, channels, time steps, distributions.
import type { CalibrationReport, Coverage, MethodResult, TensorReport } from '../../contract/calibration.ts'
import { formatFigure } from '../common/units.ts'
import { calibrationTranslator, type CalibrationTranslate } from './calibration-texts.ts'
import type { Block, HistogramBlock, ReportDocument, TableBlock } from './document.ts'
import type { ReportLocale } from './texts.ts'

export interface CalibrationView {
  /** Rows of the tables. */
  tensors: number
  /** Tensors drawn. */
  histograms: number
}

const PAGE: CalibrationView = { tensors: 40, histograms: 12 }
const COVERAGE_BARS = 64
const LISTED_GROWING = 20
const SHOWN_OUTLIERS = 4

interface Range {
  min: number
  max: number
}

/** Shares of less than a hundred-thousandth are rounding. */
const percent = (share: number): string =>
  share > 0 && share < 1e-5 ? '< 0.001 %' : `${formatFigure(share * 100)} %`
const decibel = (value: number | null): string => (value === null ? '–' : value.toFixed(1))
const rangeText = ({ min, max }: Range): string => `${formatFigure(min)} … ${formatFigure(max)}`

function methodName({ method, percentile }: MethodResult): string {
  return percentile === null ? method : `${method} ${percentile}`
}

/** The tensors in the order in which a person should look at them. */
export function worstFirst(tensors: readonly TensorReport[]): TensorReport[] {
  const key = ({ chosen }: TensorReport): number => chosen.sqnr_db ?? Infinity
  return tensors.toSorted((left, right) => key(left) - key(right))
}

function layerNames({ layers }: TensorReport): string {
  return layers.map(({ name }) => name).join(', ')
}

function readers(entry: TensorReport): string {
  return `${entry.tensor} → ${layerNames(entry)}`
}

function bestOf({ methods, best, chosen }: TensorReport): MethodResult {
  return methods.find(({ method }) => method === best) ?? chosen
}

function tensorTable(
  report: CalibrationReport,
  shown: readonly TensorReport[],
  t: CalibrationTranslate,
): Block[] {
  const table: TableBlock = {
    kind: 'table',
    columns: [
      t('layer'),
      t('range'),
      t('method'),
      t('sqnr'),
      t('best'),
      t('growth'),
      t('clipped'),
      t('outliers'),
      t('steps'),
    ],
    rows: shown.map((entry) => {
      const { chosen, tail, channels } = entry
      const outliers = channels?.outlier_channels ?? 0
      return {
        label: layerNames(entry),
        cells: [
          rangeText(entry),
          methodName(chosen),
          decibel(chosen.sqnr_db),
          decibel(bestOf(entry).sqnr_db),
          percent(tail.growth),
          percent(tail.clipped),
          channels === null ? '–' : String(outliers),
          entry.step_ratio === null ? '–' : entry.step_ratio.toFixed(1),
        ],
        tones: ['none', 'none', 'none', 'none', tail.growing ? 'bad' : 'none', 'none', 'none', 'none'],
      }
    }),
  }
  const { coverage, tensors } = report
  const limit = tensors.find(({ channels }) => channels)?.channels?.limit ?? 0
  const rest = tensors.length - shown.length
  return [
    { kind: 'heading', level: 2, text: t('worst') },
    { kind: 'paragraph', text: t('columns', { tail: coverage.tail_samples, limit }) },
    table,
    ...(rest > 0 ? [{ kind: 'paragraph' as const, text: t('more', { count: rest }) }] : []),
  ]
}

function methodTable(shown: readonly TensorReport[], t: CalibrationTranslate): Block[] {
  const names = [...new Set(shown.flatMap(({ methods }) => methods.map(methodName)))]
  return [
    { kind: 'heading', level: 2, text: t('methods') },
    {
      kind: 'table',
      columns: [t('tensor'), ...names],
      rows: shown.map(({ tensor, methods, chosen }) => {
        const found = names.map((name) => methods.find((entry) => methodName(entry) === name))
        return {
          label: tensor,
          cells: found.map((entry) => (entry ? decibel(entry.sqnr_db) : '–')),
          tones: found.map((entry) => (entry && methodName(entry) === methodName(chosen) ? 'good' : 'none')),
        }
      }),
    },
  ]
}

function coverageBlocks(
  { coverage, samples }: CalibrationReport,
  t: CalibrationTranslate,
  listed: number,
  label: (entry: Coverage['growing'][number]) => string,
): Block[] {
  const growing = coverage.growing.slice(0, listed)
  const title =
    growing.length < coverage.growing_tensors
      ? t('growingAll', { count: growing.length, all: coverage.growing_tensors })
      : t('growing')
  return [
    {
      kind: 'bars',
      title: t('coverage'),
      unit: t('coverageUnit'),
      series: [t('growthLegend'), t('clippedLegend')],
      // The first sample is all new: 100 % says nothing.
      rows: samples.slice(1, COVERAGE_BARS + 1).map(({ name, timestep, growth, clipped }) => ({
        label: timestep === null ? name : `${name} @ ${timestep}`,
        values: [growth * 100, clipped * 100],
      })),
    },
    ...(growing.length === 0
      ? []
      : [
          { kind: 'heading' as const, level: 3 as const, text: title },
          {
            kind: 'table' as const,
            columns: [t('tensor'), t('sample'), t('step'), t('growth'), t('clipped')],
            rows: growing.map((entry) => ({
              label: label(entry),
              cells: [
                entry.sample,
                entry.timestep === null ? '–' : String(entry.timestep),
                percent(entry.growth),
                percent(entry.clipped),
              ],
            })),
          },
        ]),
  ]
}

function channelTable(tensors: readonly TensorReport[], count: number, t: CalibrationTranslate): Block[] {
  const found = tensors
    .flatMap(({ tensor, channels }) =>
      channels && channels.outlier_channels > 0 ? [{ tensor, channels }] : [],
    )
    .sort((left, right) => ratioOf(right.channels) - ratioOf(left.channels))
    .slice(0, count)
  if (found.length === 0) return []
  return [
    { kind: 'heading', level: 2, text: t('channels') },
    {
      kind: 'table',
      columns: [t('tensor'), t('count'), t('median'), t('channelList')],
      rows: found.map(({ tensor, channels }) => ({
        label: tensor,
        cells: [
          `${channels.outlier_channels} / ${channels.channels}`,
          formatFigure(channels.median),
          channels.outliers
            .slice(0, SHOWN_OUTLIERS)
            .map(({ channel, ratio }) => `${channel} (${ratio === null ? '∞' : formatFigure(ratio)})`)
            .join(', '),
        ],
      })),
    },
  ]
}

function ratioOf({ largest, median }: NonNullable<TensorReport['channels']>): number {
  return median > 0 ? largest / median : Infinity
}

function stepTable(tensors: readonly TensorReport[], count: number, t: CalibrationTranslate): Block[] {
  const drifting = tensors
    .filter(({ steps, step_ratio: ratio }) => steps.length > 1 && ratio !== null)
    .sort((left, right) => (right.step_ratio ?? 0) - (left.step_ratio ?? 0))
    .slice(0, count)
  if (drifting.length === 0) return []
  const size = ({ min, max }: Range): number => Math.max(0, max) - Math.min(0, min)
  return [
    { kind: 'heading', level: 2, text: t('byStep') },
    {
      kind: 'table',
      columns: [t('tensor'), t('steps'), t('smallestStep'), t('largestStep')],
      rows: drifting.map(({ tensor, steps, step_ratio: ratio }) => {
        const sorted = steps.toSorted((left, right) => size(left) - size(right))
        const text = (step: (typeof steps)[number] | undefined): string =>
          step ? t('atStep', { range: rangeText(step), step: step.timestep }) : '–'
        return { label: tensor, cells: [(ratio ?? 0).toFixed(1), text(sorted[0]), text(sorted.at(-1))] }
      }),
    },
  ]
}

function histogramBlock(entry: TensorReport): HistogramBlock {
  const { low, width, counts } = entry.histogram
  return {
    kind: 'histogram',
    title: readers(entry),
    low,
    width,
    counts,
    lines: entry.methods.map((method) => ({
      label: `${methodName(method)} · ${decibel(method.sqnr_db)} dB`,
      min: method.min,
      max: method.max,
      chosen: methodName(method) === methodName(entry.chosen),
    })),
  }
}

function factItems(report: CalibrationReport, t: CalibrationTranslate): string[] {
  const { data, samples, recipe, tool } = report
  const steps = samples.flatMap(({ timestep }) => (timestep === null ? [] : [timestep]))
  return [
    t('model', { path: report.model.path }),
    t('data', {
      folder: data.folder,
      samples: data.samples,
      sha256: data.sha256,
      selection: t(data.selection),
    }),
    data.timesteps === null || steps.length === 0
      ? t('stepsNone')
      : t('stepsFrom', {
          source: t(data.timesteps),
          low: Math.min(...steps),
          high: Math.max(...steps),
          count: new Set(steps).size,
        }),
    t('recipe', { method: recipe.activation.method }),
    t('tool', {
      tool: tool.name,
      version: tool.version,
      time: report.created_at,
      seconds: report.seconds.toFixed(1),
    }),
  ]
}

/** What a terminal shows first: the verdict with its advice. */
function verdictBlocks(
  { coverage }: CalibrationReport,
  locale: ReportLocale,
  t: CalibrationTranslate,
): Block[] {
  return [
    { kind: 'heading', level: 2, text: `${t('verdict')} ${t(coverage.verdict)}` },
    ...coverage.advice.map((advice) => ({ kind: 'paragraph' as const, text: advice[locale] })),
  ]
}

/** A calibration on a terminal: worst tensors, what still grows, verdict and advice last, where the eye ends. */
export function calibrationSummaryBlocks(
  report: CalibrationReport,
  locale: ReportLocale,
  tensors: number,
): Block[] {
  const t = calibrationTranslator(locale)
  const shown = worstFirst(report.tensors).slice(0, tensors)
  const coverage = coverageBlocks(report, t, tensors, ({ layer }) => layer).filter(
    (block) => block.kind !== 'bars',
  )
  return [
    ...tensorTable(report, shown, t),
    ...coverage,
    ...verdictBlocks(report, locale, t),
    { kind: 'list', items: [report.coverage.rule.text[locale], ...factItems(report, t)] },
  ]
}

export function buildCalibrationReport(
  report: CalibrationReport,
  locale: ReportLocale,
  view: CalibrationView = PAGE,
): ReportDocument {
  const t = calibrationTranslator(locale)
  const worst = worstFirst(report.tensors)
  const shown = worst.slice(0, view.tensors)
  const name = report.model.path.split(/[\\/]/).at(-1) ?? report.model.path
  return {
    title: `${t('report')}: ${name}`,
    language: locale === 'zh' ? 'zh-CN' : 'en',
    label: t('label'),
    blocks: [
      ...verdictBlocks(report, locale, t),
      ...coverageBlocks(report, t, LISTED_GROWING, ({ tensor, layer }) => `${tensor} → ${layer}`),
      ...tensorTable(report, shown, t),
      ...methodTable(shown, t),
      ...channelTable(report.tensors, view.tensors, t),
      ...stepTable(report.tensors, view.tensors, t),
      { kind: 'heading', level: 2, text: t('histograms') },
      { kind: 'paragraph', text: t('logarithmic') },
      ...worst.slice(0, view.histograms).map(histogramBlock),
      { kind: 'heading', level: 2, text: t('facts') },
      { kind: 'list', items: factItems(report, t) },
      { kind: 'heading', level: 3, text: t('conditions') },
      { kind: 'paragraph', text: report.coverage.rule.text[locale] },
    ],
  }
}
