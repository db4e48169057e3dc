// Report document -> Markdown (GitHub tables).
import type { Block, ReportDocument } from './document.ts'

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`
  return [line(columns), line(columns.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)]
}

function blockLines(block: Block): string[] {
  switch (block.kind) {
    case 'heading':
      return [`${'#'.repeat(block.level)} ${block.text}`]
    case 'paragraph':
      return [block.text]
    case 'list':
      return block.items.map((item) => `* ${item}`)
    case 'code':
      return ['```', block.text, '```']
    case 'table':
      return table(
        block.columns,
        block.rows.map((row) => [row.label, ...row.cells]),
      )
    case 'bars':
      return [
        `### ${block.title}`,
        '',
        ...table(
          ['', ...block.series],
          block.rows.map((row) => [row.label, ...row.values.map((value) => value.toFixed(3))]),
        ),
      ]
    case 'histogram':
      return [
        `### ${block.title}`,
        '',
        ...block.lines.map(
          ({ label, min, max, chosen }) => `* ${chosen ? `**${label}**` : label}: ${min} … ${max}`,
        ),
      ]
  }
}

export function renderMarkdown(document: ReportDocument): string {
  const body = document.blocks.flatMap((block) => [...blockLines(block), ''])
  return [`# ${document.title}`, '', `**${document.label}**`, '', ...body].join('\n')
}
