// Generated quality in a real browser: one comparison with a short task; its figures, pictures, blind votes and gates.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Job } from '../../contract/workspace.ts'
import { seriousFindings, walkByKeyboard } from './support/accessibility.ts'
import { ROOT } from './support/build.ts'
import { Folder } from './support/folder.ts'
import { serve, type Served } from './support/serve.ts'
import { goTo, launchBrowser, openWindow, settled } from './support/window.ts'
import { connect } from './screens/connect.ts'

const SAMPLE = path.join(ROOT, 'resources/samples/sprite-diffusion')
const COUNT = 2

let browser: Browser
let folder: Folder
let server: Served
let projectId = ''
let plainRun = ''
let runId = ''

/** The sample task with few steps, its files named absolutely. */
function shortTask(): string {
  const text = readFileSync(path.join(SAMPLE, 'task.json'), 'utf8')
    .replace(/"([\w]+\.(?:onnx|json|f32))"/g, (_, name: string) => JSON.stringify(path.join(SAMPLE, name)))
    .replace('"steps": 20', '"steps": 2')
  const file = folder.file('task.json')
  writeFileSync(file, text)
  return file
}

beforeAll(async () => {
  browser = await launchBrowser()
  folder = new Folder()
  server = await serve(folder.file('workspace'))
  const { rpc, close } = connect(server.url)
  try {
    await rpc.invoke('settings.set', { tourDone: true })
    projectId = (await rpc.invoke('projects.createSample', {})).id
    const [model] = (await rpc.invoke('models.list', { projectId })).models
    const [dataset] = (await rpc.invoke('datasets.list', { projectId })).datasets
    const base = {
      modelId: model!.id,
      datasetId: dataset!.id,
      device: 'sim:Ascend310P3',
      calibrationSamples: 2,
      evaluationSamples: 1,
      scenario: { loopCount: 5, warmupRuns: 0, warmupMs: 0 },
    }
    const finished = async (request: object): Promise<string> => {
      const job = await rpc.invoke('jobs.start', {
        projectId,
        kind: 'compare',
        request: { ...base, ...request },
      })
      const ended = await new Promise<Job>((resolve) => {
        const stop = rpc.subscribe('jobs.progress', { id: job.id }, (event) => {
          if (!['done', 'failed', 'cancelled', 'interrupted'].includes(event.job.state)) return
          queueMicrotask(() => stop())
          resolve(event.job)
        })
      })
      if (!ended.runId) throw new Error(`the job is ${ended.state}: ${ended.error?.message ?? ''}`)
      return ended.runId
    }
    plainRun = await finished({})
    runId = await finished({
      task: { path: shortTask(), count: COUNT },
      gates: ['quality.ssim > 0.1 && latency.mean < 0', 'qps > 0'],
    })
  } finally {
    close()
  }
})
afterAll(async () => {
  await browser.close()
  await server[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

const at = (view: string): string => `#/project/${projectId}/${view}`
const open = async (view: string, dark = false) => {
  const opened = await openWindow(browser, server.url, { dark, reducedMotion: true })
  await goTo(opened.page, at(view))
  return opened
}
const naturalWidths = (page: Page): Promise<number[]> =>
  page
    .locator('[role=option] img')
    .evaluateAll((images: { naturalWidth: number }[]) => images.map((image) => image.naturalWidth))

test('a comparison shows metrics of every side and the outcome of its gates', async () => {
  const { page, context, complaints } = await open(`compare/${runId}`)
  const section = page.getByRole('region', { name: 'Generated quality' }).first()
  await section.getByRole('columnheader', { name: /FP32 reference/ }).waitFor()
  for (const column of [/FP16 baseline/, /INT8 candidate/])
    expect(await section.getByRole('columnheader', { name: column }).count()).toBe(1)
  const fid = section
    .getByRole('row', { name: /^FID lower/ })
    .or(section.getByRole('row', { name: /^FID ↓/ }))
  expect(await fid.first().textContent()).toContain('needs 256, has 2')
  expect(await section.getByRole('row', { name: /^PSNR/ }).textContent()).toMatch(/\d/)

  const gates = page.getByRole('region', { name: 'Gates' })
  const items = gates.getByRole('listitem')
  expect(await items.nth(0).textContent()).toContain('failed')
  expect(await items.nth(1).textContent()).toContain('passed')
  expect(await gates.textContent()).toContain('1 of 2 gates did not pass')

  await goTo(page, at(`compare/${plainRun}`))
  await page.getByText('What do the sides generate?').waitFor()
  await page.getByRole('button', { name: 'Compare with a quality task' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('none: only the model’s own outputs are judged').click()
  await page.getByRole('option', { name: 'Sample: Sprites from captions' }).click()
  await dialog.getByText(/20 steps/).waitFor()
  await dialog.getByText(/aqw compare .*--task/).waitFor()
  await dialog.getByRole('button', { name: /^Gates/ }).click()
  await dialog.getByRole('button', { name: 'Add condition' }).click()
  const gate = dialog.getByRole('combobox', { name: 'Condition 1' })
  await gate.pressSequentially('quality.fid_')
  await page.keyboard.press('Enter')
  expect(await gate.inputValue()).toBe('quality.fid_delta')
  await gate.pressSequentially(' <')
  await dialog.getByText(/^At character/).waitFor()
  expect(await dialog.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true)
  await gate.pressSequentially(' 1')
  await dialog.getByText(/^At character/).waitFor({ state: 'detached' })
  expect(await dialog.getByRole('button', { name: 'Start' }).isDisabled()).toBe(false)

  expect(complaints.list).toEqual([])
  await context.close()
})

test('pictures are shown for every side; blink, slider and difference work by keyboard', async () => {
  const { page, context, complaints } = await open('quality')
  const list = page.getByRole('listbox', { name: 'Samples' })
  await list.getByRole('option').first().waitFor()
  await expect.poll(() => naturalWidths(page)).toEqual(Array.from({ length: 3 * COUNT }, () => 64))

  await list.focus()
  const first = await page.getByRole('option', { selected: true }).textContent()
  await page.keyboard.press('End')
  expect(await page.getByRole('option', { selected: true }).textContent()).not.toBe(first)

  const [, fp16, int8] = await page
    .getByRole('option', { selected: true })
    .locator('img')
    .evaluateAll((images: { src: string }[]) => images.map((image) => image.src))
  expect(fp16).not.toBe(int8)
  await page.keyboard.press(' ')
  await page.getByRole('button', { name: 'shows FP16' }).waitFor()
  const shown = () => page.locator('.stage img:visible').getAttribute('src')
  await expect.poll(shown).toBe(fp16)
  await page.keyboard.press(' ')
  await page.getByRole('button', { name: 'shows INT8' }).waitFor()
  await expect.poll(shown).toBe(int8)

  await page.getByRole('radio', { name: 'Slider' }).click()
  const slider = page.getByRole('slider', { name: 'Boundary between FP16 and INT8' })
  await slider.focus()
  await page.keyboard.press('Home')
  expect(await slider.inputValue()).toBe('0')

  await page.getByRole('radio', { name: 'Difference' }).click()
  await page.getByText(/largest \d+ of 255/).waitFor()
  const factor = page.getByRole('slider', { name: /Amplified/ })
  await factor.focus()
  await page.keyboard.press('End')
  await page.getByRole('img', { name: 'Difference between FP16 and INT8, amplified 32 times' }).waitFor()

  await settled(page)
  expect(await seriousFindings(page)).toEqual([])
  const keyboard = await walkByKeyboard(page)
  expect([...keyboard.missed, ...keyboard.mouseOnly]).toEqual([])
  expect(complaints.list).toEqual([])
  await context.close()
})

test('blind votes are stored and summarised, and nothing on the page tells the sides apart', async () => {
  const { page, context, complaints } = await open(`vote/${runId}`, true)
  await page.getByRole('textbox', { name: 'Your name' }).fill('anna')
  await page.getByRole('button', { name: 'Start voting' }).click()
  await page.getByText(`0 of ${COUNT} judged`).waitFor()
  await page.getByRole('img', { name: 'Left picture' }).waitFor()
  const html = (await page.locator('main').innerHTML()).replaceAll(/data:image[^"]*/g, '')
  expect(html).not.toMatch(/FP16|INT8|FP32/i)
  expect(await page.getByText(/was preferred/).count(), 'results are hidden while voting').toBe(0)
  await settled(page)
  expect(await seriousFindings(page)).toEqual([])

  await page.keyboard.press('1')
  await page.getByText(`1 of ${COUNT} judged`).waitFor()
  await page.keyboard.press('z')
  await page.getByText(`0 of ${COUNT} judged`).waitFor()
  await page.keyboard.press('2')
  await page.getByText(`1 of ${COUNT} judged`).waitFor()
  await page.keyboard.press('0')
  await page.getByText('All pairs are judged').waitFor()
  await page.getByText(/(INT8|FP16) was preferred in (0|100)\.0 % of decided votes/).waitFor()
  await page.getByText(/1 without a difference · 0 skipped/).waitFor()

  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Export CSV' }).click()
  const rows = readFileSync(await (await download).path(), 'utf8')
    .trim()
    .split('\r\n')
  expect(rows).toHaveLength(1 + COUNT)
  expect(rows.at(-1)).toMatch(/,FP16,INT8,tie,anna,/)

  expect(complaints.list).toEqual([])
  await context.close()
})

test('a folder of pictures is previewed and becomes a data set', async () => {
  const { page, context, complaints } = await open('data')
  await page.getByRole('button', { name: 'Prepare pictures' }).click()
  const pictures = folder.file('pictures')
  const dialog = page.getByRole('dialog')
  const source = readFileSync(path.join(SAMPLE, 'generated_grid.png'))
  mkdirSync(pictures)
  for (const name of ['a.png', 'b.png']) writeFileSync(path.join(pictures, name), source)
  await dialog.getByRole('textbox', { name: 'Folder of pictures' }).fill(pictures)
  await page.keyboard.press('Tab')
  await dialog.getByText('a.png, 1 of 2').waitFor()
  await dialog.getByText('values of the input').waitFor()
  expect(await dialog.getByText('256×256×3').count()).toBeGreaterThan(0)
  await dialog.getByRole('button', { name: 'Prepare and add' }).click()
  await page.getByText(/^2 pictures prepared in /).waitFor()
  await page.getByRole('link', { name: /^pictures-prepared|^pictures/ }).waitFor()
  expect(complaints.list).toEqual([])
  await context.close()
})
