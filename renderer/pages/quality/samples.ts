// The samples of a quality report lined up across its sides: what to sort by, and worst first. Pure.
import type { MetricKey, QualityReport, QualitySide, SampleResult } from '../../../contract/evaluation.ts'

/** Metrics of single samples that a lower value is better of; all others are better higher. */
const LOWER_IS_BETTER: ReadonlySet<MetricKey> = new Set(['lpips', 'kl_divergence', 'loss'])
/** In the order in which they are offered. */
const SORTABLE: readonly MetricKey[] = [
  'psnr',
  'ssim',
  'lpips',
  'sqnr',
  'cosine',
  'kl_divergence',
  'top1_agreement',
  'loss',
]

export type SampleOrder = MetricKey | 'prompt' | 'index'

export interface SampleLine {
  id: string
  /** Place in the report. */
  index: number
  prompt: string | null
  seed: number | null
  /** One per side, in the order of the report; null where the side has no such sample. */
  results: (SampleResult | null)[]
}

/** Samples by id; the first side that has one says its prompt and seed. */
export function sampleLines(report: QualityReport): SampleLine[] {
  const lines = new Map<string, SampleLine>()
  report.sides.forEach((side, sideIndex) => {
    for (const sample of side.samples) {
      const line = lines.get(sample.id) ?? {
        id: sample.id,
        index: lines.size,
        prompt: sample.prompt,
        seed: sample.seed,
        results: report.sides.map(() => null),
      }
      line.results[sideIndex] = sample
      lines.set(sample.id, line)
    }
  })
  return [...lines.values()]
}

/** Metrics that the samples of some side carry. */
export function sortableMetrics(sides: readonly QualitySide[]): MetricKey[] {
  return SORTABLE.filter((key) =>
    sides.some(
      (side) =>
        side.role !== 'reference' && side.samples.some((sample) => typeof sample.values[key] === 'number'),
    ),
  )
}

/** The metric that worst samples are found by until a person chooses. */
export function defaultOrder(sides: readonly QualitySide[]): SampleOrder {
  return sortableMetrics(sides)[0] ?? 'index'
}

const collator = new Intl.Collator('en', { numeric: true })

/** How bad a sample is on one side: larger is worse; a sample equal to its reference has no finite figure and is best. */
function badness(line: SampleLine, key: MetricKey, side: number): number {
  const value = line.results[side]?.values[key] ?? null
  if (value === null) return -Infinity
  return LOWER_IS_BETTER.has(key) ? value : -value
}

/** Lines in the order asked for; by a metric, the worst of the side first. Stable. */
export function orderedLines(
  lines: readonly SampleLine[],
  order: SampleOrder,
  side: number,
): readonly SampleLine[] {
  if (order === 'index') return lines
  if (order === 'prompt')
    return [...lines].sort((a, b) => collator.compare(a.prompt ?? '', b.prompt ?? '') || a.index - b.index)
  return [...lines].sort((a, b) => {
    const [badA, badB] = [badness(a, order, side), badness(b, order, side)]
    return badA === badB ? a.index - b.index : badB > badA ? 1 : -1
  })
}

/** The side whose samples decide the order at first: the last candidate. */
export function judgedSide(sides: readonly QualitySide[]): number {
  const candidate = sides.findLastIndex((side) => side.role === 'candidate')
  return candidate >= 0 ? candidate : sides.length - 1
}

/** A step of the pipeline over all samples of a side. */
export interface StepFigures {
  at: number
  mean: number
  worst: number
}

/**
 * Mean and worst of a figure at every step of a side, steps in the order in which they are carried out.
 * @param lowerIsBetter true for KL, false for SQNR
 */
export function stepFigures(samples: readonly SampleResult[], lowerIsBetter: boolean): StepFigures[] {
  const steps = new Map<number, { values: number[] }>()
  for (const sample of samples) {
    for (const { at, value } of sample.steps ?? []) {
      const step = steps.get(at) ?? { values: [] }
      if (value !== null) step.values.push(value)
      steps.set(at, step)
    }
  }
  return [...steps]
    .filter(([, { values }]) => values.length > 0)
    .map(([at, { values }]) => ({
      at,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      worst: values.reduce((worst, value) =>
        lowerIsBetter ? Math.max(worst, value) : Math.min(worst, value),
      ),
    }))
}
