// Figures of the window in real Chromium on the served product: cold start, scrolling 10,000 layers, RPC round trip.
// Frame times are those of this machine's rendering: without a GPU, Chromium draws in software.
import type { Browser, Page } from 'playwright-core'
import { connect } from '../e2e/screens/connect.ts'
import { ensureBuilt } from '../e2e/support/build.ts'
import { Folder } from '../e2e/support/folder.ts'
import { saveLayers } from '../e2e/support/layers.ts'
import { serve } from '../e2e/support/serve.ts'
import { launchBrowser, openWindow, settled } from '../e2e/support/window.ts'
import { prepareSample } from '../e2e/support/workspace.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const LAYERS = 10_000
const SCROLL_FRAMES = 240
const SCROLL_PASSES = 5
/** 7,200 px/s: a hard turn of the wheel, four rows of the table per frame. */
const PIXELS_PER_FRAME = 120
/** One frame at 60 Hz, with the jitter of a timer. */
const FRAME_LIMIT_MS = 17.5

const below = (name: string, value: number, limit: number): Metric => ({
  name,
  value,
  unit: 'ms',
  target: `< ${limit}`,
  ok: value < limit,
})

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

/**
 * Time from the request of the page to a window that can be used: the engine has answered, the projects are listed and
 * the first action is enabled. Median of fresh profiles: nothing is in any cache.
 */
async function coldStart(browser: Browser, url: string): Promise<Metric[]> {
  const times: number[] = []
  for (let index = 0; index < 5; index++) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' })
    const page = await context.newPage()
    await page.goto(url, { waitUntil: 'commit' })
    const main = page.getByRole('main')
    await main.getByRole('link', { name: 'Sprite diffusion' }).first().waitFor()
    await main.locator('button:enabled', { hasText: 'Compare FP16 and INT8' }).waitFor()
    times.push(await page.evaluate(() => performance.now()))
    await context.close()
  }
  return [below('window.cold_start_ms', percentile(times, 0.5), 1500)]
}

/** Gaps between animation frames while the layer table scrolls from top to bottom and back, as with a wheel. */
function scrollGaps(page: Page): Promise<number[]> {
  return page.getByRole('grid', { name: 'Layers' }).evaluate(
    (table, { frames, pixels }) =>
      new Promise<number[]>((resolve) => {
        const gaps: number[] = []
        const window = table.ownerDocument.defaultView
        let last = 0
        let frame = 0
        const step = (now: number): void => {
          if (last > 0) gaps.push(now - last)
          last = now
          if (gaps.length >= frames) return resolve(gaps)
          table.scrollTop += (frame++ < frames / 2 ? 1 : -1) * pixels
          window.requestAnimationFrame(step)
        }
        window.requestAnimationFrame(step)
      }),
    { frames: SCROLL_FRAMES, pixels: PIXELS_PER_FRAME },
  )
}

async function scroll(browser: Browser, url: string, folder: Folder): Promise<Metric[]> {
  const file = folder.file('layers.onnx')
  saveLayers(LAYERS, file)
  const { rpc, close } = connect(url)
  const project = await rpc.invoke('projects.create', { name: 'Layers' })
  const model = await rpc.invoke('models.add', { projectId: project.id, path: file })
  close()
  const address = new URL(url)
  address.hash = `#/project/${project.id}/models/${model.id}`
  const { page, context } = await openWindow(browser, address.href)
  await page.getByRole('grid', { name: 'Layers' }).waitFor({ timeout: 60_000 })
  await settled(page)
  await scrollGaps(page)
  const passes: number[][] = []
  for (let pass = 0; pass < SCROLL_PASSES; pass++) passes.push(await scrollGaps(page))
  await context.close()
  // The median of the passes: what else runs on the machine for a moment takes whole frames.
  const middle = (figure: (gaps: number[]) => number): number => percentile(passes.map(figure), 0.5)
  const mean = (gaps: number[]): number => gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  const p95 = (gaps: number[]): number => percentile(gaps, 0.95)
  return [
    { name: 'window.scroll_mean_frame_ms', value: middle(mean), unit: 'ms' },
    below('window.scroll_p95_frame_ms', middle(p95), FRAME_LIMIT_MS),
  ]
}

/** A call that the engine answers from memory, over WebSocket, host and engine process and back. */
async function roundTrip(url: string): Promise<Metric[]> {
  const { rpc, close } = connect(url)
  const times: number[] = []
  for (let index = 0; index < 300; index++) {
    const begun = performance.now()
    await rpc.invoke('settings.get', {})
    if (index >= 50) times.push(performance.now() - begun)
  }
  close()
  return [below('window.rpc_round_trip_ms', percentile(times, 0.5), 5)]
}

/** Measures the metrics named in `wanted` (`window` or none: all). */
export async function run(wanted: readonly string[] = []): Promise<Metric[]> {
  ensureBuilt()
  using folder = new Folder()
  await using server = await serve(folder.file('workspace'))
  await prepareSample(server.url)
  const cases: Record<string, () => Promise<Metric[]>> = {
    'window.rpc_round_trip_ms': () => roundTrip(server.url),
    'window.cold_start_ms': () => coldStart(browser, server.url),
    'window.scroll': () => scroll(browser, server.url, folder),
  }
  const browser = await launchBrowser()
  try {
    const metrics: Metric[] = []
    for (const [name, measure] of Object.entries(cases)) {
      const isWanted =
        wanted.length === 0 || wanted.some((entry) => entry === 'window' || entry.startsWith(name))
      if (isWanted) metrics.push(...(await measure()))
    }
    return metrics
  } finally {
    await browser.close()
  }
}
