// Colours of charts, read from the design tokens so that charts follow the theme.

export interface ChartPalette {
  series: string[]
  ink: string
  ink2: string
  ink3: string
  line: string
  pane: string
  accent: string
  font: string
  mono: string
}

const SERIES_COUNT = 6

/** Reads the tokens of the document as they are right now. */
export function readPalette(): ChartPalette {
  const style = getComputedStyle(document.documentElement)
  const token = (name: string): string => style.getPropertyValue(name).trim()
  return {
    series: Array.from({ length: SERIES_COUNT }, (_, index) => token(`--series-${index}`)),
    ink: token('--ink'),
    ink2: token('--ink2'),
    ink3: token('--ink3'),
    line: token('--line'),
    pane: token('--pane'),
    accent: token('--accent'),
    font: token('--font'),
    mono: token('--mono'),
  }
}

/** Colour of a column: 0 is the baseline. */
export function seriesColor(palette: ChartPalette, index: number): string {
  return palette.series[index % palette.series.length] ?? palette.accent
}
