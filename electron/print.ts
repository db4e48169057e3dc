// A report page -> PDF, printed by a hidden window without scripts.
import { BrowserWindow } from 'electron'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { writeFileAtomic } from '../engine/common/files.ts'

/** Prints a self-contained HTML page to `target`; the page may run no script and reach nothing. */
export async function printPdf(html: Buffer, target: string): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'aqw-print-'))
  const window = new BrowserWindow({
    show: false,
    webPreferences: { sandbox: true, contextIsolation: true, nodeIntegration: false, javascript: false },
  })
  try {
    const page = path.join(folder, 'report.html')
    await writeFile(page, html)
    await window.loadURL(pathToFileURL(page).href)
    const pdf = await window.webContents.printToPDF({ printBackground: true, pageSize: 'A4' })
    writeFileAtomic(target, pdf)
  } finally {
    window.destroy()
    await rm(folder, { recursive: true, force: true })
  }
}
