// Calibration in the window: from the first job to a method in the recipe; the deploy check and the conversion of a model; what
// the comparison's form sends about samples.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defaultRecipe } from '../../contract/recipe.ts'
import { compareJobRequestSchema } from '../../contract/workspace.ts'
import { quantizeModel } from '../../engine/quantization/index.ts'
import { connect } from './screens/connect.ts'
import { seriousFindings, walkByKeyboard } from './support/accessibility.ts'
import { ROOT } from './support/build.ts'
import { Folder } from './support/folder.ts'
import { saveLayers } from './support/layers.ts'
import { serve, type Served } from './support/serve.ts'
import { goTo, launchBrowser, openWindow, settled, type OpenWindow } from './support/window.ts'

const SAMPLE_DATA = path.join(ROOT, 'resources/samples/sprite-diffusion/calibration')
/** Time for a calibration of the sample on a slow, busy machine. */
const CALIBRATION_TIMEOUT_MS = 180_000

let browser: Browser
let folder: Folder
let server: Served
let client: ReturnType<typeof connect>
let window: OpenWindow
let page: Page
let projectId: string
let project: string

beforeAll(async () => {
  browser = await launchBrowser()
  folder = new Folder()
  server = await serve(folder.file('workspace'))
  client = connect(server.url)
  await client.rpc.invoke('settings.set', { tourDone: true, theme: 'light', locale: 'en' })
  projectId = (await client.rpc.invoke('projects.createSample', {})).id
  project = `#/project/${projectId}`
  window = await openWindow(browser, server.url, { reducedMotion: true })
  page = window.page
  page.setDefaultTimeout(10_000)
})
afterAll(async () => {
  client.close()
  await browser.close()
  await server.stop()
  folder[Symbol.dispose]()
})

const main = () => page.getByRole('main')

/** Picks an entry of a list by keyboard; a click would land on the text that covers the field. */
async function choose(label: string, option: { name: string | RegExp; exact?: boolean }): Promise<void> {
  await page.getByRole('combobox', { name: label }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('option', option).click()
}

describe('calibration', () => {
  test('the first one is started on its page, shows its progress, and ends in a verdict', async () => {
    await goTo(page, `${project}/calibration`)
    await page.getByRole('heading', { name: 'No calibration yet' }).waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.getByRole('spinbutton').fill('12')
    await page.getByRole('spinbutton').press('Tab')
    await choose('Which samples', { name: 'equally from all time steps' })
    await expect
      .poll(() => main().locator('code').first().textContent())
      .toMatch(/^aqw calibrate .*--count 12 --selection timesteps/)
    await main().getByRole('button', { name: 'Calibrate', exact: true }).click()
    await page.getByRole('progressbar').first().waitFor()

    const coverage = page.getByRole('region', { name: 'Are the samples enough?' })
    await coverage.waitFor({ timeout: CALIBRATION_TIMEOUT_MS })
    const [calibration] = (await client.rpc.invoke('calibrations.list', { projectId })).calibrations
    const { report } = await client.rpc.invoke('calibrations.get', { jobId: calibration!.id })
    expect(calibration).toMatchObject({ samples: 12 })
    expect(report.data).toMatchObject({ selection: 'timesteps', timesteps: 'index' })

    const words = { enough: 'enough', not_enough: 'not enough', too_few: 'too few to tell' }
    await coverage.getByText(words[report.coverage.verdict], { exact: true }).waitFor()
    const settledCount = calibration!.tensors - report.coverage.growing_tensors
    const meter = coverage.getByRole('meter')
    expect(await meter.getAttribute('aria-valuenow')).toBe(String(settledCount))
    expect(await meter.getAttribute('aria-valuemax')).toBe(String(calibration!.tensors))
    await coverage.getByText(report.coverage.advice[0]!.en).waitFor()
  })

  test('the table lists every tensor, worst first, and narrows to those that still grow', async () => {
    const [calibration] = (await client.rpc.invoke('calibrations.list', { projectId })).calibrations
    const table = page.getByRole('grid', { name: 'Tensors' })
    await expect.poll(() => table.getAttribute('aria-rowcount')).toBe(String(calibration!.tensors + 1))
    const worst = await client.rpc.invoke('calibrations.tensors', {
      id: calibration!.id,
      sort: { by: 'sqnr', descending: false },
      limit: 1,
    })
    const first = table.locator('[role=row][aria-rowindex="2"]')
    expect(await first.textContent()).toContain(worst.tensors[0]!.chosen.sqnr_db!.toFixed(1))

    const growing = await client.rpc.invoke('calibrations.tensors', {
      id: calibration!.id,
      growing: true,
      limit: 1,
    })
    await page.getByRole('checkbox', { name: 'still growing' }).focus()
    await page.keyboard.press(' ')
    await expect.poll(() => table.getAttribute('aria-rowcount')).toBe(String(growing.total + 1))
    await page.keyboard.press(' ')
    await page.getByRole('textbox', { name: 'Filter by name' }).fill('resnets conv1')
    await expect.poll(() => table.getAttribute('aria-rowcount')).not.toBe(String(calibration!.tensors + 1))
  })

  test('a tensor opens by keyboard; a method goes into the recipe, and undo takes it back', async () => {
    const table = page.getByRole('grid', { name: 'Tensors' })
    await table.focus()
    await page.keyboard.press('Home')
    const methods = page.getByRole('grid', { name: 'Range methods' })
    await methods.waitFor()
    await settled(page)
    expect(await methods.getByText('chosen', { exact: true }).count()).toBe(1)
    expect(await methods.getByText('best', { exact: true }).count()).toBe(1)

    const [before] = (await client.rpc.invoke('recipes.list', { projectId })).recipes
    await methods.getByText('KL divergence').click()
    await page.getByRole('button', { name: 'Use KL divergence for this layer' }).click()
    await page.getByText('already uses KL divergence here').waitFor()
    const changed = await client.rpc.invoke('recipes.get', { id: before!.id })
    const added = changed.recipe.overrides.slice(before!.recipe.overrides.length)
    expect(added).toEqual([{ layer: expect.stringMatching(/resnets.*conv1$/), activation: { method: 'kl' } }])
    const check = await client.rpc.invoke('recipes.check', {
      modelId: (await client.rpc.invoke('models.list', { projectId })).models[0]!.id,
      recipe: changed.recipe,
    })
    expect(check.problems).toEqual([])

    await page.getByRole('button', { name: 'Undo' }).click()
    await expect
      .poll(async () => (await client.rpc.invoke('recipes.get', { id: before!.id })).recipe)
      .toEqual(before!.recipe)
  })

  test('channels, samples and time steps of the tensor are charts with words', async () => {
    for (const [view, label] of [
      [/^Channels/, /^Largest magnitude by channel: median/],
      ['Samples', /in 12 samples, from -?[\d.]+ to/],
      ['Time steps', /at \d+ time steps, the largest [\d.]+ times the smallest/],
    ] as const) {
      await page.getByRole('radio', { name: view }).click()
      await page.getByRole('img', { name: label }).waitFor()
    }
    const chosen = await page.evaluate('location.hash')
    expect(chosen).toContain('layer=')
    expect(await seriousFindings(page)).toEqual([])
    const { missed, mouseOnly } = await walkByKeyboard(page)
    expect([...missed, ...mouseOnly]).toEqual([])
  })

  test('the report is exported, and Data and Quantize lead to the next calibration', async () => {
    const download = page.waitForEvent('download', { timeout: 60_000 })
    await main().getByRole('button', { name: 'Export' }).click()
    await page.getByRole('menuitem', { name: 'JSON' }).click()
    expect((await download).suggestedFilename()).toMatch(/^calibration-.*\.json$/)

    for (const from of ['data', 'quantize']) {
      await goTo(page, `${project}/${from}`)
      await settled(page)
      await main().getByRole('button', { name: 'Calibrate', exact: true }).click()
      const dialog = page.getByRole('dialog', { name: 'Calibrate' })
      await dialog.waitFor()
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
    }
  })

  test('one that is cancelled says so and can be put away', async () => {
    await main().getByRole('button', { name: 'New calibration' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Calibrate', exact: true }).click()
    await page.getByRole('progressbar').first().waitFor()
    await main().getByRole('button', { name: 'Cancel', exact: true }).click()
    await page.getByRole('region', { name: 'The last calibration did not finish' }).waitFor()
    await main().getByRole('button', { name: 'Put away' }).click()
    await page
      .getByRole('region', { name: 'The last calibration did not finish' })
      .waitFor({ state: 'detached' })
  })
})

describe('models', () => {
  /** Three convolutions, quantized with two samples; both files that quantization writes. */
  async function quantized(): Promise<{ deploy: string; twin: string }> {
    const modelPath = folder.file('chain.onnx')
    saveLayers(3, modelPath)
    const data = folder.file('chain-data')
    mkdirSync(data)
    for (const sample of [0, 1]) {
      const values = Float32Array.from({ length: 32 }, (_, index) => Math.sin(index + sample))
      writeFileSync(path.join(data, `${sample}.bin`), values)
    }
    const { deployPath, fakeQuantPath } = await quantizeModel({
      modelPath,
      recipe: defaultRecipe,
      dataset: { folder: data },
      outputPrefix: folder.file('chain'),
    })
    return { deploy: deployPath, twin: fakeQuantPath }
  }
  let files: { deploy: string; twin: string }
  beforeAll(async () => {
    files = await quantized()
  })

  test('the deploy check lists findings, leads to the layer, and follows the SoC in the command', async () => {
    const twin = await client.rpc.invoke('models.add', { projectId, path: files.twin })
    await goTo(page, `${project}/models/${twin.id}`)
    await page.getByRole('radio', { name: 'Deploy check' }).click()
    const pane = page.getByRole('region', { name: 'Deploy check' })
    const command = pane.getByLabel('ATC command')
    await expect.poll(() => command.textContent()).toContain('--soc_version=Ascend310P3')
    const lint = await client.rpc.invoke('models.lint', { modelId: twin.id, soc: 'Ascend310P3' })
    expect(lint.counts.error).toBeGreaterThan(0)
    await pane.getByText(`${lint.counts.error} errors`).waitFor()
    expect(await pane.locator('.findings li').count()).toBe(lint.findings.length)
    await pane.getByText('ATC has no plug-in for it').first().waitFor()
    await pane.getByText('Convert the model: aqw convert').first().waitFor()

    await choose('SoC to check for', { name: 'Ascend910B4', exact: true })
    await expect.poll(() => command.textContent()).toContain('--soc_version=Ascend910B4')
    await pane.getByRole('button', { name: 'Copy command' }).click()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(await command.textContent())
    expect(await seriousFindings(page)).toEqual([])
    const { missed, mouseOnly } = await walkByKeyboard(page)
    expect([...missed, ...mouseOnly]).toEqual([])

    const node = lint.findings.find((finding) => finding.node !== null)!.node!
    await pane.getByRole('button', { name: `Show layer ${node}`, exact: true }).click()
    const table = page.getByRole('grid', { name: 'Layers' })
    await table.getByText(node, { exact: true }).waitFor()
    expect(await page.getByRole('textbox', { name: 'Filter by name, type, weight' }).inputValue()).toBe(node)
  })

  test('a deploy model becomes QDQ beside it in the project, and back to a file', async () => {
    const deploy = await client.rpc.invoke('models.add', { projectId, path: files.deploy })
    await goTo(page, `${project}/models/${deploy.id}`)
    await page.getByRole('button', { name: 'Convert to QDQ' }).click()
    const dialog = page.getByRole('dialog', { name: 'Convert to QDQ' })
    await dialog.getByRole('button', { name: 'Convert', exact: true }).click()
    await dialog.getByText(/^Converted: /).waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await dialog.getByRole('link', { name: 'Open the model' }).click()
    await expect.poll(() => page.evaluate('location.hash')).not.toContain(deploy.id)
    await page.getByText('DequantizeLinear', { exact: true }).waitFor()

    await page.getByRole('button', { name: 'Convert to Ascend' }).click()
    const back = page.getByRole('dialog', { name: 'Convert to Ascend' })
    await back.getByRole('radio', { name: 'to a file' }).click()
    const target = folder.file('back.onnx')
    await back.getByRole('textbox').fill(target)
    await back.getByRole('button', { name: 'Convert', exact: true }).click()
    await back.getByText(target).waitFor()
    const lint = await client.rpc.invoke('models.lint', { path: target })
    expect(lint.counts.error).toBe(0)
    await page.keyboard.press('Escape')
    await back.waitFor({ state: 'detached' })
  })
})

describe('the form of a comparison', () => {
  test('sends held-out data, the choice of samples and the host CPU', async () => {
    const heldOut = folder.file('held-out')
    cpSync(SAMPLE_DATA, heldOut, { recursive: true })
    const dataset = await client.rpc.invoke('datasets.add', { projectId, path: heldOut, name: 'Held out' })
    await goTo(page, `${project}/compare`)
    await page.getByRole('combobox', { name: 'Quality measured on' }).waitFor()
    await page.getByRole('spinbutton').first().fill('4')
    await page.getByRole('spinbutton').first().press('Tab')
    await choose('Which samples', { name: 'spread evenly over the data' })
    await choose('Quality measured on', { name: /^Held out/ })
    await page.getByText('Held out: the recipe never saw these samples.').waitFor()
    await page.getByRole('spinbutton').nth(1).fill('5')
    await page.getByRole('spinbutton').nth(1).press('Tab')
    await page.locator('.el-switch').click()
    await expect
      .poll(() => main().locator('.command code').textContent())
      .toMatch(/--count 4 --calibration-selection spread .*--samples 5 .*--host-cpu/)
    expect(await seriousFindings(page)).toEqual([])
    await main().getByRole('button', { name: 'Start', exact: true }).click()
    await page.getByRole('progressbar').first().waitFor()
    const [job] = (await client.rpc.invoke('jobs.list', { projectId, limit: 5 })).jobs
    expect(compareJobRequestSchema.parse(job!.request)).toMatchObject({
      calibrationSamples: 4,
      selection: 'spread',
      evaluationDatasetId: dataset.id,
      evaluationSamples: 5,
      hostCpu: true,
    })
    await client.rpc.invoke('jobs.cancel', { id: job!.id })
    await page.getByRole('progressbar').first().waitFor({ state: 'detached', timeout: 30_000 })
  })
})

test('nothing was complained about', () => {
  expect(window.complaints.list).toEqual([])
})
