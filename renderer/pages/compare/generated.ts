// The rows of the table of generated quality: one per metric, sides beside each other with their intervals. Pure.
import type { MetricKey, MetricResult, QualitySide } from '../../../contract/evaluation.ts'
import { decimalsFor, formatNumber } from '../../format/units.ts'

export interface GeneratedCell {
  value: string
  /** `2.99 … 3.12`; empty without an interval. */
  interval: string
  samples: number | null
  /** Samples that the metric would need; null when there are enough. */
  needed: number | null
  /** The side has no such figure: a reference is not compared with itself. */
  absent: boolean
}

export interface GeneratedRow {
  key: MetricKey
  unit: string
  better: 'lower' | 'higher'
  basis: string | null
  cells: GeneratedCell[]
}

const UNITS: Record<MetricResult['unit'], string> = { dB: 'dB', ratio: '', nats: 'nats', none: '' }

/** With the decimals of its row; what these would round to nothing keeps its magnitude as 5.1e-7. */
export function metricText(value: number | null, decimals: number): string {
  if (value === null) return '–'
  const vanishes = value !== 0 && Math.abs(value) < 0.5 * 10 ** -decimals
  return vanishes ? value.toExponential(1) : formatNumber(value, decimals)
}

/** Results compare only when what else decides the number is the same. */
const sameMetric = (a: MetricResult, b: MetricResult): boolean => a.key === b.key && a.basis === b.basis

/** Every metric in the order in which the sides carry them, sides as columns. */
export function generatedRows(sides: readonly QualitySide[]): GeneratedRow[] {
  const kinds: MetricResult[] = []
  for (const metric of sides.flatMap((side) => side.metrics)) {
    if (!kinds.some((known) => sameMetric(known, metric))) kinds.push(metric)
  }
  return kinds.map((kind) => {
    const found = sides.map((side) => side.metrics.find((metric) => sameMetric(metric, kind)) ?? null)
    const decimals = decimalsFor(found.map((metric) => metric?.value))
    const figure = (value: number): string => metricText(value, decimals)
    return {
      key: kind.key,
      unit: UNITS[kind.unit],
      better: kind.better,
      basis: kind.basis,
      cells: found.map((metric) => ({
        value: metricText(metric?.value ?? null, decimals),
        interval:
          metric === null || metric.low === null || metric.high === null
            ? ''
            : `${figure(metric.low)} … ${figure(metric.high)}`,
        samples: metric?.samples ?? null,
        needed: metric?.needed_samples ?? null,
        absent: metric === null,
      })),
    }
  })
}
