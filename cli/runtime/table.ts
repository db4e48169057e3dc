// Plain tables with aligned columns, for terminals and for Markdown.

export type Align = 'left' | 'right'

export interface Column {
  title: string
  align?: Align
}

function pad(text: string, width: number, align: Align): string {
  const missing = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? missing + text : text + missing
}

/** Columns a text takes on a terminal: East Asian wide characters count twice. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text) {
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]/.test(
        character,
      )
        ? 2
        : 1
  }
  return width
}

/** Lines of an aligned table, two blanks between columns, no trailing blanks. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const titles = columns.map((column) => column.title)
  const widths = columns.map((_, index) =>
    Math.max(...[titles, ...rows].map((row) => displayWidth(row[index] ?? ''))),
  )
  return [titles, ...rows].map((row) =>
    columns
      .map((column, index) => pad(row[index] ?? '', widths[index] ?? 0, column.align ?? 'left'))
      .join('  ')
      .trimEnd(),
  )
}

/** Lines of `name  value` pairs. */
export function keyValues(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...pairs.map(([name]) => displayWidth(name)))
  return pairs.map(([name, value]) => `${pad(name, width, 'left')}  ${value}`)
}
