// Log lines with levels. The host decides where they go; the default goes nowhere, so that a library stays silent.

export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export type LogSink = (level: LogLevel, message: string) => void

export interface Logger {
  debug(message: string): void
  info(message: string): void
  warning(message: string): void
  error(message: string): void
}

/** A logger that passes messages at or above `minimum` on to `sink`. */
export function createLogger(minimum: LogLevel, sink: LogSink): Logger {
  const floor = LOG_LEVELS.indexOf(minimum)
  const at = (level: LogLevel) => (message: string) => {
    if (LOG_LEVELS.indexOf(level) >= floor) sink(level, message)
  }
  return { debug: at('debug'), info: at('info'), warning: at('warning'), error: at('error') }
}

export const silentLogger: Logger = createLogger('error', () => undefined)
