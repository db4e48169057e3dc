// The equivalent `aqw` command of an action in the window, as text for a POSIX shell.

/** Quotes one argument for a POSIX shell; plain words stay bare. */
export function quoteArgument(text: string): string {
  if (text !== '' && /^[\w@%+=:,./-]+$/.test(text)) return text
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** What the options of `aqw compare` can say; the rest of a scenario keeps its defaults there. */
export interface CompareCommand {
  modelPath: string
  calibrationPath: string
  device: string
  recipePath?: string | undefined
  calibrationSamples?: number | undefined
  inputShapes?: Record<string, number[]> | undefined
  loopCount?: number | undefined
  minRuns?: number | undefined
  minDurationMs?: number | undefined
  warmupRuns?: number | undefined
  outputPath?: string | undefined
}

/** `aqw compare --model ... --calibration ... --device ...` for the given request. */
export function compareCommandLine(command: CompareCommand): string {
  const shapes = Object.entries(command.inputShapes ?? {}).map(([name, dims]) => `${name}:${dims.join(',')}`)
  const options: (readonly [string, string | number | undefined])[] = [
    ['--model', command.modelPath],
    ['--calibration', command.calibrationPath],
    ['--device', command.device],
    ['--recipe', command.recipePath],
    ['--count', command.calibrationSamples],
    ['--input-shape', shapes.length > 0 ? shapes.join(';') : undefined],
    ['--loop-count', command.loopCount],
    ['--runs', command.minRuns],
    ['--duration', command.minDurationMs],
    ['--warmup', command.warmupRuns],
    ['--json', command.outputPath],
  ]
  const words = options.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)]))
  return ['aqw', 'compare', ...words].map(quoteArgument).join(' ')
}
