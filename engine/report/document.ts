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

/** Counts in bins of equal width, with pairs of lines over them. */
export interface HistogramBlock {
  kind: 'histogram'
  title: string
  /** Start of the first bin. */
  low: number
  width: number
  counts: number[]
  lines: { label: string; min: number; max: number; chosen: boolean }[]
}

export type Block =
  | { kind: 'heading'; level: 2 | 3; text: string }
  | { kind: 'paragraph'; text: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'code'; text: string }
  | TableBlock
  | BarsBlock
  | HistogramBlock

export interface ReportDocument {
  title: string
  language: 'en' | 'zh-CN'
  /** First line below the title: measured, simulated or estimated, never left out. */
  label: string
  blocks: Block[]
}
