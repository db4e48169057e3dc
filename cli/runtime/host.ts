// Runs one command: cancellation by Ctrl-C, progress, log lines, errors as message and hint, exit codes.
import { AppError, describeError, toErrorShape, type Locale } from '../../contract/errors/index.ts'
import type { ErrorShape } from '../../contract/result.ts'
import type { WorkContext } from '../../contract/work.ts'
import { createLogger, LOG_LEVELS, type Logger, type LogLevel } from '../../engine/common/log.ts'
import { ProgressLine } from './progress.ts'
import { colourAllowed, painter, type Paint } from './terminal.ts'

/** Documented in docs/cli.md. 130 is what shells give a command ended by Ctrl-C. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const

/** Errors in how the command was called, not in what it was given. */
const USAGE_CODES: readonly string[] = ['E_USAGE', 'E_ARGUMENT']

export interface HostOptions {
  json?: boolean | undefined
  logLevel?: string | undefined
}

/** What a command works with. */
export interface Host {
  ctx: WorkContext
  signal: AbortSignal
  log: Logger
  json: boolean
  /** Styles for stdout. */
  paint: Paint
  /** Prints a line of the result on stdout. */
  print(line?: string): void
  /** Prints the result as JSON on stdout. */
  printJson(value: unknown): void
}

export function parseLogLevel(text: string): LogLevel {
  const level = text.toLowerCase() === 'warn' ? 'warning' : text.toLowerCase()
  const found = LOG_LEVELS.find((known) => known === level)
  if (found) return found
  throw new AppError('E_ARGUMENT', {
    name: 'log level',
    reason: `"${text}" is not known`,
    expected: LOG_LEVELS.join(', '),
  })
}

/** Chinese where the system's messages are Chinese. */
export function systemLocale(environment: Record<string, string | undefined>): Locale {
  const value = environment['LC_ALL'] || environment['LC_MESSAGES'] || environment['LANG'] || ''
  return value.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

/** Message and hint of an error for a terminal, code last. */
export function errorLines(name: string, error: ErrorShape, locale: Locale, paint: Paint): string[] {
  const text = locale === 'en' ? error : describeError(error.code, error.details, locale)
  return [
    `${paint('red', `${name}: error:`)} ${text.message}`,
    `  ${text.hint} ${paint('dim', `[${error.code}]`)}`,
  ]
}

export function exitCodeOf(error: ErrorShape): number {
  if (error.code === 'E_CANCELLED') return EXIT.interrupted
  return USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.failed
}

/** Prints an error where a person or a program looks for it, and sets the exit code. */
export function reportFailure(name: string, thrown: unknown, json: boolean): void {
  const error = toErrorShape(thrown)
  const paint = painter(colourAllowed(process.stderr, process.env))
  for (const line of errorLines(name, error, systemLocale(process.env), paint))
    process.stderr.write(`${line}\n`)
  if (json) process.stdout.write(`${JSON.stringify({ error }, null, 2)}\n`)
  if (error.code === 'E_INTERNAL' && process.env['AQW_DEBUG'] && thrown instanceof Error) {
    process.stderr.write(`${thrown.stack ?? ''}\n`)
  }
  process.exitCode = exitCodeOf(error)
}

/** A reader that has seen enough (`| head`) must not stop the work, nor the files that it still writes. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error
    })
  }
}

/** Runs the work of a command to its end; never throws. */
export async function runCommand(
  name: string,
  options: HostOptions,
  work: (host: Host) => Promise<void>,
): Promise<void> {
  const controller = new AbortController()
  const interrupt = (): void => {
    // The first request lets the work clean up; a second one does not wait for it.
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const progress = new ProgressLine(process.stderr)
  const json = options.json === true
  try {
    const level = parseLogLevel(options.logLevel ?? 'info')
    const log = createLogger(level, (at, message) => {
      progress.clear()
      process.stderr.write(`[${at.toUpperCase()}] ${message}\n`)
    })
    await work({
      ctx: { signal: controller.signal, onProgress: (report) => progress.update(report) },
      signal: controller.signal,
      log,
      json,
      paint: painter(colourAllowed(process.stdout, process.env)),
      print: (line = '') => {
        progress.clear()
        process.stdout.write(`${line}\n`)
      },
      printJson: (value) => {
        progress.clear()
        process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
      },
    })
  } catch (error) {
    progress.clear()
    reportFailure(name, controller.signal.aborted ? new AppError('E_CANCELLED') : error, json)
  } finally {
    progress.clear()
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}
