// HTML report -> PDF through an installed Chromium's own printing, for hosts without Electron.
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { AppError } from '../../contract/errors/index.ts'

const NAMES = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
  'chrome',
]
const TIMEOUT_MS = 60_000

/** The browser that prints: AQW_CHROMIUM, else the first known name on PATH; null when there is none. */
export function findBrowser(environment: NodeJS.ProcessEnv = process.env): string | null {
  const folders = (environment['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '')
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const explicit = environment['AQW_CHROMIUM']
  const candidates = explicit
    ? [explicit]
    : NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name + suffix)))
  return (
    candidates.find((candidate) => {
      try {
        accessSync(candidate, constants.X_OK)
        return true
      } catch {
        return false
      }
    }) ?? null
  )
}

function print(
  browser: string,
  page: string,
  target: string,
  profile: string,
  signal?: AbortSignal,
): Promise<void> {
  const root = process.getuid?.() === 0
  const flags = [
    '--headless',
    '--disable-gpu',
    '--no-first-run',
    '--no-pdf-header-footer',
    `--user-data-dir=${profile}`,
    // Chromium refuses to run its sandbox as root; the page is our own and has no scripts.
    ...(root ? ['--no-sandbox'] : []),
    `--print-to-pdf=${target}`,
    pathToFileURL(page).href,
  ]
  return new Promise((resolve, reject) => {
    let log = ''
    const child = spawn(browser, flags, { stdio: ['ignore', 'ignore', 'pipe'], signal, timeout: TIMEOUT_MS })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-2000)))
    child.on('error', (error) => reject(new AppError('E_REPORT_PRINT', { browser, reason: error.message })))
    child.on('exit', (code, ended) =>
      code === 0
        ? resolve()
        : reject(new AppError('E_REPORT_PRINT', { browser, reason: ended ?? log.trim() })),
    )
  })
}

/**
 * Prints an HTML page.
 * @returns the PDF's bytes
 * @throws AppError E_REPORT_NO_BROWSER, E_REPORT_PRINT, E_CANCELLED
 */
export async function printPdf(html: string, signal?: AbortSignal): Promise<Buffer> {
  const browser = findBrowser()
  if (!browser) throw new AppError('E_REPORT_NO_BROWSER', { names: NAMES.slice(0, 3) })
  const folder = await mkdtemp(path.join(os.tmpdir(), 'aqw-report-'))
  try {
    const page = path.join(folder, 'report.html')
    const target = path.join(folder, 'report.pdf')
    await writeFile(page, html)
    await print(browser, page, target, path.join(folder, 'profile'), signal)
    return await readFile(target)
  } catch (thrown) {
    if (signal?.aborted) throw new AppError('E_CANCELLED')
    if (thrown instanceof AppError) throw thrown
    throw new AppError('E_REPORT_PRINT', { browser, reason: (thrown as Error).message })
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
