// What a person does between the first start and a finished comparison, and how the result reads.
import type { Download, Page } from 'playwright-core'

/** Time for the sample comparison on a slow, busy machine. */
export const COMPARISON_TIMEOUT_MS = 180_000

/** On Home: one click makes the sample project and starts its comparison. */
export async function startSampleComparison(page: Page): Promise<void> {
  await page
    .getByRole('region', { name: 'Sample project' })
    .getByRole('button', { name: 'Compare FP16 and INT8' })
    .click()
  await page.getByRole('progressbar').first().waitFor()
}

/** Waits until the finished comparison is on screen. */
export async function comparisonShown(page: Page): Promise<void> {
  await page.locator('table').first().waitFor({ timeout: COMPARISON_TIMEOUT_MS })
  await page.getByRole('columnheader', { name: 'INT8', exact: true }).waitFor()
}

/** The comparison as it is on screen. */
export interface ShownComparison {
  headline: string
  /** `simulated …` or `measured …`. */
  source: string
  verdict: string
  columns: string[]
  /** Cells by the title of their row. */
  rows: Record<string, string[]>
}

export function readComparison(page: Page): Promise<ShownComparison> {
  return page.locator('html').evaluate((root): ShownComparison => {
    const text = (element: { textContent: string | null } | null | undefined): string =>
      (element?.textContent ?? '').replaceAll(/\s+/g, ' ').trim()
    const table = root.querySelector('table')
    const rows = [...(table?.querySelectorAll('tbody tr') ?? [])].map((row): [string, string[]] => [
      text(row.querySelector('th')),
      [...row.querySelectorAll('td')].map(text),
    ])
    const header = root.querySelector('header.verdict')
    return {
      headline: text(header?.querySelector('h1')),
      source: text(header?.querySelector('.tag')),
      verdict: text(header?.querySelector('button .tag')),
      columns: [...(table?.querySelectorAll('thead th') ?? [])].map(text),
      rows: Object.fromEntries(rows),
    }
  })
}

/**
 * What repeats exactly on a simulated device: everything but load times and how many runs fit into the wanted duration,
 * which both come from the clock of this machine.
 */
export function repeatable(shown: ShownComparison): ShownComparison {
  const rows = Object.entries(shown.rows)
    .filter(([title]) => !title.startsWith('Load time'))
    .map(([title, cells]) => [title.replace(/, has [\d,]+$/, ''), cells])
  return { ...shown, rows: Object.fromEntries(rows) as Record<string, string[]> }
}

/** Chooses a format in the menu of `Export report`; in a browser the report is downloaded. */
export async function exportReport(
  page: Page,
  format: 'HTML, one file' | 'PDF' | 'Markdown' | 'CSV' | 'JSON',
): Promise<Download> {
  const download = page.waitForEvent('download', { timeout: 60_000 })
  await page.getByRole('button', { name: 'Export report' }).click()
  await page.getByRole('menuitem', { name: format, exact: true }).click()
  return download
}
