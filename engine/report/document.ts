// A report as blocks, independent of its format: every renderer draws the same document.

export interface TableBlock {
  kind: 'table'
  columns: string[]
  rows: {
    label: string
    cells: string[]
    /** The change speaks for, against, or neither. */ tones?: Tone[]
  }[]
}

export type Tone = 'good' | 'bad' | 'none'

/** Horizontal bars, one group per row, one bar per series. */
export interface BarsBlock {
  kind: 'bars'
  title: string
  unit: string
  series: string[]
  rows: { label: string; values: number[] }[]
}

export type Block =
  | { kind: 'heading'; level: 2 | 3; text: string }
  | { kind: 'paragraph'; text: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'code'; text: string }
  | TableBlock
  | BarsBlock

export interface ReportDocument {
  title: string
  language: 'en' | 'zh-CN'
  /** First line below the title: measured, simulated or estimated, never left out. */
  label: string
  blocks: Block[]
}
