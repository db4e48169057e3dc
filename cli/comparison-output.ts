// A comparison on a terminal: verdicts, tables and conditions of the report.
import type { Comparison } from '../contract/comparison.ts'
import { summaryBlocks, type Block } from '../engine/report/index.ts'
import type { Paint } from './runtime/terminal.ts'
import { textTable } from './runtime/table.ts'

function blockLines(block: Block, paint: Paint): string[] {
  switch (block.kind) {
    case 'heading':
      return [paint('bold', block.text)]
    case 'paragraph':
    case 'code':
      return [block.text]
    case 'list':
      return [...block.items.map((item) => paint('dim', item)), '']
    case 'table': {
      const [first = '', ...others] = block.columns
      const columns = [{ title: first }, ...others.map((title) => ({ title, align: 'right' as const }))]
      const rows = block.rows.map((row) => [row.label, ...row.cells])
      return ['', ...textTable(columns, rows), '']
    }
    case 'bars':
      return []
  }
}

/** All lines of a comparison. */
export function comparisonLines(comparison: Comparison, paint: Paint): string[] {
  const lines = summaryBlocks(comparison, 'en').flatMap((block) => blockLines(block, paint))
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}
