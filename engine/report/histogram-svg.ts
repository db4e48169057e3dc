// A histogram with clip lines as SVG: counts on a logarithmic scale, because the tails are what clipping is about.
import type { HistogramBlock } from './document.ts'

const CHART = { width: 900, height: 170, bottom: 22, top: 6, legendRow: 16, column: 225 }
const LINE_COLOURS = ['#0b6e6e', '#b5651d', '#5b4b8a', '#2f6fb0', '#8a6d00', '#b42318', '#18794e', '#6b7280']

function edgeText(value: number): string {
  return Number(value.toPrecision(4)).toString()
}

/** @param escape Of the page that holds it. */
export function histogramSvg(block: HistogramBlock, escape: (text: string) => string): string {
  const { low, width, counts, lines } = block
  const extent = Math.max(width * counts.length, Number.MIN_VALUE)
  const largest = Math.log1p(Math.max(1, ...counts))
  const floor = CHART.height - CHART.bottom
  const x = (value: number): number =>
    Math.min(CHART.width, Math.max(0, ((value - low) / extent) * CHART.width))
  const barWidth = CHART.width / Math.max(1, counts.length)
  const bars = counts.flatMap((count, index) => {
    if (count === 0) return []
    const height = Math.max(1, (Math.log1p(count) / largest) * (floor - CHART.top))
    return `<rect x="${(index * barWidth).toFixed(2)}" y="${(floor - height).toFixed(2)}" width="${Math.max(0.5, barWidth).toFixed(2)}" height="${height.toFixed(2)}" fill="#7a8794" opacity="0.55"/>`
  })
  const clips = lines.map(({ label, min, max, chosen }, index) => {
    const colour = LINE_COLOURS[index % LINE_COLOURS.length]
    const style = `stroke="${colour}" stroke-width="${chosen ? 3 : 1.2}"${chosen ? '' : ' stroke-dasharray="4 3"'}`
    return [min, max]
      .map((value) => {
        const at = x(value).toFixed(2)
        return `<line x1="${at}" x2="${at}" y1="${CHART.top}" y2="${floor}" ${style}><title>${escape(`${label}: ${edgeText(min)} … ${edgeText(max)}`)}</title></line>`
      })
      .join('')
  })
  const perRow = Math.floor(CHART.width / CHART.column)
  const legend = lines.map(({ label, chosen }, index) => {
    const left = (index % perRow) * CHART.column
    const top = CHART.height + Math.floor(index / perRow) * CHART.legendRow
    const colour = LINE_COLOURS[index % LINE_COLOURS.length]
    return `<rect x="${left}" y="${top}" width="10" height="10" rx="2" fill="${colour}"/><text x="${left + 15}" y="${top + 9}"${chosen ? ' font-weight="600"' : ''}>${escape(label)}</text>`
  })
  const height = CHART.height + Math.ceil(lines.length / perRow) * CHART.legendRow + 4
  const axis = `<line x1="0" x2="${CHART.width}" y1="${floor}" y2="${floor}" stroke="#7a8794"/><text class="muted" x="0" y="${floor + 15}">${edgeText(low)}</text><text class="muted" x="${CHART.width}" y="${floor + 15}" text-anchor="end">${edgeText(low + width * counts.length)}</text>`
  return `<h3>${escape(block.title)}</h3><svg role="img" aria-label="${escape(block.title)}" viewBox="0 0 ${CHART.width} ${height}" width="${CHART.width}" height="${height}">${bars.join('')}${axis}${clips.join('')}${legend.join('')}</svg>`
}
