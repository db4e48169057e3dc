// Report document -> CSV (RFC 4180): the label first, then every table and chart, one after the other.
import type { ReportDocument } from './document.ts'

/** Quotes a cell; a leading formula character is defused, since spreadsheets execute `=1+1`. */
function cell(text: string): string {
  const safe = /^[=@\t\r]|^[+-](?!\d)/.test(text) ? `'${text}` : text
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const line = (cells: readonly string[]): string => cells.map(cell).join(',')

/** With a byte order mark, so that spreadsheets read Chinese as UTF-8. */
export function renderCsv(document: ReportDocument): string {
  const lines = [line([document.title]), line([document.label])]
  for (const block of document.blocks) {
    if (block.kind === 'heading' && block.level === 2) lines.push('', line([block.text]))
    if (block.kind === 'table') {
      lines.push(line(block.columns), ...block.rows.map((row) => line([row.label, ...row.cells])))
    }
    if (block.kind === 'bars') {
      lines.push('', line([block.title]), line(['', ...block.series]))
      lines.push(...block.rows.map((row) => line([row.label, ...row.values.map(String)])))
    }
    if (block.kind === 'list') lines.push(...block.items.map((item) => line([item])))
  }
  return `\u{FEFF}${lines.join('\r\n')}\r\n`
}
