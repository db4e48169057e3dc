// The Quantize page: every kind of setting made in the window is in the saved recipe; presets, rules, many layers at once, JSON.
import { readFileSync, writeFileSync } from 'node:fs'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Recipe } from '../../contract/recipe.ts'
import { parseRecipe } from '../../engine/quantization/index.ts'
import { connect } from './screens/connect.ts'
import { seriousFindings, walkByKeyboard } from './support/accessibility.ts'
import { Folder } from './support/folder.ts'
import { saveLayers } from './support/layers.ts'
import { serve, type Served } from './support/serve.ts'
import { goTo, launchBrowser, openWindow, settled, type OpenWindow } from './support/window.ts'

let browser: Browser
let folder: Folder
let server: Served
let client: ReturnType<typeof connect>
let window: OpenWindow
let page: Page
let projectId: string

beforeAll(async () => {
  browser = await launchBrowser()
  folder = new Folder()
  server = await serve(folder.file('workspace'))
  client = connect(server.url)
  await client.rpc.invoke('settings.set', { tourDone: true, theme: 'light', locale: 'en' })
  projectId = (await client.rpc.invoke('projects.createSample', {})).id
  window = await openWindow(browser, server.url, { reducedMotion: true })
  page = window.page
  page.setDefaultTimeout(8_000)
})
afterAll(async () => {
  client.close()
  await browser.close()
  await server.stop()
  folder[Symbol.dispose]()
})

/** A fresh default recipe, open on the page. */
let recipeId: string
beforeEach(async () => {
  const saved = await client.rpc.invoke('recipes.save', {
    projectId,
    name: 'Under test',
    recipe: { schema: 'aqw.recipe/1' } as Recipe,
  })
  recipeId = saved.id
  await goTo(page, '#/')
  await goTo(page, `#/project/${projectId}/quantize/${recipeId}`)
  await page.getByRole('grid', { name: 'Layers' }).getByText('unet.conv_in').waitFor()
  await settled(page)
})
afterEach(async () => {
  await client.rpc.invoke('recipes.delete', { id: recipeId })
  // Leaving with unsaved changes asks.
  page.once('dialog', (dialog) => void dialog.accept())
  await goTo(page, '#/')
  page.removeAllListeners('dialog')
})

/** Saves with the shortcut; the recipe as it then is in the workspace. */
async function saved(): Promise<Recipe> {
  const read = () => client.rpc.invoke('recipes.get', { id: recipeId })
  const before = (await read()).updatedAt
  // The key is pressed again while nothing has been saved, as a person would who sees the mark of unsaved changes.
  const press = async (): Promise<string> => {
    await page.keyboard.press('Control+S')
    return (await read()).updatedAt
  }
  await expect.poll(press, { timeout: 20_000, interval: 1000 }).not.toBe(before)
  return (await read()).recipe
}

const section = (name: string): Locator =>
  page.getByRole('heading', { level: 3 }).getByRole('button', { name: new RegExp(`^${name}`) })

async function openSection(name: string): Promise<void> {
  const head = section(name)
  if ((await head.getAttribute('aria-expanded')) === 'false') await head.click()
}

async function choose(within: Page | Locator, label: string, name: string | RegExp): Promise<void> {
  const box = within.getByRole('combobox', { name: label, exact: true })
  // A key that comes while the form is drawn anew is lost, as a person's would be: it is pressed again.
  for (let attempt = 0; attempt < 3; attempt++) {
    if ((await box.getAttribute('aria-expanded')) !== 'true') await box.press('Enter')
    const list = page.locator(`#${await box.getAttribute('aria-controls')}`)
    const option = list.getByRole('option', { name, exact: true })
    const chosen = await option.click({ timeout: 3000 }).then(
      () => true,
      () => false,
    )
    if (chosen) return
  }
  throw new Error(`${label} does not offer ${String(name)}`)
}

/** Types into a field that takes its value when it is left. */
async function fill(within: Page | Locator, label: string, value: string): Promise<void> {
  const field = within.getByRole('textbox', { name: label, exact: true })
  await field.fill(value)
  await field.press('Tab')
}

const group = (name: string): Locator => page.getByRole('group', { name, exact: true })
const turnOn = (name: string): Promise<void> => group(name).getByRole('switch').first().press('Space')

async function pick(label: string, within: Page | Locator, pattern: string): Promise<void> {
  const box = within.getByRole('combobox', { name: label, exact: true })
  await box.fill(pattern)
  await box.press('Enter')
  await box.press('Escape')
}

describe('settings', () => {
  test('precision, activations and weights', async () => {
    await page.getByRole('radio', { name: /^W8A16/ }).check()
    await choose(page, 'Range method', 'IFMR')
    await choose(page, 'Symmetry', 'symmetric, offset 0')
    await choose(page, 'Histogram bins', '2048')
    await fill(page, 'Trim the maximum to', '0.9999')
    await fill(page, 'Trim the minimum to', '0.999')
    await fill(page, 'Search range, × maximum: from', '0.6')
    await fill(page, 'Search step', '0.02')
    await openSection('Weights')
    await choose(page, 'Scale method', 'squared error')
    await page.getByRole('switch', { name: 'one scale per output channel' }).press('Space')
    expect(await saved()).toMatchObject({
      precision: 'w8a16',
      activation: {
        method: 'ifmr',
        symmetric: true,
        bins: 2048,
        max_percentile: 0.9999,
        min_percentile: 0.999,
        search_range: [0.6, 1.3],
        search_step: 0.02,
      },
      weight: { method: 'mse', per_channel: false },
    })
  })

  test('a value that the recipe refuses stays in its field with the reason and is not applied', async () => {
    await choose(page, 'Range method', 'percentile')
    const field = page.getByRole('textbox', { name: 'Percentile, %' })
    expect(await field.getAttribute('placeholder')).toBe('99.99')
    await fill(page, 'Percentile, %', '400')
    await page.getByText('at most 100').waitFor()
    expect(await field.getAttribute('aria-invalid')).toBe('true')
    await fill(page, 'Percentile, %', '99.5')
    await page.getByText('at most 100').waitFor({ state: 'detached' })
    expect((await saved()).activation).toEqual({ method: 'percentile', percentile: 99.5 })
    // What is typed counts when the shortcut saves, without leaving the field.
    await field.fill('99.9')
    expect((await saved()).activation).toEqual({ method: 'percentile', percentile: 99.9 })
  })

  test('weight repair with the parameters of every part', async () => {
    await openSection('Weight repair')
    await pick('Layers that keep theirs', page, 'unet.conv_out')
    await turnOn('Equalize layer pairs')
    await turnOn('Balance activations and weights')
    const balance = group('Balance activations and weights')
    await choose(balance, 'Method', 'SmoothQuant')
    await fill(balance, 'Strength', '0.6')
    await pick('Layers', balance, '*to_q*')
    await turnOn('Split after Concat')
    await fill(group('Split after Concat'), 'Least gain, dB', '4.5')
    await turnOn('Correct biases')
    const rounding = group('Rounding of weights')
    await choose(rounding, 'Rounding of weights', 'AdaRound')
    await fill(rounding, 'Iterations', '500')
    await fill(rounding, 'Beta, start to end: to', '1.5')
    const repair = {
      fold_batch_norm: true,
      skip_fold_layers: ['unet.conv_out'],
      equalize: true,
      balance: { method: 'smoothquant', strength: 0.6, layers: ['*to_q*'] },
      split_concat: { mode: 'auto', minimum_gain_db: 4.5 },
      bias_correction: true,
      rounding: {
        method: 'adaround',
        iterations: 500,
        regularization: 0.01,
        beta_range: [20, 1.5],
        warm_start: 0.2,
      },
    }
    expect((await saved()).repair).toEqual(repair)
    await choose(rounding, 'Rounding of weights', 'GPTQ')
    await fill(rounding, 'Block size', '64')
    await turnOn('Fold BatchNormalization')
    expect((await saved()).repair).toEqual({
      ...repair,
      fold_batch_norm: false,
      rounding: { method: 'gptq', dampening: 0.01, block_size: 64 },
    })
  })

  test('layers and types left out', async () => {
    await openSection('Layers left out')
    await choose(page, 'Operator types left in floating point', 'Gemm')
    await page.keyboard.press('Escape')
    await pick('Layers left in floating point', page, 'unet.conv_in')
    await pick('Layers in FP16', page, '*conv_shortcut*')
    expect(await saved()).toMatchObject({
      skip_op_types: ['Gemm'],
      skip_layers: ['unet.conv_in'],
      fp16_layers: ['*conv_shortcut*'],
    })
  })
})

describe('rules', () => {
  const rows = (): Promise<string[][]> =>
    page
      .getByRole('grid', { name: 'Rules' })
      .getByRole('row')
      .evaluateAll((found) =>
        found
          .slice(1)
          .map((row) =>
            [...row.querySelectorAll('[role=gridcell]')].map((cell) => (cell.textContent ?? '').trim()),
          ),
      )

  async function add(fillDialog: (dialog: Locator) => Promise<void>): Promise<void> {
    await page.getByRole('button', { name: 'Add rule' }).click()
    const dialog = page.getByRole('dialog')
    await fillDialog(dialog)
    await dialog.getByRole('button', { name: 'Add', exact: true }).click()
    await dialog.waitFor({ state: 'detached' })
  }

  test('are added, ordered by what wins, moved and removed by keyboard', async () => {
    await page.getByRole('radio', { name: 'Rules' }).click()
    await add(async (dialog) => {
      await dialog.getByRole('textbox', { name: 'Node name, module path or weight' }).fill('unet.up_blocks.*')
      await choose(dialog, 'Precision', 'W4A8')
      await choose(dialog, 'Range method', 'percentile')
      await fill(dialog, 'Percentile, %', '99.9')
    })
    await add(async (dialog) => {
      await dialog.getByRole('textbox', { name: 'Node name, module path or weight' }).fill('*conv_in*')
      await choose(dialog, 'Scale method', 'squared error')
    })
    await add(async (dialog) => {
      await dialog.getByRole('radio', { name: 'operator type' }).click()
      await choose(dialog, 'Operator type', 'MatMul')
      await choose(dialog, 'Precision', 'W8A16')
    })
    const before = await rows()
    expect(before.map((row) => row[0])).toEqual(['common', 'operator type', 'layer', 'layer'])
    expect(before.map((row) => row[1])).toEqual(['every layer', 'MatMul', 'unet.up_blocks.*', '*conv_in*'])

    const table = page.getByRole('grid', { name: 'Rules' })
    await table.focus()
    for (let step = 0; step < 3; step++) await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Alt+ArrowUp')
    await expect
      .poll(async () => (await rows()).map((row) => row[1]))
      .toEqual(['every layer', 'MatMul', '*conv_in*', 'unet.up_blocks.*'])
    const recipe = await saved()
    expect(recipe.op_types).toEqual([{ op_type: 'MatMul', precision: 'w8a16' }])
    expect(recipe.overrides).toEqual([
      { layer: '*conv_in*', precision: 'fp16', weight: { method: 'mse' } },
      {
        layer: 'unet.up_blocks.*',
        precision: 'w4a8',
        activation: { method: 'percentile', percentile: 99.9 },
      },
    ])
    await page.keyboard.press('Delete')
    await expect.poll(async () => (await rows()).length).toBe(3)
    await page.getByRole('button', { name: 'Undo' }).click()
    await expect.poll(async () => (await rows()).length).toBe(4)

    // The layer table shows which of them decides.
    await page.getByRole('radio', { name: 'Layers', exact: true }).click()
    await page.getByRole('textbox', { name: 'Filter by name, type' }).fill('conv_in')
    await page.getByRole('grid', { name: 'Layers' }).getByText('*conv_in*').first().waitFor()
  })
})

describe('many layers at once', () => {
  test('marked by keyboard, kept in FP16, given INT4 weights, and reset', async () => {
    const table = page.getByRole('grid', { name: 'Layers' })
    await table.focus()
    await page.keyboard.press('Space')
    await page.keyboard.press('Shift+ArrowDown')
    await page.keyboard.press('Shift+ArrowDown')
    const bar = page.getByRole('toolbar', { name: 'Marked layers' })
    await bar.getByText('3 marked').waitFor()
    await bar.getByRole('button', { name: 'Keep FP16' }).click()
    const kept = await saved()
    expect(kept.overrides.map((entry) => entry.precision)).toEqual(['fp16', 'fp16', 'fp16'])
    await bar.getByRole('button', { name: 'INT4 weights' }).click()
    expect((await saved()).overrides.map((entry) => entry.precision)).toEqual(['w4a8', 'w4a8', 'w4a8'])
    await bar.getByRole('button', { name: 'Reset' }).click()
    expect((await saved()).overrides).toEqual([])
    await table.focus()
    await page.keyboard.press('Control+A')
    const all = Number(await table.getAttribute('aria-rowcount')) - 1
    await bar.getByText(`${all} marked`).waitFor()
    await page.keyboard.press('Escape')
    await bar.waitFor({ state: 'detached' })
  })
})

describe('presets', () => {
  test('say what they change, are merged into the recipe, and are undone', async () => {
    await openSection('Layers left out')
    await pick('Layers in FP16', page, 'unet.conv_in')
    await page.getByRole('button', { name: 'Presets' }).click()
    const dialog = page.getByRole('dialog', { name: 'Presets' })
    await dialog.getByRole('radio', { name: 'INT8 best range per tensor' }).check({ force: true })
    await dialog.getByText('automatic').first().waitFor()
    await dialog.getByRole('button', { name: 'Apply to this recipe' }).click()
    await dialog.waitFor({ state: 'detached' })
    const applied = await saved()
    expect(applied.activation).toEqual({ method: 'auto' })
    expect(applied.fp16_layers).toContain('unet.conv_in')
    await page.getByText('Applied INT8 best range per tensor').waitFor()
    await page.getByRole('button', { name: 'Undo' }).last().click()
    expect((await saved()).activation).toEqual({ method: 'min_max' })
  })
})

describe('JSON', () => {
  test('follows the form, is followed by it, and names line and mistake', async () => {
    await choose(page, 'Range method', 'squared error')
    await page.getByRole('radio', { name: 'JSON' }).click()
    const text = page.getByRole('textbox', { name: 'Recipe as JSON' })
    const written = await text.inputValue()
    expect(parseRecipe(written, 'recipe.json').activation).toEqual({ method: 'mse' })
    const lines = written.split('\n')
    const line = lines.findIndex((item) => item.includes('"method": "mse"')) + 1
    await text.fill(written.replace('"method": "mse"', '"method": "best"'))
    await page.getByRole('button', { name: new RegExp(`^line ${line} activation.method`) }).click()
    const selected = await text.evaluate((area) => {
      const { value, selectionStart, selectionEnd } = area as unknown as Record<
        'selectionStart' | 'selectionEnd',
        number
      > & { value: string }
      return value.slice(selectionStart, selectionEnd)
    })
    expect(selected).toContain('"best"')
    await text.fill(written.replace('"method": "mse"', '"method": "kl", "bins": 4096'))
    await page.getByRole('alert').waitFor({ state: 'detached' })
    await page.getByRole('radio', { name: 'Settings' }).click()
    await section('Activations').waitFor()
    expect((await saved()).activation).toEqual({ method: 'kl', bins: 4096 })
  })

  test('the recipe leaves as the file that the equivalent command names', async () => {
    const command = await page.getByRole('button', { name: /^Copy command: aqw quantize / }).textContent()
    expect(command).toContain('--recipe Under-test.json --output Under-test')
    await page.getByRole('button', { name: 'Export', exact: true }).click()
    const download = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: 'Recipe, JSON' }).click()
    const file = await download
    expect(file.suggestedFilename()).toBe('Under-test.json')
    const { recipe } = await client.rpc.invoke('recipes.get', { id: recipeId })
    expect(parseRecipe(readFileSync(await file.path(), 'utf8'), 'Under-test.json')).toEqual(recipe)
  })
})

describe('other forms', () => {
  test('the recipe leaves in every form of AMCT, named as AMCT names it', async () => {
    for (const [form, name, part] of [
      ['amct_tool, JSON', 'amct_config.json', '"quant_options"'],
      ['AMCT, JSON layer by layer', 'config.json', '"quant_enable"'],
      ['AMCT, simplified .cfg', 'quant.cfg', 'common_config'],
    ] as const) {
      await page.getByRole('button', { name: 'Export', exact: true }).click()
      await page.getByRole('menuitem', { name: form }).click()
      const dialog = page.getByRole('dialog', { name: form })
      await dialog.getByText(part).first().waitFor()
      const download = page.waitForEvent('download')
      await dialog.getByRole('button', { name: 'Download' }).click()
      expect((await download).suggestedFilename()).toBe(name)
      await dialog.getByRole('button', { name: 'Close' }).last().click()
      await dialog.waitFor({ state: 'detached' })
    }
  })

  test('an imported configuration opens as a recipe, and what it could not say is listed', async () => {
    const file = folder.file('simple.cfg')
    writeFileSync(file, 'batch_num: 2\nskip_layers: "/unet/conv_in/Conv"\n')
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    const picker = page.getByRole('dialog')
    await picker.getByRole('grid').waitFor()
    await picker.getByRole('textbox').fill(file)
    await picker.getByRole('textbox').press('Enter')
    const notes = page.getByRole('dialog', { name: /^Imported/ })
    await notes.getByText('batch_num 2').waitFor()
    await notes.getByRole('button', { name: 'Close' }).last().click()
    await notes.waitFor({ state: 'detached' })
    const { recipes } = await client.rpc.invoke('recipes.list', { projectId })
    const imported = recipes.find((item) => item.origin === 'amct')
    expect(imported?.recipe.skip_layers).toEqual(['/unet/conv_in/Conv'])
    await client.rpc.invoke('recipes.delete', { id: imported?.id ?? '' })
  })

  test('a layer that cannot have INT4 weights says what it becomes and why', async () => {
    const file = folder.file('odd.onnx')
    saveLayers(2, file, 3)
    const model = await client.rpc.invoke('models.add', { projectId, path: file })
    await choose(page, 'Layers of model', model.name)
    await page.getByRole('radio', { name: /^W4A8/ }).check()
    const table = page.getByRole('grid', { name: 'Layers' })
    await table.getByText('W8A8: odd number of input channels').first().waitFor()
    expect((await saved()).precision).toBe('w4a8')
    await client.rpc.invoke('models.remove', { id: model.id })
  })
})

describe('for everyone', () => {
  async function openEverything(): Promise<void> {
    for (const name of ['Weights', 'Weight repair', 'Layers left out']) await openSection(name)
    await turnOn('Balance activations and weights')
    await turnOn('Split after Concat')
    await choose(group('Rounding of weights'), 'Rounding of weights', 'AdaRound')
    await settled(page)
  }

  test('axe-core finds nothing serious and the tab key reaches everything, with every section open', async () => {
    await openEverything()
    expect(await seriousFindings(page)).toEqual([])
    const { missed, mouseOnly } = await walkByKeyboard(page, 400)
    expect({ missed, mouseOnly }).toEqual({ missed: [], mouseOnly: [] })
    await page.getByRole('radio', { name: 'Rules' }).click()
    await page.getByRole('button', { name: 'Add rule' }).click()
    await page.getByRole('dialog').waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Presets' }).click()
    await page
      .getByRole('dialog', { name: 'Presets' })
      .getByRole('radio')
      .first()
      .waitFor({ state: 'attached' })
    expect(await seriousFindings(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })

  test('nothing was complained about', () => {
    expect(window.complaints.list).toEqual([])
  })
})
