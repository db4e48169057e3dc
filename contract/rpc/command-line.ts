// The equivalent `aqw` command of an action in the window, as text for a POSIX shell.
import type { DatasetSpec } from '../quantization.ts'

/** Quotes one argument for a POSIX shell; plain words stay bare. */
export function quoteArgument(text: string): string {
  if (text !== '' && /^[\w@%+=:,./-]+$/.test(text)) return text
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function shapesText(inputShapes: Record<string, number[]> | undefined): string | undefined {
  const shapes = Object.entries(inputShapes ?? {}).map(([name, dims]) => `${name}:${dims.join(',')}`)
  return shapes.length > 0 ? shapes.join(';') : undefined
}

/** Options without a value are left out. */
function commandText(
  start: readonly string[],
  options: readonly (readonly [string, string | number | undefined])[],
  flags: readonly string[] = [],
): string {
  const words = options.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)]))
  return [...start, ...words, ...flags].map(quoteArgument).join(' ')
}

/** What the options of `aqw compare` can say; the rest of a scenario keeps its defaults there. */
export interface CompareCommand {
  modelPath: string
  calibrationPath: string
  device: string
  recipePath?: string | undefined
  calibrationSamples?: number | undefined
  selection?: DatasetSpec['selection'] | undefined
  inputShapes?: Record<string, number[]> | undefined
  evaluationPath?: string | undefined
  evaluationSamples?: number | undefined
  hostCpu?: boolean | undefined
  task?: { path: string; count?: number | undefined; seed: number } | undefined
  gates?: readonly string[] | undefined
  loopCount?: number | undefined
  minRuns?: number | undefined
  minDurationMs?: number | undefined
  warmupRuns?: number | undefined
  outputPath?: string | undefined
}

/** All samples leave nothing to choose, and the option alone is refused. */
function choiceOf({
  calibrationSamples,
  selection,
}: Pick<CompareCommand, 'calibrationSamples' | 'selection'>): DatasetSpec['selection'] | undefined {
  return calibrationSamples === undefined ? undefined : selection
}

/** `aqw compare --model ... --calibration ... --device ...` for the given request. */
export function compareCommandLine(command: CompareCommand): string {
  const options: (readonly [string, string | number | undefined])[] = [
    ['--model', command.modelPath],
    ['--calibration', command.calibrationPath],
    ['--device', command.device],
    ['--recipe', command.recipePath],
    ['--count', command.calibrationSamples],
    ['--calibration-selection', choiceOf(command)],
    ['--evaluation', command.evaluationPath],
    ['--samples', command.evaluationSamples],
    ['--input-shape', shapesText(command.inputShapes)],
    ['--loop-count', command.loopCount],
    ['--runs', command.minRuns],
    ['--duration', command.minDurationMs],
    ['--warmup', command.warmupRuns],
    ['--task', command.task?.path],
    ['--task-count', command.task?.count],
    ['--seed', command.task?.seed === 0 ? undefined : command.task?.seed],
    ...(command.gates ?? []).map((gate) => ['--gate', gate] as const),
    ['--json', command.outputPath],
  ]
  return commandText(['aqw', 'compare'], options, command.hostCpu === true ? ['--host-cpu'] : [])
}

/** What the options of `aqw calibrate` can say. */
export interface CalibrateCommand {
  modelPath: string
  calibrationPath: string
  recipePath?: string | undefined
  calibrationSamples?: number | undefined
  selection?: DatasetSpec['selection'] | undefined
  inputShapes?: Record<string, number[]> | undefined
  outputPath?: string | undefined
}

/** `aqw calibrate MODEL --data ...` for the given request. */
export function calibrateCommandLine(command: CalibrateCommand): string {
  const options: (readonly [string, string | number | undefined])[] = [
    ['--data', command.calibrationPath],
    ['--recipe', command.recipePath],
    ['--count', command.calibrationSamples],
    ['--selection', choiceOf(command)],
    ['--input-shape', shapesText(command.inputShapes)],
    ['--report', command.outputPath],
  ]
  return commandText(['aqw', 'calibrate', command.modelPath], options)
}

/** What the options of `aqw quantize` can say; everything about the quantization itself is in the recipe's file. */
export interface QuantizeCommand {
  modelPath: string
  calibrationPath: string
  recipePath: string
  /** Beginning of the names of the files to write. */
  outputPrefix: string
}

/** `aqw quantize --model ... --calibration ... --recipe ... --output ...` for the given request. */
export function quantizeCommandLine(command: QuantizeCommand): string {
  const { modelPath, calibrationPath, recipePath, outputPrefix } = command
  const options = ['--model', modelPath, '--calibration', calibrationPath, '--recipe', recipePath]
  return ['aqw', 'quantize', ...options, '--output', outputPrefix].map(quoteArgument).join(' ')
}
