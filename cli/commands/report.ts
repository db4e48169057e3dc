// `aqw report`: a comparison file as a page for people: HTML, PDF, Markdown, CSV or JSON, in English or Chinese.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Option, type Command } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import { comparisonSchema, type Comparison } from '../../contract/comparison.ts'
import { checkWritable, writeFileAtomic } from '../../engine/common/files.ts'
import { formatBytes } from '../../engine/common/units.ts'
import {
  renderReport,
  reportFormats,
  type ReportFormat,
  type ReportLocale,
} from '../../engine/report/index.ts'
import { parseJson } from '../../engine/quantization/index.ts'
import { existingFile } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'

interface ReportOptions {
  output: string
  format?: ReportFormat
  language: ReportLocale
}

const EXAMPLES = `
The format follows from the extension of --output unless --format is given. PDF is printed by an installed Chromium.
Examples:
  aqw report comparison.json -o report.html
  aqw report comparison.json -o report.pdf --language zh
  aqw report fast.json small.json -o both.md`

function readComparison(file: string): Comparison {
  existingFile(file)
  return parseJson(comparisonSchema, readFileSync(file, 'utf8'), file)
}

function formatOf(options: ReportOptions): ReportFormat {
  if (options.format) return options.format
  const extension = path.extname(options.output).slice(1).toLowerCase()
  const found = reportFormats.find(
    (format) => format === extension || (format === 'html' && extension === 'htm'),
  )
  if (found) return found
  throw new AppError('E_ARGUMENT', {
    name: '--output',
    reason: `"${options.output}" has no extension of a report format`,
    expected: reportFormats.map((format) => `.${format}`).join(', '),
  })
}

async function writeReport(host: Host, options: ReportOptions, files: string[]): Promise<void> {
  const format = formatOf(options)
  checkWritable(options.output)
  const entries = files.map((file) => ({ comparison: readComparison(file) }))
  const { bytes } = await renderReport(entries, format, options.language, host.ctx.signal)
  writeFileAtomic(options.output, bytes)
  if (host.json) host.printJson({ path: options.output, format, bytes: bytes.length })
  else host.print(`${options.output}: ${formatBytes(bytes.length)}`)
}

export function register(command: Command): void {
  command
    .argument('<comparison...>', 'files written by "aqw compare --json"')
    .requiredOption('-o, --output <file>', 'the report')
    .addOption(new Option('--format <format>', 'format of the report').choices([...reportFormats]))
    .addOption(new Option('--language <language>', 'en or zh').choices(['en', 'zh']).default('en'))
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<ReportOptions>(command, (host, options, args) => writeReport(host, options, args))
}
