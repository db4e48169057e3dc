// A comparison on a terminal: title, verdict, table, conditions.
import type { Comparison, ComparisonSection } from '../contract/comparison.ts'
import {
  conditionLines,
  sectionTable,
  sectionTitle,
  verdictReasons,
  verdictSentences,
} from '../engine/pipeline/comparison-text.ts'
import type { Paint } from './runtime/terminal.ts'
import { textTable } from './runtime/table.ts'

function sectionLines(section: ComparisonSection, comparison: Comparison, paint: Paint): string[] {
  const { columns, rows } = sectionTable(section)
  const table = textTable(
    [{ title: '' }, ...columns.map((title) => ({ title, align: 'right' as const }))],
    rows.map((row) => [row.label, ...row.cells]),
  )
  return [
    paint('bold', sectionTitle(section, comparison)),
    ...verdictSentences(section),
    '',
    ...table,
    '',
    ...section.incomparable.map(
      (entry) => `not comparable, ${entry.field}: ${entry.baseline} against ${entry.candidate}`,
    ),
    ...verdictReasons(section).map((line) => paint('dim', line)),
  ]
}

/** All lines of a comparison. */
export function comparisonLines(comparison: Comparison, paint: Paint): string[] {
  return [
    ...sectionLines(comparison, comparison, paint),
    ...(comparison.host_cpu ? ['', ...sectionLines(comparison.host_cpu, comparison, paint)] : []),
    '',
    ...conditionLines(comparison).map((line) => paint('dim', line)),
  ]
}
