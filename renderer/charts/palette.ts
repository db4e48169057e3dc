// Colours of charts.

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

/** Colour of a column: 0 is the baseline. */
export function seriesColor(palette: ChartPalette, index: number): string {
  return palette.series[index % palette.series.length] ?? palette.accent
}
