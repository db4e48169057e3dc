// Reports of comparisons and calibrations: one document each, several formats.
import type { CalibrationReport } from '../../contract/calibration.ts'
import { buildCalibrationReport } from './calibration.ts'
import { buildReport, type ReportEntry } from './build.ts'
import { renderCsv } from './csv.ts'
import { renderHtml } from './html.ts'
import { renderMarkdown } from './markdown.ts'
import { printPdf } from './pdf.ts'
import type { ReportLocale } from './texts.ts'

export { calibrationSummaryBlocks } from './calibration.ts'
export { summaryBlocks, type ReportEntry } from './build.ts'
export type { Block } from './document.ts'
export { renderJunit } from './junit.ts'
export { findBrowser } from './pdf.ts'
export type { ReportLocale } from './texts.ts'

export const reportFormats = ['html', 'pdf', 'md', 'csv', 'json'] as const
export type ReportFormat = (typeof reportFormats)[number]

const MEDIA_TYPES: Record<ReportFormat, string> = {
  html: 'text/html; charset=utf-8',
  pdf: 'application/pdf',
  md: 'text/markdown; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  json: 'application/json; charset=utf-8',
}

export interface RenderedReport {
  bytes: Buffer
  mediaType: string
}

/**
 * Renders one or several comparisons.
 * @param format `pdf` needs an installed Chromium
 * @throws AppError E_REPORT_NO_BROWSER, E_REPORT_PRINT, E_CANCELLED
 */
export async function renderReport(
  entries: readonly ReportEntry[],
  format: ReportFormat,
  locale: ReportLocale,
  signal?: AbortSignal,
): Promise<RenderedReport> {
  const mediaType = MEDIA_TYPES[format]
  if (format === 'json') {
    const comparisons = entries.map((entry) => entry.comparison)
    const value = comparisons.length === 1 ? comparisons[0] : comparisons
    return { bytes: Buffer.from(`${JSON.stringify(value, null, 2)}\n`), mediaType }
  }
  const document = buildReport(entries, locale)
  if (format === 'md') return { bytes: Buffer.from(renderMarkdown(document)), mediaType }
  if (format === 'csv') return { bytes: Buffer.from(renderCsv(document)), mediaType }
  const html = renderHtml(document, entries)
  if (format === 'html') return { bytes: Buffer.from(html), mediaType }
  return { bytes: await printPdf(html, signal), mediaType }
}

export const calibrationFormats = ['html', 'pdf', 'md', 'json'] as const
export type CalibrationFormat = (typeof calibrationFormats)[number]

/**
 * Renders a calibration report. The JSON form is the report itself; the page embeds everything but the samples of each
 * tensor, which are only there.
 * @throws AppError E_REPORT_NO_BROWSER, E_REPORT_PRINT, E_CANCELLED
 */
export async function renderCalibration(
  report: CalibrationReport,
  format: CalibrationFormat,
  locale: ReportLocale,
  signal?: AbortSignal,
): Promise<RenderedReport> {
  const mediaType = MEDIA_TYPES[format]
  if (format === 'json') return { bytes: Buffer.from(`${JSON.stringify(report, null, 1)}\n`), mediaType }
  const document = buildCalibrationReport(report, locale)
  if (format === 'md') return { bytes: Buffer.from(renderMarkdown(document)), mediaType }
  const tensors = report.tensors.map(({ samples: _samples, ...tensor }) => tensor)
  const html = renderHtml(document, { ...report, tensors })
  if (format === 'html') return { bytes: Buffer.from(html), mediaType }
  return { bytes: await printPdf(html, signal), mediaType }
}
