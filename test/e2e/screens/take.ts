// Screenshots of every page in both sizes, themes and languages from the served product: artifacts/screens/*.png.
// axe-core looks at every page as well; serious findings are printed and fail the run.
// Run: npx node test/e2e/screens/take.ts [only=PAGE,...] [quick]    (after npm run build:renderer)
// `only=quantize` takes that page with all its states; comparisons are run only for pages that show them.
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { chromium, type Locator, type Page } from 'playwright-core'
import { startServer } from '../../../cli/serve/server.ts'
import { connect } from './connect.ts'
import { prepareWorkspace, type PreparedWorkspace } from './prepare.ts'

const root = path.resolve(import.meta.dirname, '../../..')
const output = path.join(root, 'artifacts/screens')
const only = process.argv
  .find((word) => word.startsWith('only='))
  ?.slice(5)
  .split(',')
const quick = process.argv.includes('quick')
const wanted = (name: string): boolean =>
  !only || only.some((page) => name === page || name.startsWith(`${page}-`))
/** Pages that are the same without a finished comparison. */
const WITHOUT_RUNS =
  /^(models|data|calibration|quantize|quality|vote|devices|settings|palette|shortcuts|picker|setup)/
const needsRuns = !only || only.some((page) => !WITHOUT_RUNS.test(page))
const needsGenerated = !only || only.some((page) => /^(quality|vote|compare)/.test(page))
const needsCalibration = !only || only.some((page) => page.startsWith('calibration'))

interface Screen {
  name: string
  hash: string
  /** Brings the page into the state to picture. */
  act?: (page: Page) => Promise<void>
}

function screens(workspace: PreparedWorkspace): Screen[] {
  const project = `#/project/${workspace.projectId}`
  const [first, second, host] = workspace.runIds
  const press = (key: string) => async (page: Page) => {
    await page.keyboard.press(key)
    await page.waitForTimeout(300)
  }
  const quantize = `${project}/quantize`
  const click = async (page: Page, locator: Locator): Promise<void> => {
    await locator.click()
    await page.waitForTimeout(400)
  }
  const list: Screen[] = [
    { name: 'home', hash: '#/' },
    { name: 'overview', hash: project },
    { name: 'models', hash: `${project}/models` },
    {
      name: 'models-lint',
      hash: `${project}/models`,
      act: async (page) => await click(page, page.getByRole('radio', { name: /^(Deploy check|部署检查)$/ })),
    },
    { name: 'data', hash: `${project}/data` },
    { name: 'quantize', hash: quantize },
    { name: 'jobs', hash: `${project}/jobs` },
    { name: 'devices', hash: '#/devices' },
    { name: 'settings', hash: '#/settings' },
    { name: 'palette', hash: project, act: press('Control+Shift+P') },
    { name: 'shortcuts', hash: project, act: press('Control+/') },
    {
      name: 'setup',
      hash: `${project}/compare?start=1`,
      act: async (page) => await page.waitForTimeout(500),
    },
    {
      name: 'quantize-json',
      hash: quantize,
      act: async (page) => {
        await click(page, page.getByRole('radio', { name: 'JSON' }))
        const text = page.locator('textarea')
        const written = await text.inputValue()
        await text.fill(written.replace(/"method": "\w+"/, '"method": "percentile",\n    "percentile": 400'))
        await page.waitForTimeout(200)
      },
    },
    {
      name: 'quantize-repair',
      hash: quantize,
      act: async (page) => {
        const heads = page.locator('.disclosure .head')
        await heads.nth(0).click()
        await heads.nth(1).click()
        await heads.nth(3).click()
        await page.locator('.el-switch').nth(3).click()
        await page.locator('.el-switch').nth(4).click()
        await page.waitForTimeout(400)
      },
    },
    {
      name: 'quantize-rules',
      hash: quantize,
      act: async (page) => await click(page, page.getByRole('radio', { name: /^(Rules|规则)/ })),
    },
    {
      name: 'quantize-rule',
      hash: quantize,
      act: async (page) => {
        await click(page, page.getByRole('radio', { name: /^(Rules|规则)/ }))
        await click(page, page.getByRole('button', { name: /^(Add rule|添加规则)$/ }))
        await page.getByRole('dialog').getByRole('textbox').first().fill('unet.up_blocks.*')
        await page.waitForTimeout(200)
      },
    },
    {
      name: 'quantize-presets',
      hash: quantize,
      act: async (page) => await click(page, page.getByRole('button', { name: /^(Presets|预设)$/ })),
    },
    {
      name: 'quantize-marked',
      hash: quantize,
      act: async (page) => {
        await page.getByRole('grid').focus()
        for (const key of [' ', 'Shift+ArrowDown', 'Shift+ArrowDown']) await page.keyboard.press(key)
        await page.waitForTimeout(200)
      },
    },
    {
      name: 'picker',
      hash: `${project}/models`,
      act: async (page) => {
        await page.locator('.page .el-button--primary').first().click()
        await page.waitForTimeout(600)
      },
    },
  ]
  if (workspace.calibrationId) {
    const layer = encodeURIComponent('/unet/up_blocks.1/resnets.1/conv_shortcut/Conv')
    const report = `${project}/calibration/${workspace.calibrationId}`
    list.push({ name: 'calibration', hash: report })
    list.push({ name: 'calibration-tensor', hash: `${report}?layer=${layer}` })
    for (const [name, label] of [
      ['channels', /^(Channels|通道)/],
      ['samples', /^(Samples|样本)$/],
      ['steps', /^(Time steps|时间步)$/],
    ] as const) {
      list.push({
        name: `calibration-${name}`,
        hash: `${report}?layer=${layer}`,
        act: async (page) => {
          const view = page.getByRole('radio', { name: label })
          await view.scrollIntoViewIfNeeded()
          await click(page, view)
        },
      })
    }
    list.push({ name: 'calibration-setup', hash: `${report}?start=1` })
  }
  if (first) list.push({ name: 'compare', hash: `${project}/compare/${first}` })
  if (second) list.push({ name: 'compare-mixed', hash: `${project}/compare/${second}` })
  if (host) list.push({ name: 'compare-cpu', hash: `${project}/compare/${host}` })
  const generated = workspace.generatedRunId
  if (generated) {
    list.push(
      { name: 'compare-generated', hash: `${project}/compare/${generated}`, act: scrollToGenerated },
      { name: 'quality', hash: `${project}/quality/${generated}` },
      {
        name: 'quality-difference',
        hash: `${project}/quality/${generated}`,
        act: async (page) => await click(page, page.getByRole('radio', { name: /^(Difference|差异)$/ })),
      },
      { name: 'vote', hash: `${project}/vote/${generated}` },
      {
        name: 'vote-booth',
        hash: `${project}/vote/${generated}`,
        act: async (page) => {
          await page.locator('input[autocomplete=name]').fill('Anna')
          await click(page, page.locator('form button[type=submit]').first())
        },
      },
    )
  }
  list.push({
    name: 'data-prepare',
    hash: `${project}/data`,
    act: async (page) => {
      await click(page, page.getByRole('button', { name: /^(Prepare pictures|准备图片)$/ }))
      await page
        .getByRole('dialog')
        .locator('.mono input')
        .first()
        .fill(path.join(root, 'resources/samples/sprite-diffusion'))
      await page.keyboard.press('Tab')
      await page.waitForTimeout(1500)
    },
  })
  if (first && second)
    list.push({ name: 'side-by-side', hash: `${project}/side-by-side?ids=${workspace.runIds.join(',')}` })
  return list.filter((screen) => wanted(screen.name))
}

/** The part of a comparison below the table and the charts. */
async function scrollToGenerated(page: Page): Promise<void> {
  await page.getByRole('region', { name: /^(Gates|门槛)$/ }).evaluate((section) => section.scrollIntoView())
  await page.waitForTimeout(300)
}

const folder = await mkdtemp(path.join(os.tmpdir(), 'aqw-screens-'))
// A build that runs meanwhile must not pull the files away.
const files = path.join(folder, 'window')
await cp(path.join(root, 'out/renderer'), files, { recursive: true })
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeFinding {
  id: string
  impact: string
  nodes: { target: string[]; failureSummary: string }[]
}

/** Serious and critical findings of axe-core on the page as it is. */
async function audit(page: Page): Promise<AxeFinding[]> {
  await page.evaluate(axeSource)
  const found = (await page.evaluate(
    `axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations.map((violation) => ({
      id: violation.id, impact: violation.impact,
      nodes: violation.nodes.map((node) => ({ target: node.target.map(String), failureSummary: node.failureSummary })) })))`,
  )) as AxeFinding[]
  return found.filter((finding) => finding.impact === 'serious' || finding.impact === 'critical')
}

const server = await startServer({
  workspace: path.join(folder, 'workspace'),
  host: '127.0.0.1',
  port: 0,
  files,
})
const client = connect(server.url)
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
let problems = 0
try {
  await mkdir(output, { recursive: true })
  const workspace = await prepareWorkspace(client.rpc, {
    withRuns: needsRuns,
    withCalibration: needsCalibration,
    withGenerated: needsGenerated,
  })
  const sizes = [
    { width: 1440, height: 900 },
    { width: 1024, height: 700 },
  ]
  for (const theme of ['light', 'dark'] as const) {
    for (const locale of ['en', 'zh'] as const) {
      if (quick && (theme === 'dark') !== (locale === 'zh')) continue
      await client.rpc.invoke('settings.set', { theme, locale })
      for (const size of sizes) {
        if (quick && (size.width === 1024) !== (locale === 'zh')) continue
        const page = await browser.newPage({ viewport: size })
        page.on('console', (message) => {
          if (message.type() !== 'error') return
          problems += 1
          console.error(`console: ${message.text()}`)
        })
        for (const screen of screens(workspace)) {
          await page.goto('about:blank')
          await page.goto(server.url + screen.hash)
          await page.waitForLoadState('networkidle')
          await page.waitForTimeout(700)
          await screen.act?.(page)
          const name = `${screen.name}-${theme}-${locale}-${size.width}.png`
          await page.screenshot({ path: path.join(output, name) })
          for (const finding of await audit(page)) {
            problems += 1
            const [node] = finding.nodes
            console.error(
              `${name}: ${finding.id} (${finding.impact}) x${finding.nodes.length}: ${node?.target.join(' ')}`,
            )
            console.error(`  ${node?.failureSummary.replaceAll('\n', ' ')}`)
          }
        }
        await page.close()
      }
    }
  }
} finally {
  await browser.close()
  client.close()
  await server.close()
  await rm(folder, { recursive: true, force: true })
}
console.log(`screens in ${output}${problems ? `, ${problems} problems` : ''}`)
process.exit(problems ? 1 : 0)
