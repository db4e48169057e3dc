// Evaluating a language model: losses of every token on held-out text, and how far predictions are from the reference's.
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import type { LanguageTask } from '../../../contract/evaluation-task.ts'
import type { MetricResult, SampleResult } from '../../../contract/evaluation.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import {
  bootstrapInterval,
  klDivergences,
  metricResult,
  negativeLogLikelihoods,
  perplexity,
  topAgreements,
} from '../metrics/index.ts'
import { reasonOf } from '../../common/hashing.ts'
import { findTensor, type ModelRunner, outputOf, runModel } from '../models.ts'
import { namedList, openTokenizer, propertyOf, readJsonFile } from '../tokenizers.ts'
import type { Checkpoints, SideSample } from './checkpoint.ts'
import type { SideOutcome } from './diffusion.ts'
import { checkCancelled, type Models, type SideRequest } from './sides.ts'

/** One run of the model: tokens in, and the tokens that its last predictions should have been. */
export interface TextWindow {
  tokens: number[]
  targets: number[]
}

/**
 * Windows over a sequence. Every token but the first is a target exactly once, with as much context as its window has; the
 * prediction of a window's last position is of the token behind it.
 * @param stride At most `window`.
 */
export function textWindows(tokens: readonly number[], window: number, stride: number): TextWindow[] {
  const windows: TextWindow[] = []
  for (let start = 0, next = 1; next < tokens.length; start += Math.min(stride, window)) {
    const end = Math.min(tokens.length - 1, start + window)
    windows.push({ tokens: tokens.slice(start, end), targets: tokens.slice(next, end + 1) })
    next = end + 1
  }
  return windows
}

const sequencesSchema = z.array(z.array(z.number().int().nonnegative()).min(2)).min(1)

/** Sequences under the name, or lists of ids in objects {ids}. */
function storedSequences(file: string, list: string): number[][] {
  const found = namedList(readJsonFile(file), list)
  const plain = Array.isArray(found)
    ? found.map((item: unknown) => (Array.isArray(item) ? item : (propertyOf(item, 'ids') ?? item)))
    : found
  const parsed = sequencesSchema.safeParse(plain)
  if (parsed.success) return parsed.data
  const where = parsed.error.issues[0]?.path.join('.') ?? ''
  const problems = [
    `"${list}" must be a list of token sequences of two ids at least${where === '' ? '' : ` (not so: ${where})`}`,
  ]
  throw new AppError('E_TASK_INVALID', { path: file, problems })
}

const MAXIMUM_TEXT_BYTES = 256 * 1024 * 1024

/** @throws E_FILE_READ */
function readText(file: string): string {
  try {
    const { size } = statSync(file)
    if (size > MAXIMUM_TEXT_BYTES)
      throw new Error(`it has ${size} bytes, at most ${MAXIMUM_TEXT_BYTES} are read`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

/**
 * What is judged one after the other: the sequences of a file, each whole; of one long text, every window, so that it can be
 * interrupted and has an interval.
 */
function readings({ text, window, stride = window }: LanguageTask): Reading[] {
  if ('file' in text)
    return storedSequences(text.file, text.list).map((tokens) => textWindows(tokens, window, stride))
  const { ids } = openTokenizer(text.tokenizer).encode(readText(text.text_file))
  if (ids.length > 1) return textWindows(ids, window, stride).map((one) => [one])
  throw new AppError('E_TASK_INVALID', { path: text.text_file, problems: ['two tokens are needed at least'] })
}

/** What one side says of one window. */
interface Judged {
  losses: Float64Array
  /** Logits of the judged positions, [targets, vocabulary]. */
  logits: Float32Array
  vocabulary: number
}

async function judge(runner: ModelRunner, task: LanguageTask, window: TextWindow): Promise<Judged> {
  const { tokens, targets } = window
  const fixed = findTensor(runner.model, 'input', task.ids, 'ids').dims[1] ?? -1
  const length = fixed > 0 ? fixed : tokens.length
  if (tokens.length > length) {
    throw new AppError('E_TASK_SHAPE', {
      model: runner.model.path,
      tensor: task.ids,
      found: `a window of ${length}`,
      expected: `${tokens.length} tokens ("window")`,
    })
  }
  const dims = [1, length]
  const filled = Array.from({ length }, (_, index) => tokens[index] ?? task.pad)
  const feeds = {
    [task.ids]: { dims, data: filled },
    ...(task.attention_mask !== undefined && {
      [task.attention_mask]: { dims, data: filled.map((_, index) => (index < tokens.length ? 1 : 0)) },
    }),
    ...(task.position_ids !== undefined && {
      [task.position_ids]: { dims, data: filled.map((_, index) => index) },
    }),
  }
  const results = await runModel(runner, feeds, task.logits)
  const { dims: shape, data } = outputOf(runner, results, task.logits, 'logits')
  const vocabulary = shape.at(-1) ?? 1
  checkLogits(runner, task, window, data.length / length, vocabulary)
  const first = tokens.length - targets.length
  // A view: the logits of a large vocabulary are gigabytes.
  const logits = data.subarray(first * vocabulary, tokens.length * vocabulary)
  return { losses: negativeLogLikelihoods(logits, vocabulary, targets), logits, vocabulary }
}

/** One row per position, and every expected token among its columns. @throws E_TASK_SHAPE, E_TASK_INVALID */
function checkLogits(
  { model }: ModelRunner,
  task: LanguageTask,
  { targets }: TextWindow,
  found: number,
  vocabulary: number,
): void {
  if (found !== vocabulary) {
    throw new AppError('E_TASK_SHAPE', {
      model: model.path,
      tensor: task.logits,
      found: `${found} numbers per token`,
      expected: `the scores of the whole vocabulary (${vocabulary}) for every token`,
    })
  }
  const outside = targets.find((token) => token >= vocabulary)
  if (outside === undefined) return
  const file = 'file' in task.text ? task.text.file : task.text.text_file
  const problems = [`token ${outside} is outside the vocabulary of ${vocabulary} of ${model.path}`]
  throw new AppError('E_TASK_INVALID', { path: file, problems })
}

/** Per-token values of one side, in the order of the text. */
interface TokenValues {
  losses: number[]
  divergences: number[]
  agreements: number[]
  seconds: number
}

/** Appends without spreading: a window may have more tokens than a call may have arguments. */
function append(list: number[], values: ArrayLike<number>): void {
  for (let index = 0; index < values.length; index++) list.push(values[index] as number)
}

function collect(values: TokenValues, judged: Judged, reference: Judged): void {
  append(values.losses, judged.losses)
  if (judged === reference) return
  append(values.divergences, klDivergences(reference.logits, judged.logits, judged.vocabulary))
  append(values.agreements, topAgreements(reference.logits, judged.logits, judged.vocabulary))
}

/** @throws E_LOSS_NOT_FINITE, E_TASK_SHAPE */
function checkJudged(judged: Judged, reference: Judged, label: string, model: string, place: number[]): void {
  const broken = judged.losses.findIndex((loss) => !Number.isFinite(loss))
  if (broken >= 0) {
    const [sequence = 0, tokens = 0] = place
    const value = String(judged.losses[broken])
    throw new AppError('E_LOSS_NOT_FINITE', { side: label, sequence, token: tokens + broken + 1, value })
  }
  if (judged.vocabulary === reference.vocabulary) return
  throw new AppError('E_TASK_SHAPE', {
    model,
    tensor: 'logits',
    found: `${judged.vocabulary} scores per token`,
    expected: `${reference.vocabulary}, as the reference has`,
  })
}

/** A text in the windows it is read in. */
type Reading = readonly TextWindow[]

async function judgeReading(
  { task, sides: requests }: LanguageRun,
  runners: readonly ModelRunner[],
  reading: Reading,
  index: number,
  signal: AbortSignal | undefined,
): Promise<SideSample[]> {
  const sides: TokenValues[] = runners.map(() => ({
    losses: [],
    divergences: [],
    agreements: [],
    seconds: 0,
  }))
  for (const window of reading) {
    let reference: Judged | undefined
    for (const [side, runner] of runners.entries()) {
      checkCancelled(signal)
      const started = performance.now()
      const judged = await judge(runner, task, window)
      reference ??= judged
      const values = sides[side] as TokenValues
      const place = [index, values.losses.length]
      checkJudged(judged, reference, requests[side]?.label ?? '', runner.model.path, place)
      collect(values, judged, reference)
      values.seconds += (performance.now() - started) / 1000
    }
  }
  return sides.map(({ losses, divergences, agreements, seconds }, side) => ({
    sample: sequenceResult(index, losses, side === 0 ? null : divergences),
    vectors: {
      losses: Float32Array.from(losses),
      divergences: Float32Array.from(divergences),
      agreements: Float32Array.from(agreements),
    },
    seconds,
  }))
}

function sequenceResult(index: number, losses: number[], divergences: number[] | null): SampleResult {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    id: String(index).padStart(5, '0'),
    prompt: null,
    seed: null,
    file: null,
    values: { loss: mean(losses), ...(divergences && { kl_divergence: mean(divergences) }) },
    steps: divergences && divergences.map((value, at) => ({ at, value })),
  }
}

/** Resamples whole sequences: tokens of one sequence are not independent. */
function overSequences(
  samples: readonly SideSample[],
  name: string,
  statistic: (mean: number) => number = (mean) => mean,
) {
  const vectors = samples.map(({ vectors }) => vectors[name] ?? new Float32Array())
  const sums = vectors.map((vector) => vector.reduce((sum, value) => sum + value, 0))
  const meanOf = (positions: ArrayLike<number>): number => {
    let [sum, count] = [0, 0]
    for (let draw = 0; draw < positions.length; draw++) {
      const position = positions[draw] as number
      sum += sums[position] as number
      count += (vectors[position] as Float32Array).length
    }
    return sum / count
  }
  const all = Array.from({ length: vectors.length }, (_, index) => index)
  return {
    value: statistic(meanOf(all)),
    samples: vectors.reduce((sum, vector) => sum + vector.length, 0),
    interval:
      vectors.length < 2
        ? null
        : bootstrapInterval(vectors.length, (positions) => statistic(meanOf(positions))),
  }
}

function textMetrics(samples: readonly SideSample[], isReference: boolean): MetricResult[] {
  const loss = overSequences(samples, 'losses')
  const own = [
    metricResult(
      'perplexity',
      overSequences(samples, 'losses', (mean) => perplexity(mean, 1)),
    ),
    metricResult('loss', loss),
  ]
  if (isReference) return own
  return [
    ...own,
    metricResult('kl_divergence', overSequences(samples, 'divergences')),
    metricResult('top1_agreement', overSequences(samples, 'agreements')),
  ]
}

export interface LanguageRun {
  task: LanguageTask
  sides: readonly SideRequest[]
  /** Sequences to judge; all when left out. */
  count: number | undefined
  checkpoints: Checkpoints
  models: Models
}

/** Judges all sequences; finished ones are taken from the checkpoints. */
export async function evaluateLanguage(run: LanguageRun, ctx: WorkContext): Promise<SideOutcome[]> {
  const { task, sides, models, checkpoints } = run
  const runners: ModelRunner[] = []
  for (const side of sides) runners.push(await models.load(side.device, side.modelPath))
  const texts = readings(task).slice(0, run.count)
  const finished: SideSample[][] = []
  for (const [index, reading] of texts.entries()) {
    checkCancelled(ctx.signal)
    const item = `${reading.reduce((sum, { targets }) => sum + targets.length, 0)} tokens`
    ctx.onProgress?.({ stage: 'evaluate', done: index, total: texts.length, item })
    let sample = checkpoints.read(index)
    if (!sample) {
      sample = await judgeReading(run, runners, reading, index, ctx.signal)
      checkpoints.write(index, sample)
    }
    finished.push(sample)
  }
  ctx.onProgress?.({ stage: 'evaluate', done: texts.length, total: texts.length })
  return sides.map((_, side) => {
    const samples = finished.map((all) => all[side] as SideSample)
    return {
      metrics: textMetrics(samples, side === 0),
      samples: samples.map(({ sample }) => sample),
      seconds: samples.reduce((sum, { seconds }) => sum + seconds, 0),
    }
  })
}
