// Every page in both themes and languages through axe-core, and everything a mouse can do by keyboard alone.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seriousFindings, walkByKeyboard } from './support/accessibility.ts'
import { Folder } from './support/folder.ts'
import { serve, type Served } from './support/serve.ts'
import { goTo, launchBrowser, openWindow, settled, type OpenWindow } from './support/window.ts'
import { changeSettings, prepareSample, type Prepared } from './support/workspace.ts'

let browser: Browser
let folder: Folder
let server: Served
let sample: Prepared
let window: OpenWindow

beforeAll(async () => {
  browser = await launchBrowser()
  folder = new Folder()
  server = await serve(folder.file('workspace'))
  sample = await prepareSample(server.url)
  await changeSettings(server.url, { theme: 'light', locale: 'en' })
  window = await openWindow(browser, server.url, { reducedMotion: true })
})
afterAll(async () => {
  await browser.close()
  await server.stop()
  folder[Symbol.dispose]()
})

interface View {
  name: string
  hash: string
  /** A key that opens something over the page; Escape closes it. */
  press?: string
}

function views(): View[] {
  const project = `#/project/${sample.projectId}`
  return [
    { name: 'home', hash: '#/' },
    { name: 'new project', hash: '#/', press: 'Alt+N' },
    { name: 'overview', hash: project },
    { name: 'models', hash: `${project}/models` },
    { name: 'data', hash: `${project}/data` },
    { name: 'calibration', hash: `${project}/calibration` },
    { name: 'quantize', hash: `${project}/quantize` },
    { name: 'compare', hash: `${project}/compare/${sample.runIds[0]}` },
    { name: 'comparison setup', hash: `${project}/compare/${sample.runIds[0]}`, press: 'Control+Enter' },
    { name: 'side by side', hash: `${project}/side-by-side?ids=${sample.runIds.join(',')}` },
    { name: 'jobs', hash: `${project}/jobs` },
    { name: 'all jobs', hash: '#/jobs' },
    { name: 'devices', hash: '#/devices' },
    { name: 'settings', hash: '#/settings' },
    { name: 'palette', hash: project, press: 'Control+Shift+P' },
    { name: 'shortcuts', hash: project, press: 'Control+/' },
  ]
}

/** Shows a view and waits until it has its content. */
async function show(page: Page, view: View): Promise<void> {
  await goTo(page, view.hash)
  await page.getByRole('main').getByRole('heading', { level: 1 }).first().waitFor()
  await settled(page)
  if (!view.press) return
  await page.keyboard.press(view.press)
  await page.getByRole('dialog').waitFor()
  await settled(page)
}

async function leave(page: Page, view: View): Promise<void> {
  if (!view.press) return
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}

describe.each([
  { theme: 'light', locale: 'en' },
  { theme: 'dark', locale: 'en' },
  { theme: 'light', locale: 'zh' },
  { theme: 'dark', locale: 'zh' },
] as const)('$theme, $locale', ({ theme, locale }) => {
  test('axe-core finds nothing serious on any page', async () => {
    const { page } = window
    await changeSettings(server.url, { theme, locale })
    await page.locator(`html[data-theme=${theme}][lang^=${locale}]`).waitFor({ state: 'attached' })
    const findings: string[] = []
    for (const view of views()) {
      await show(page, view)
      findings.push(...(await seriousFindings(page)).map((finding) => `${view.name}: ${finding}`))
      await leave(page, view)
    }
    expect(findings).toEqual([])
  })
})

describe('by keyboard', () => {
  beforeAll(async () => {
    await changeSettings(server.url, { theme: 'light', locale: 'en' })
    await window.page.locator('html[data-theme=light][lang^=en]').waitFor({ state: 'attached' })
  })

  test('the tab key reaches everything that can be operated, on every page', async () => {
    const { page } = window
    const problems: string[] = []
    for (const view of views().filter((entry) => !entry.press)) {
      await show(page, view)
      const { order, missed, mouseOnly } = await walkByKeyboard(page)
      expect(order[0], view.name).toContain('Skip to content')
      expect(order.length, view.name).toBeGreaterThan(10)
      problems.push(...missed.map((element) => `${view.name}: not reached: ${element}`))
      problems.push(...mouseOnly.map((element) => `${view.name}: mouse only: ${element}`))
    }
    expect(problems).toEqual([])
  })

  test('the link at the start leads past the navigation', async () => {
    const { page } = window
    await show(page, { name: 'home', hash: '#/' })
    await walkByKeyboard(page, 1)
    await page.keyboard.press('Enter')
    expect(await page.locator(':focus').getAttribute('id')).toBe('main')
  })

  test('the palette finds a command, runs it, and gives the focus back on Escape', async () => {
    const { page } = window
    await show(page, { name: 'home', hash: '#/' })
    const button = page.getByRole('button', { name: 'New project' }).first()
    await button.focus()
    await page.keyboard.press('Control+Shift+P')
    await page.getByRole('combobox', { name: 'Type a command' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await button.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true)

    await page.keyboard.press('Control+Shift+P')
    await page.keyboard.type('settings')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Settings', exact: true }).waitFor()
  })

  test.each([
    { press: 'Alt+N', name: 'New project' },
    { press: 'Control+/', name: 'Keyboard shortcuts' },
    { press: 'Control+Enter', name: 'Compare FP16 and INT8' },
  ])('the dialog of $press keeps the focus and closes with Escape', async ({ press, name }) => {
    const { page } = window
    await show(page, { name: 'overview', hash: `#/project/${sample.projectId}` })
    await page.keyboard.press(press)
    const dialog = page.getByRole('dialog', { name })
    await dialog.waitFor()
    for (let step = 0; step < 25; step++) {
      await page.keyboard.press(step % 5 === 4 ? 'Shift+Tab' : 'Tab')
      const inside = await dialog.evaluate((element) => element.contains(element.ownerDocument.activeElement))
      expect(inside, `after ${step + 1} presses`).toBe(true)
    }
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  })

  test('every page has its shortcut, and a comparison starts without a mouse', async () => {
    const { page } = window
    await show(page, { name: 'overview', hash: `#/project/${sample.projectId}` })
    for (const [key, title] of [
      ['Alt+2', 'Models'],
      ['Alt+3', 'Data'],
      ['Alt+4', 'Quantize'],
      ['Alt+6', 'Jobs'],
      ['Alt+7', 'Calibration'],
      ['Alt+8', 'Devices'],
    ] as const) {
      await page.keyboard.press(key)
      await page.getByRole('heading', { level: 1, name: title }).waitFor()
    }
    await show(page, { name: 'overview', hash: `#/project/${sample.projectId}` })
    await page.keyboard.press('Control+Enter')
    const start = page.getByRole('dialog').getByRole('button', { name: 'Start' })
    await start.waitFor()
    for (let step = 0; step < 25; step++) {
      if (await start.evaluate((element) => element === element.ownerDocument.activeElement)) break
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.getByRole('progressbar').first().waitFor()
    // Away again, through the palette.
    await page.keyboard.press('Control+Shift+P')
    await page.keyboard.type('cancel the running job')
    await page.keyboard.press('Enter')
    await page.getByRole('progressbar').first().waitFor({ state: 'detached' })
  })

  test('nothing was complained about', () => {
    expect(window.complaints.list).toEqual([])
  })
})
