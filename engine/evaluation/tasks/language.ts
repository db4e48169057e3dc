// Evaluating a language model: losses of every token on held-out text, and how far predictions are from the reference's.
import { readFileSync } from 'node:fs'
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
import { findTensor, type ModelRunner, outputOf, runModel } from '../models.ts'
import { openTokenizer, readJsonFile } from '../tokenizers.ts'
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
  const content = readJsonFile(file)
  const found = Array.isArray(content) ? content : (content as Record<string, unknown>)[list]
  const plain = Array.isArray(found)
    ? found.map((item) => (Array.isArray(item) ? item : ((item as Record<string, unknown>)['ids'] ?? item)))
    : found
  const parsed = sequencesSchema.safeParse(plain)
  if (parsed.success) return parsed.data
  const problems = [`"${list}" must be a list of token sequences`]
  throw new AppError('E_TASK_INVALID', { path: file, problems })
}

function readSequences({ text }: LanguageTask): number[][] {
  if ('file' in text) return storedSequences(text.file, text.list)
  const { ids } = openTokenizer(text.tokenizer).encode(readFileSync(text.text_file, 'utf8'))
  return [ids]
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
  const { dims: shape, data } = outputOf(runner, await runModel(runner, feeds), task.logits, 'logits')
  const vocabulary = shape.at(-1) ?? 1
  const first = tokens.length - targets.length
  const logits = data.slice(first * vocabulary, tokens.length * vocabulary)
  return { losses: negativeLogLikelihoods(logits, vocabulary, targets), logits, vocabulary }
}

async function judgeSequence(
  runners: readonly ModelRunner[],
  task: LanguageTask,
  tokens: readonly number[],
  index: number,
): Promise<SideSample[]> {
  const sides = runners.map(() => ({
    losses: [] as number[],
    divergences: [] as number[],
    agreements: [] as number[],
    seconds: 0,
  }))
  for (const window of textWindows(tokens, task.window, task.stride ?? task.window)) {
    let reference: Judged | undefined
    for (const [side, runner] of runners.entries()) {
      const started = performance.now()
      const judged = await judge(runner, task, window)
      reference ??= judged
      const collected = sides[side] as (typeof sides)[number]
      collected.losses.push(...judged.losses)
      collected.divergences.push(...klDivergences(reference.logits, judged.logits, judged.vocabulary))
      collected.agreements.push(...topAgreements(reference.logits, judged.logits, judged.vocabulary))
      collected.seconds += (performance.now() - started) / 1000
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
  const sequences = readSequences(task).slice(0, run.count)
  const finished: SideSample[][] = []
  for (const [index, tokens] of sequences.entries()) {
    checkCancelled(ctx.signal)
    ctx.onProgress?.({ stage: 'evaluate', done: index, total: sequences.length })
    let sample = checkpoints.read(index)
    if (!sample) {
      sample = await judgeSequence(runners, task, tokens, index)
      checkpoints.write(index, sample)
    }
    finished.push(sample)
  }
  ctx.onProgress?.({ stage: 'evaluate', done: sequences.length, total: sequences.length })
  return sides.map((_, side) => {
    const samples = finished.map((all) => all[side] as SideSample)
    return {
      metrics: textMetrics(samples, side === 0),
      samples: samples.map(({ sample }) => sample),
      seconds: samples.reduce((sum, { seconds }) => sum + seconds, 0),
    }
  })
}
