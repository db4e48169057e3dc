// Reads the colours of charts from the design tokens, so that charts follow the theme.
import type { ChartPalette } from './palette.ts'

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
