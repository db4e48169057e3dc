// What a person sees when the window reloads during a comparison, and when the engine process is killed in it. The
// result afterwards must be the one of a comparison that nobody disturbed. test/integration/host kills every stage.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Folder } from './support/folder.ts'
import {
  comparisonShown,
  readComparison,
  startSampleComparison,
  repeatable,
  type ShownComparison,
} from './support/journey.ts'
import { descendants, enginePid, isAlive, serve, until } from './support/serve.ts'
import { engineReady, launchBrowser, openWindow } from './support/window.ts'

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

/** Waits until a stage of the shown job is under way. */
async function stageRuns(page: Page, name: string): Promise<void> {
  const stages = page.getByRole('list', { name: 'Stages' })
  await stages
    .getByRole('listitem')
    .filter({ hasText: name })
    .filter({ hasText: 'running' })
    .waitFor({ timeout: 90_000 })
}

const percentOf = async (page: Page): Promise<number> =>
  Number(await page.getByRole('progressbar').first().getAttribute('aria-valuenow'))

/** kill -9, and the wait until nothing of the engine is left. */
async function killEngine(workspace: string): Promise<void> {
  const engine = enginePid(workspace)
  const below = descendants(engine)
  expect(below.length, 'a worker runs').toBeGreaterThan(0)
  process.kill(engine, 'SIGKILL')
  await until(() => !isAlive(engine) && !below.some(isAlive), 'the workers end with their engine')
}

async function undisturbed(): Promise<ShownComparison> {
  await using server = await serve(folder.file('undisturbed'))
  const { page, context } = await openWindow(browser, server.url)
  await startSampleComparison(page)
  await comparisonShown(page)
  const shown = await readComparison(page)
  await context.close()
  return shown
}

test('reloaded and twice killed, a comparison is resumed in the window and ends with the same result', async () => {
  await using server = await serve(folder.file('disturbed'))
  const { page, context, complaints } = await openWindow(browser, server.url)
  await page.getByRole('button', { name: 'Skip the tour' }).click()
  await startSampleComparison(page)

  // Reload in the middle: the job never notices.
  await stageRuns(page, 'quantize')
  const before = await percentOf(page)
  await page.reload()
  await engineReady(page)
  await stageRuns(page, 'quantize')
  expect(await percentOf(page)).toBeGreaterThanOrEqual(before)

  const engine = enginePid(server.workspace)
  await killEngine(server.workspace)
  await page.getByText('interrupted', { exact: true }).first().waitFor()
  await engineReady(page)
  expect(enginePid(server.workspace), 'another engine process').not.toBe(engine)
  await page.getByRole('button', { name: 'Resume' }).click()

  await stageRuns(page, 'benchmark')
  await killEngine(server.workspace)
  await page.getByText('interrupted', { exact: true }).first().waitFor()
  await page.getByRole('button', { name: 'Resume' }).click()
  // What was finished before is not done again.
  const stages = page.getByRole('list', { name: 'Stages' })
  await stages.getByRole('listitem').filter({ hasText: 'quantize' }).getByText('reused').waitFor()
  await comparisonShown(page)

  const shown = await readComparison(page)
  expect(shown.verdict).toContain('VALID')
  expect(repeatable(shown)).toEqual(repeatable(await undisturbed()))
  expect(complaints.list).toEqual([])
  await context.close()
})
