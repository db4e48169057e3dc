// Blocks of a report on a terminal.
import type { Block } from '../../engine/report/index.ts'
import { textTable } from './table.ts'
import type { Paint } from './terminal.ts'

/** Charts have no form on a terminal. */
export function blockLines(block: Block, paint: Paint): string[] {
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
    case 'histogram':
      return []
  }
}
