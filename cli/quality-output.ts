// A quality report on a terminal.
import type { MetricResult, QualityReport } from '../contract/evaluation.ts'
import { textTable } from './runtime/table.ts'
import type { Paint } from './runtime/terminal.ts'

function valueText({ value, low, high, needed_samples: needed }: MetricResult): string {
  const digits = (number: number): string => number.toPrecision(5)
  if (value === null) return 'equal'
  const interval = low === null || high === null ? '' : ` [${digits(low)}, ${digits(high)}]`
  return `${digits(value)}${interval}${needed === null ? '' : ' *'}`
}

/** All metrics of a quality report, one line each. */
export function qualityLines(report: QualityReport, paint: Paint): string[] {
  const keys = [...new Set(report.sides.flatMap((side) => side.metrics.map((metric) => metric.key)))]
  const columns = [
    { title: 'metric' },
    ...report.sides.map((side) => ({ title: `${side.label} (${side.device})`, align: 'right' as const })),
    { title: 'samples', align: 'right' as const },
    { title: 'basis' },
  ]
  const rows = keys.map((key) => {
    const found = report.sides.map((side) => side.metrics.find((metric) => metric.key === key))
    const any = found.find((metric) => metric !== undefined)
    const name = `${key.replaceAll('_', ' ')}${any?.unit === 'dB' ? ' (dB)' : ''}`
    const values = found.map((metric) => (metric ? valueText(metric) : ''))
    return [name, ...values, String(any?.samples ?? ''), any?.basis ?? '']
  })
  const notes = report.notes.map((note) => paint('dim', `* ${note}`))
  return [...textTable(columns, rows), ...(notes.length > 0 ? ['', ...notes] : [])]
}
