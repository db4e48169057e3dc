// Report document -> one self-contained HTML file: inline styles and SVG charts, data embedded as JSON, works offline.
import type { BarsBlock, Block, ReportDocument, TableBlock } from './document.ts'
import { histogramSvg } from './histogram-svg.ts'

/** Okabe-Ito hues that stay apart for colour-blind readers, the baseline muted. */
const SERIES_COLOURS = ['#7a8794', '#0b6e6e', '#b5651d', '#5b4b8a', '#8a6d00', '#2f6fb0']

const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--ink:#16191d;--muted:#5b6470;--line:#e3e6ea;--soft:#f6f7f8;--good:#18794e;--bad:#b42318;--label:#fff4d6;--label-ink:#7a5200}
@media (prefers-color-scheme:dark){@media screen{:root{--bg:#161a1f;--ink:#e8ebee;--muted:#a3adb8;--line:#2c333b;--soft:#0f1215;--good:#57c994;--bad:#ff8a7a;--label:#33290f;--label-ink:#e3b341}}}
*{box-sizing:border-box}body{margin:0 auto;max-width:960px;padding:32px 24px;background:var(--bg);color:var(--ink);font:14px/1.5 "Inter","Noto Sans CJK SC","Microsoft YaHei",system-ui,sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:22px;margin:0 0 8px}h2{font-size:17px;margin:28px 0 8px;padding-top:12px;border-top:1px solid var(--line)}h3{font-size:14px;margin:20px 0 6px}
.label{display:inline-block;background:var(--label);color:var(--label-ink);border-radius:4px;padding:4px 10px;font-weight:600;margin:0 0 8px}
table{border-collapse:collapse;width:100%;margin:8px 0}th,td{padding:5px 10px;border-top:1px solid var(--line);text-align:right;white-space:nowrap}th{color:var(--muted);font-weight:500;border-top:0}th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:240px}.scroll{overflow-x:auto}
td.good{color:var(--good);font-weight:600}td.bad{color:var(--bad);font-weight:600}
ul{padding-left:20px}li{overflow-wrap:anywhere}pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:10px 12px;overflow-x:auto;font:12px/1.45 "JetBrains Mono","DejaVu Sans Mono",monospace;white-space:pre-wrap;overflow-wrap:anywhere}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font-size:12px}svg .muted{fill:var(--muted)}
@media print{body{max-width:none;padding:0}h2{break-after:avoid}table,svg,pre{break-inside:avoid}}
`

/** Escapes text for element content and attribute values. */
function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

function tableHtml(block: TableBlock): string {
  const head = block.columns.map((column) => `<th scope="col">${escape(column)}</th>`).join('')
  const rows = block.rows.map((row) => {
    const cells = row.cells.map((cell, index) => {
      const tone = row.tones?.[index]
      return `<td${tone && tone !== 'none' ? ` class="${tone}"` : ''}>${escape(cell)}</td>`
    })
    return `<tr><td>${escape(row.label)}</td>${cells.join('')}</tr>`
  })
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

const CHART = { width: 900, labelWidth: 190, valueWidth: 90, bar: 9, gap: 10, top: 26 }

/** About as wide as a text of this length gets: East Asian characters are twice as wide as others. */
function textWidth(text: string): number {
  return [...text].reduce((width, character) => width + (character > '\u2e7f' ? 12 : 6.5), 0)
}

function barsSvg(block: BarsBlock): string {
  const largest = Math.max(...block.rows.flatMap((row) => row.values), Number.MIN_VALUE)
  const rowHeight = block.series.length * CHART.bar + CHART.gap
  const height = CHART.top + block.rows.length * rowHeight + 4
  const room = CHART.width - CHART.labelWidth - CHART.valueWidth
  let next = CHART.labelWidth
  const legend = block.series.map((name, index) => {
    const x = next
    next += Math.max(150, textWidth(name) + 40)
    return `<rect x="${x}" y="4" width="10" height="10" rx="2" fill="${SERIES_COLOURS[index % SERIES_COLOURS.length]}"/><text x="${x + 15}" y="13">${escape(name)}</text>`
  })
  const rows = block.rows.map((row, rowIndex) => {
    const y = CHART.top + rowIndex * rowHeight
    const middle = y + (block.series.length * CHART.bar) / 2 + 4
    const bars = row.values.map((value, index) => {
      const width = Math.max(value > 0 ? 1 : 0, (value / largest) * room)
      const colour = SERIES_COLOURS[index % SERIES_COLOURS.length]
      const barY = y + index * CHART.bar
      const title = `${row.label}, ${block.series[index] ?? ''}: ${value.toFixed(4)} ${block.unit}`
      return `<rect x="${CHART.labelWidth}" y="${barY}" width="${width.toFixed(1)}" height="${CHART.bar - 2}" rx="2" fill="${colour}"><title>${escape(title)}</title></rect>`
    })
    const values = row.values.map((value) => value.toFixed(3)).join(' / ')
    return `<text x="${CHART.labelWidth - 8}" y="${middle}" text-anchor="end">${escape(row.label)}</text>${bars.join('')}<text class="muted" x="${CHART.width}" y="${middle}" text-anchor="end">${values}</text>`
  })
  return `<h3>${escape(block.title)}</h3><svg role="img" aria-label="${escape(block.title)}" viewBox="0 0 ${CHART.width} ${height}" width="${CHART.width}" height="${height}">${legend.join('')}${rows.join('')}</svg>`
}

function blockHtml(block: Block): string {
  switch (block.kind) {
    case 'heading':
      return `<h${block.level}>${escape(block.text)}</h${block.level}>`
    case 'paragraph':
      return `<p>${escape(block.text)}</p>`
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escape(item)}</li>`).join('')}</ul>`
    case 'code':
      return `<pre>${escape(block.text)}</pre>`
    case 'table':
      return tableHtml(block)
    case 'bars':
      return barsSvg(block)
    case 'histogram':
      return histogramSvg(block, escape)
  }
}

/** @param data embedded as JSON under `#data`, so that a script can read the report back */
export function renderHtml(document: ReportDocument, data: unknown): string {
  // `<` must not end the script element early.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c')
  return `<!doctype html>
<html lang="${document.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(document.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(document.title)}</h1>
<p class="label">${escape(document.label)}</p>
${document.blocks.map(blockHtml).join('\n')}
<script type="application/json" id="data">${json}</script>
</body>
</html>
`
}
