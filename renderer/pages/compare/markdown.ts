// The comparison as Markdown for an issue or a chat: label first, conditions, then the table as it is on screen. Pure.
import type { CompareGroup } from './rows.ts'

export interface MarkdownInput {
  title: string
  /** simulated or measured, and the verdict; right below the title. */
  label: string
  conditions: readonly { label: string; value: string }[]
  columns: readonly string[]
  changeTitle: string
  intervalTitle: string
  groups: readonly CompareGroup[]
  rowTitle: (key: string) => string
  /** Words for what has no figure. */
  noDifference: string
  intervalText: (interval: CompareGroup['rows'][number]['changes'][number]['interval']) => string
  needs: (needed: number, count: number) => string
  command: string
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

export function compareMarkdown(input: MarkdownInput): string {
  const [baseline = '', ...candidates] = input.columns
  const head = ['', baseline, ...candidates.flatMap((name) => [name, input.changeTitle, input.intervalTitle])]
  const lines = [
    `**${input.title}** (${input.label})`,
    '',
    input.conditions.map((entry) => `${entry.label}: ${entry.value}`).join(' · '),
    '',
    `| ${head.map(cell).join(' | ')} |`,
    `| --- ${'| ---: '.repeat(head.length - 1)}|`,
  ]
  for (const group of input.groups) {
    for (const row of group.rows) {
      const needs = row.needed !== null ? ` (${input.needs(row.needed, row.count ?? 0)})` : ''
      const title = `${input.rowTitle(row.key)}${row.unit ? ` [${row.unit}]` : ''}${needs}`
      const cells = [title, row.values[0] ?? '–']
      row.changes.forEach((change, index) => {
        const text = change.noDifference ? input.noDifference : change.text
        cells.push(row.values[index + 1] ?? '–', text, input.intervalText(change.interval))
      })
      lines.push(`| ${cells.map(cell).join(' | ')} |`)
    }
  }
  if (input.command) lines.push('', '```', input.command, '```')
  return `${lines.join('\n')}\n`
}
