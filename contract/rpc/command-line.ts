// The equivalent `aqw` command of an action in the window, as text for a POSIX shell.

/** Quotes one argument for a POSIX shell; plain words stay bare. */
export function quoteArgument(text: string): string {
  if (text !== '' && /^[\w@%+=:,./-]+$/.test(text)) return text
  return `'${text.replaceAll("'", `'\\''`)}'`
}

export interface CompareCommand {
  modelPath: string
  calibrationPath: string
  device: string
  recipePath?: string
  loopCount?: number
  minRuns?: number
  minDurationMs?: number
  warmupRuns?: number
  warmupMs?: number
  blockRuns?: number
  batch?: number
  seed?: number
  calibrationSamples?: number
  inputShapes?: Record<string, number[]>
  outputPath?: string
}

/** `aqw compare --model ... --calibration ... --device ...` for the given request. */
export function compareCommandLine(command: CompareCommand): string {
  const words = ['aqw', 'compare', '--model', command.modelPath, '--calibration', command.calibrationPath]
  words.push('--device', command.device)
  const option = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) words.push(name, String(value))
  }
  option('--recipe', command.recipePath)
  option('--loop-count', command.loopCount)
  option('--min-runs', command.minRuns)
  option('--min-duration-ms', command.minDurationMs)
  option('--warmup-runs', command.warmupRuns)
  option('--warmup-ms', command.warmupMs)
  option('--block-runs', command.blockRuns)
  option('--batch', command.batch)
  option('--seed', command.seed)
  option('--calibration-samples', command.calibrationSamples)
  for (const [name, dims] of Object.entries(command.inputShapes ?? {})) {
    option('--input-shape', `${name}:${dims.join(',')}`)
  }
  option('--json', command.outputPath)
  return words.map(quoteArgument).join(' ')
}
