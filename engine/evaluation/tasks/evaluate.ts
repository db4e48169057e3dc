// One evaluation: a task, the models to judge, a folder for what is generated; the report in the end.
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { QUALITY_SCHEMA, type QualityReport } from '../../../contract/evaluation.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { writeFileAtomic } from '../../common/files.ts'
import { hashFile, reasonOf } from '../../common/hashing.ts'
import { Checkpoints } from './checkpoint.ts'
import { evaluateDiffusion, type SideOutcome } from './diffusion.ts'
import { evaluateLanguage } from './language.ts'
import { evaluateClassification } from './classification.ts'
import { hashTask, type OpenedTask } from './read.ts'
import { TrajectoryRecorder } from './recorder.ts'
import { Models, type SideRequest } from './sides.ts'

/** The report without its samples: what a comparison carries. */
export function withoutSamples(report: QualityReport): QualityReport {
  return { ...report, sides: report.sides.map((side) => ({ ...side, samples: [] })) }
}

export interface EvaluateRequest {
  task: OpenedTask
  /** The first one is the reference: FP32 on ONNX Runtime. */
  sides: readonly SideRequest[]
  /** Added to every prompt's own seed. */
  seed: number
  /** Pictures, sequences or samples; a task's own number when left out. */
  count?: number | undefined
  /** Pictures, checkpoints and `quality.json` go there. */
  outputFolder: string
  /** Continues an evaluation of the same task and models in this folder; `if_same`: or starts anew. */
  resume: boolean | 'if_same'
  /** Records denoiser inputs of the reference for calibration. */
  record?: { folder: string; samplesPerPicture: number } | undefined
}

/** Pictures unless a count is given: FID with 128 features needs as many. */
const DEFAULT_PICTURES = 256

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new AppError('E_FILE_WRITE', { path: folder, reason: reasonOf(error) }, { cause: error })
  }
}

async function outcomes(
  request: EvaluateRequest,
  checkpoints: Checkpoints,
  ctx: WorkContext,
): Promise<SideOutcome[]> {
  const { task, sides, seed, count, outputFolder, record } = request
  // Awaited below before it is closed: a promise returned as it is would outlive its models.
  await using models = new Models()
  if (task.task.kind === 'language') {
    return await evaluateLanguage({ task: task.task, sides, count, checkpoints, models }, ctx)
  }
  if (task.task.kind === 'classification') {
    return await evaluateClassification({ task: task.task, sides, count, checkpoints, models }, ctx)
  }
  const recorder =
    record &&
    new TrajectoryRecorder(
      record.folder,
      path.join(checkpoints.folder, 'recorded'),
      task.task,
      record.samplesPerPicture,
    )
  const run = {
    task: task.task,
    sides,
    seed,
    count: count ?? DEFAULT_PICTURES,
    outputFolder,
    checkpoints,
    models,
    recorder,
  }
  const result = await evaluateDiffusion(run, ctx)
  recorder?.finish()
  return result
}

function notesOf(result: readonly SideOutcome[]): string[] {
  const few = new Set(
    result.flatMap(({ metrics }) =>
      metrics.flatMap((metric) =>
        metric.needed_samples === null
          ? []
          : [`${metric.key}: ${metric.samples} samples, ${metric.needed_samples} are needed to trust it`],
      ),
    ),
  )
  return [...few]
}

/**
 * Evaluates models by a task and writes `quality.json` with everything generated beside it. The same task, models, seed and
 * machine give the same report, whether it was interrupted or not.
 * @throws E_TASK_*, E_TOKENIZER, E_GENERATION_NOT_FINITE, E_EVALUATION_MISMATCH, E_DEVICE_*, E_FILE_*, E_CANCELLED
 */
export async function evaluateTask(request: EvaluateRequest, ctx: WorkContext = {}): Promise<QualityReport> {
  const { task, sides, seed, outputFolder } = request
  makeFolder(outputFolder)
  const taskHash = hashTask(task, ctx.signal)
  const hashes = sides.map((side) => hashFile(side.modelPath, ctx.signal))
  const identity = {
    task: taskHash,
    models: JSON.stringify(sides.map((side, index) => [side.label, side.device, hashes[index]])),
    seed: String(seed),
    record: JSON.stringify(request.record?.samplesPerPicture ?? 0),
  }
  const checkpoints = new Checkpoints(outputFolder, identity, request.resume)
  const result = await outcomes(request, checkpoints, ctx)
  const report: QualityReport = {
    schema: QUALITY_SCHEMA,
    created_at: new Date().toISOString(),
    task: { kind: task.task.kind, name: task.task.name, sha256: taskHash, settings: task.task },
    seed,
    sides: sides.map((side, index) => ({
      label: side.label,
      role: side.role,
      model: path.basename(side.modelPath),
      sha256: hashes[index] as string,
      device: side.device,
      ...(result[index] as SideOutcome),
    })),
    notes: notesOf(result),
  }
  writeFileAtomic(path.join(outputFolder, 'quality.json'), `${JSON.stringify(report, null, 1)}\n`)
  checkpoints.remove()
  return report
}
