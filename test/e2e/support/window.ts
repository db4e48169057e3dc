// A real Chromium showing the window, with every console error, page error and refused request kept.
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

export function launchBrowser(args: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', ...args] })
}

/** What a page said was wrong. Violations of the content security policy are console errors. */
export class Complaints {
  readonly #list: string[] = []
  readonly #expected: RegExp[] = []

  watch(page: Page): void {
    page.on('console', (message) => {
      if (message.type() === 'error') this.#list.push(`console: ${message.text()}`)
    })
    page.on('pageerror', (error) => this.#list.push(`page error: ${error.stack ?? error.message}`))
    page.on('requestfailed', (request) => {
      // A page that is left or reloaded cancels what it still loads.
      const reason = request.failure()?.errorText ?? ''
      if (reason !== 'net::ERR_ABORTED') this.#list.push(`request: ${request.url()} ${reason}`)
    })
  }

  /** A complaint that belongs to what the test does, such as a socket that closes when its server is killed. */
  expect(pattern: RegExp): void {
    this.#expected.push(pattern)
  }

  get list(): string[] {
    return this.#list.filter((text) => !this.#expected.some((pattern) => pattern.test(text)))
  }
}

export interface WindowOptions {
  width?: number
  height?: number
  locale?: string
  dark?: boolean
  /** Without transitions, so that colours are final when they are looked at. */
  reducedMotion?: boolean
}

export interface OpenWindow {
  page: Page
  context: BrowserContext
  complaints: Complaints
}

/** Opens an address in a fresh browser profile and waits until the engine answers the window. */
export async function openWindow(
  browser: Browser,
  url: string,
  options: WindowOptions = {},
): Promise<OpenWindow> {
  const { width = 1440, height = 900, locale = 'en-US', dark = false, reducedMotion = false } = options
  const context = await browser.newContext({
    viewport: { width, height },
    locale,
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
    acceptDownloads: true,
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  const page = await context.newPage()
  const complaints = new Complaints()
  complaints.watch(page)
  await page.goto(url)
  await engineReady(page)
  return { page, context, complaints }
}

/** The status bar says that the engine answers. */
export async function engineReady(page: Page): Promise<void> {
  await page
    .getByRole('status')
    .filter({ hasText: /engine ready|引擎就绪/ })
    .waitFor()
}

/** Waits until the page has stopped changing: lists and charts come with the answers of the engine. */
export async function settled(page: Page): Promise<void> {
  await page.locator('body').evaluate(
    (body) =>
      new Promise<void>((resolve) => {
        const end = (): void => {
          observer.disconnect()
          clearTimeout(longest)
          resolve()
        }
        let quiet = setTimeout(end, 150)
        const observer = new body.ownerDocument.defaultView.MutationObserver(() => {
          clearTimeout(quiet)
          quiet = setTimeout(end, 150)
        })
        const longest = setTimeout(end, 2000)
        observer.observe(body, { subtree: true, childList: true, characterData: true })
      }),
  )
}

/** Goes to a page of the window by its address. */
export async function goTo(page: Page, hash: string): Promise<void> {
  await page.locator('html').evaluate((root, next) => void (root.ownerDocument.location.hash = next), hash)
}
