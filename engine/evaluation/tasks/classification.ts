// Evaluating a classifier: how often it is right where labels are known, and how often it agrees with the reference.
import { readFileSync } from 'node:fs'
import type { ClassificationTask } from '../../../contract/evaluation-task.ts'
import type { MetricResult, SampleResult } from '../../../contract/evaluation.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { type CalibrationDataset, modelInputs, openDataset } from '../../calibration/index.ts'
import { tensorNumbers } from '../../device/tensor-values.ts'
import { reasonOf } from '../../common/hashing.ts'
import { openModel } from '../../onnx/index.ts'
import { meanInterval, metricResult, topHits, topPositions } from '../metrics/index.ts'
import { findTensor, type ModelRunner } from '../models.ts'
import { sqnrDb } from '../signal.ts'
import type { Checkpoints, SideSample } from './checkpoint.ts'
import type { SideOutcome } from './diffusion.ts'
import { checkCancelled, type Models, type SideRequest } from './sides.ts'

const TOP = 5

/** One class number per line. @throws E_FILE_READ, E_TASK_INVALID */
export function readLabels(file: string, samples: number): number[] {
  let lines: string[]
  try {
    lines = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim())
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
  const labels = lines.filter((line) => line !== '')
  const wrong = lines.findIndex((line) => line !== '' && !/^\d{1,9}$/.test(line))
  const problems =
    wrong >= 0
      ? [`line ${wrong + 1}: "${lines[wrong]?.slice(0, 100)}" is not a class number`]
      : labels.length < samples
        ? [`${labels.length} labels for ${samples} samples`]
        : []
  if (problems.length > 0) throw new AppError('E_TASK_INVALID', { path: file, problems })
  return labels.map(Number)
}

async function scoresOf(
  { session, model }: ModelRunner,
  dataset: CalibrationDataset,
  index: number,
  output: string,
): Promise<Float32Array> {
  const feeds = Object.entries(dataset.load(index))
  const encoded = feeds.map(([name, { data }]) => {
    return [name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)] as const
  })
  const shapes = Object.fromEntries(feeds.map(([name, feed]) => [name, feed.dims]))
  const { outputs } = await session.run(model.handle, Object.fromEntries(encoded), shapes)
  const { name } = findTensor(model, 'output', output, 'scores')
  const value = outputs[name]
  if (!value) throw new AppError('E_OUTPUT_MISSING', { output, known: Object.keys(outputs) })
  const scores = tensorNumbers(name, value)
  return scores instanceof Float32Array ? scores : Float32Array.from(scores)
}

function sideSample(
  index: number,
  name: string,
  scores: Float32Array,
  reference: Float32Array,
  label: number | undefined,
  isReference: boolean,
): SideSample {
  const classes = scores.length
  const [own] = topPositions(scores, 0, classes, 1)
  const [wanted] = topPositions(reference, 0, classes, 1)
  const hit = (k: number): Float32Array | undefined =>
    label === undefined ? undefined : Float32Array.from(topHits(scores, classes, [label], k))
  const [first, five] = [hit(1), hit(TOP)]
  const sqnr = sqnrDb(reference, scores)
  const sample: SampleResult = {
    id: String(index).padStart(5, '0'),
    prompt: name,
    seed: null,
    file: null,
    values: isReference ? {} : { sqnr: Number.isFinite(sqnr) ? sqnr : null },
    steps: null,
  }
  return {
    sample,
    seconds: 0,
    vectors: {
      ...(!isReference && { top1_agreement: Float32Array.of(own === wanted ? 1 : 0) }),
      ...(first && { top1_accuracy: first }),
      ...(five && classes >= TOP && { top5_accuracy: five }),
    },
  }
}

/** The same classes as the reference, and the label among them. @throws E_TASK_SHAPE, E_TASK_INVALID */
function checkScores(
  task: ClassificationTask,
  model: string,
  classes: number,
  expected: number,
  label: number | undefined,
): void {
  if (classes !== expected) {
    const found = `${classes} scores`
    throw new AppError('E_TASK_SHAPE', { model, tensor: task.output, found, expected: `${expected} scores` })
  }
  if (label === undefined || label < classes) return
  const problems = [`class ${label} is outside the ${classes} of ${model}`]
  throw new AppError('E_TASK_INVALID', { path: task.labels ?? task.data, problems })
}

const SHARES = ['top1_agreement', 'top1_accuracy', 'top5_accuracy'] as const

function shareMetrics(samples: readonly SideSample[]): MetricResult[] {
  return SHARES.flatMap((key) => {
    const values = samples.flatMap(({ vectors }) => [...(vectors[key] ?? [])])
    if (values.length === 0) return []
    const value = values.reduce((sum, one) => sum + one, 0) / values.length
    return [metricResult(key, { value, samples: values.length, interval: meanInterval(values) })]
  })
}

function signalMetric(samples: readonly SideSample[]): MetricResult[] {
  const values = samples.flatMap(({ sample }) => sample.values.sqnr ?? [])
  if (values.length === 0) return []
  const value = values.reduce((sum, one) => sum + one, 0) / values.length
  return [metricResult('sqnr', { value, samples: values.length, interval: meanInterval(values) })]
}

export interface ClassificationRun {
  task: ClassificationTask
  sides: readonly SideRequest[]
  count: number | undefined
  checkpoints: Checkpoints
  models: Models
}

/** Judges all samples of the data set; finished ones are taken from the checkpoints. */
export async function evaluateClassification(
  run: ClassificationRun,
  ctx: WorkContext,
): Promise<SideOutcome[]> {
  const { task, sides, models, checkpoints, count } = run
  const dataset = openDataset({ folder: task.data, count }, modelInputs(openModel(task.model)))
  const labels = task.labels === undefined ? undefined : readLabels(task.labels, dataset.count)
  const runners: ModelRunner[] = []
  for (const side of sides) runners.push(await models.load(side.device, side.modelPath))
  const finished: SideSample[][] = []
  for (let index = 0; index < dataset.count; index++) {
    checkCancelled(ctx.signal)
    const item = dataset.sampleName(index)
    ctx.onProgress?.({ stage: 'evaluate', done: index, total: dataset.count, item })
    let sample = checkpoints.read(index)
    if (!sample) {
      const scores: Float32Array[] = []
      for (const runner of runners) scores.push(await scoresOf(runner, dataset, index, task.output))
      const [reference] = scores as [Float32Array]
      for (const [side, own] of scores.entries())
        checkScores(task, runners[side]?.model.path ?? '', own.length, reference.length, labels?.[index])
      sample = scores.map((own, side) => sideSample(index, item, own, reference, labels?.[index], side === 0))
      checkpoints.write(index, sample)
    }
    finished.push(sample)
  }
  ctx.onProgress?.({ stage: 'evaluate', done: dataset.count, total: dataset.count })
  return sides.map((_, side) => {
    const samples = finished.map((all) => all[side] as SideSample)
    return {
      metrics: [...signalMetric(samples), ...shareMetrics(samples)],
      samples: samples.map(({ sample }) => sample),
      seconds: 0,
    }
  })
}
