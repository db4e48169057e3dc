// From an empty workspace to a finished comparison in a real browser, by nothing but what a person does; then everything
// is closed, started again, and still there.
import { readFileSync } from 'node:fs'
import type { Browser, Download } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Folder } from './support/folder.ts'
import {
  comparisonShown,
  exportReport,
  readComparison,
  startSampleComparison,
  type ShownComparison,
} from './support/journey.ts'
import { serve } from './support/serve.ts'
import { launchBrowser, openWindow } from './support/window.ts'

let browser: Browser
let folder: Folder
let first: ShownComparison

beforeAll(async () => {
  browser = await launchBrowser()
  folder = new Folder()
})
afterAll(async () => {
  await browser.close()
  folder[Symbol.dispose]()
})

const contentOf = async (download: Download): Promise<Buffer> => readFileSync(await download.path())

test('the first start leads to a finished comparison and its reports', async () => {
  await using server = await serve(folder.file('workspace'))
  const { page, context, complaints } = await openWindow(browser, server.url)

  expect(page.url(), 'the token does not stay in the address').not.toContain('token')
  await page.getByText('Your projects will be listed here').waitFor()
  await page.getByText('Step 1 of 4').waitFor()
  await page.getByRole('button', { name: 'Skip the tour' }).click()
  await page.getByText('Step 1 of 4').waitFor({ state: 'detached' })

  await startSampleComparison(page)
  // Stages appear by name while the job runs.
  await page.getByRole('list', { name: 'Stages' }).getByText('quantize').waitFor()
  await comparisonShown(page)

  first = await readComparison(page)
  expect(first.columns).toEqual(['Name', 'FP16', 'INT8', 'change', '95 %'])
  expect(first.source).toContain('simulated')
  expect(first.verdict).toContain('VALID')
  expect(first.headline).toMatch(/^INT8 is /)
  for (const title of ['Latency, mean', 'p50', 'p90', 'p99', 'Throughput', 'Model size', 'Device memory']) {
    const row = Object.entries(first.rows).find(([name]) => name.startsWith(title))
    expect(row?.[1][0], `${title}, FP16`).toMatch(/^[\d.,]+$/)
    expect(row?.[1][1], `${title}, INT8`).toMatch(/^[\d.,]+$/)
  }
  const size = Object.entries(first.rows).find(([name]) => name.startsWith('Model size'))?.[1] ?? []
  expect(Number(size[1]), 'INT8 is smaller than FP16').toBeLessThan(Number(size[0]))

  // The same action for the terminal, and the table for a chat.
  await page.getByRole('button', { name: /^Copy command: aqw compare / }).waitFor()
  await page.getByRole('button', { name: 'Copy as Markdown' }).click()
  await page.getByText('Table copied as Markdown').waitFor()
  const markdown = await page.evaluate<string>('navigator.clipboard.readText()')
  expect(markdown).toMatch(/^\|.*FP16.*INT8/m)
  expect(markdown.split('\n').slice(0, 4).join('\n')).toContain('simulated')

  const html = (await contentOf(await exportReport(page, 'HTML, one file'))).toString('utf8')
  expect(html).toMatch(/^<!doctype html>/i)
  expect(html, 'the report loads nothing from elsewhere').not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
  const report = (await contentOf(await exportReport(page, 'Markdown'))).toString('utf8')
  expect(report.split('\n').slice(0, 6).join('\n')).toMatch(/simulated/i)
  const pdf = await contentOf(await exportReport(page, 'PDF'))
  expect(pdf.subarray(0, 5).toString('latin1')).toBe('%PDF-')

  expect(complaints.list).toEqual([])
  await context.close()
  expect(await server.stop()).toBe(0)
})

test('after the next start everything is still there', async () => {
  await using server = await serve(folder.file('workspace'))
  const { page, context, complaints } = await openWindow(browser, server.url)
  const recents = page.getByRole('main').getByRole('link', { name: 'Sprite diffusion' })
  await recents.first().click()
  await page.getByRole('heading', { name: 'Sprite diffusion' }).waitFor()
  expect(await page.getByText('Step 1 of 4').count(), 'the tour stays away').toBe(0)

  const pages = page.getByRole('navigation', { name: 'Project pages' })
  await pages.getByRole('link', { name: /^Compare/ }).click()
  await comparisonShown(page)
  expect(await readComparison(page)).toEqual(first)

  await pages.getByRole('link', { name: /^Models/ }).click()
  await page.getByRole('grid', { name: 'Layers' }).waitFor()
  await pages.getByRole('link', { name: /^Data/ }).click()
  await page.getByText('Trajectories').first().waitFor()
  await pages.getByRole('link', { name: /^Jobs/ }).click()
  await page.getByText('done', { exact: true }).first().waitFor()

  expect(complaints.list).toEqual([])
  await context.close()
})
