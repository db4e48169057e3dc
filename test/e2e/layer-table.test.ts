// 10,000 layers: the table holds in the page only the rows that can be seen, wherever it is scrolled to. How smoothly it
// scrolls is a figure of `npm run bench -- window`.
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Folder } from './support/folder.ts'
import { saveLayers } from './support/layers.ts'
import { serve } from './support/serve.ts'
import { goTo, launchBrowser, openWindow } from './support/window.ts'

const LAYERS = 10_000

let browser: Browser
let folder: Folder

beforeAll(async () => {
  browser = await launchBrowser()
  folder = new Folder()
})
afterAll(async () => {
  await browser.close()
  folder[Symbol.dispose]()
})

/** Makes a project and adds the model by typing its path. */
async function addModel(page: Page, file: string): Promise<void> {
  await page.getByRole('button', { name: 'Skip the tour' }).click()
  await page.getByRole('button', { name: 'New project' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox').first().fill('Ten thousand layers')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('navigation', { name: 'Project pages' }).getByRole('link', { name: 'Models' }).click()
  await page.getByRole('main').getByRole('button', { name: 'Add model' }).first().click()
  const typed = page.getByRole('dialog').getByRole('textbox')
  await page.getByRole('dialog').getByRole('grid').waitFor()
  await typed.fill(file)
  await typed.press('Enter')
}

const rowIndices = (table: Locator): Promise<number[]> =>
  table.evaluate((element) =>
    [...element.querySelectorAll('[role=row].body')].map((row) => Number(row.getAttribute('aria-rowindex'))),
  )

test('a table of 10,000 layers keeps a window of rows, follows the scroll bar and the keyboard, and filters', async () => {
  const file = folder.file('layers.onnx')
  saveLayers(LAYERS, file)
  await using server = await serve(folder.file('workspace'))
  const { page, context, complaints } = await openWindow(browser, server.url)
  await addModel(page, file)

  const table = page.getByRole('grid', { name: 'Layers' })
  await table.waitFor({ timeout: 60_000 })
  expect(await table.getAttribute('aria-rowcount')).toBe(String(LAYERS + 1))
  const visible = await table.evaluate((element) => Math.ceil(element.clientHeight / 30))
  const limit = visible + 2 * 12 + 2

  const first = await rowIndices(table)
  expect(first[0]).toBe(2)
  expect(first.length).toBeLessThanOrEqual(limit)
  expect(first.length).toBeGreaterThanOrEqual(visible - 1)

  for (const share of [0.25, 0.5, 1]) {
    await table.evaluate((element, part) => {
      element.scrollTop = part * (element.scrollHeight - element.clientHeight)
    }, share)
    const wanted = Math.round(share * (LAYERS - visible)) + 2
    await expect
      .poll(async () => Math.abs(((await rowIndices(table))[0] ?? 0) + 12 - wanted))
      .toBeLessThan(16)
    expect((await rowIndices(table)).length).toBeLessThanOrEqual(limit)
  }
  await expect.poll(async () => (await rowIndices(table)).at(-1)).toBe(LAYERS + 1)

  await table.focus()
  await page.keyboard.press('Home')
  await expect.poll(async () => (await rowIndices(table))[0]).toBe(2)
  await page.keyboard.press('End')
  await expect.poll(async () => (await rowIndices(table)).at(-1)).toBe(LAYERS + 1)

  await page.getByRole('textbox', { name: 'Filter' }).fill('blocks.42.layers.7')
  // layers.7 and layers.70 to layers.79
  await expect.poll(() => table.getAttribute('aria-rowcount')).toBe('12')
  expect(complaints.list).toEqual([])
  await goTo(page, '#/')
  await context.close()
})
