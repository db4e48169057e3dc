// The comparison: quantize, compile, load both precisions in one device session, measure interleaved, judge the outputs.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { BenchmarkResult, ScenarioInput } from '../../contract/benchmark.ts'
import type { Comparison, ComparisonSection } from '../../contract/comparison.ts'
import { runGates } from '../../contract/comparison-figures.ts'
import type { CostValidation } from '../../contract/cost.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { QualityReport } from '../../contract/evaluation.ts'
import type { Gate } from '../../contract/gates.ts'
import type { DatasetRequest, ModelInput, QuantizationResult } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import type { WorkContext } from '../../contract/work.ts'
import { benchmark, type BenchmarkModel } from '../benchmark/index.ts'
import { openDataset, type CalibrationDataset } from '../calibration/index.ts'
import { hashFile, reasonOf } from '../common/hashing.ts'
import { formatDeviceSelector, openDevice, parseDeviceSelector, type DeviceSession } from '../device/index.ts'
import {
  evaluateTask,
  type OpenedTask,
  readTask,
  type SideRequest,
  withoutSamples,
} from '../evaluation/tasks/index.ts'
import { deployPrecision, quantizeModel } from '../quantization/index.ts'
import { assembleComparison, candidateLabel, labelInFileName, layerCounts } from './assemble.ts'
import { compileForDevice } from './compile-for-device.ts'
import { overlappingSamples } from './overlap.ts'
import { measureQuality, spread, toRunInputs, type RunInputs, type Runner } from './quality.ts'
import { buildSection, type MeasuredModel } from './sections.ts'
import { modelFileBytes, openSourceModel, type SourceModel } from './source-model.ts'

export interface CompareRequest {
  /** `.onnx`, or `.om` of the simulated compiler. */
  modelPath: string
  calibration: DatasetRequest
  /** Held-out data for the quality figures; the calibration data when left out. */
  evaluation?: DatasetRequest | undefined
  /** `npu:0`, `sim:Ascend310P3`, `cpu`. */
  device: string
  recipe: Recipe
  scenario: ScenarioInput
  /** Also measures FP32 against INT8 on the host CPU. */
  hostCpu: boolean
  /** Samples that the quality figures use, spread evenly over the data. */
  evaluationSamples: number
  /** Also generates with every side and judges the results. */
  task?: { path: string; count?: number | undefined; seed: number } | undefined
  /** Conditions that every candidate is held to. */
  gates?: readonly Gate[] | undefined
  /** Keeps the models there; otherwise they are made in a temporary folder and removed. */
  artifactsFolder?: string | undefined
  tool: { name: string; version: string }
}

/** What all steps share. */
interface Run {
  request: CompareRequest
  ctx: WorkContext
  folder: string
  source: SourceModel
  calibration: CalibrationDataset
  evaluation: CalibrationDataset
  indices: number[]
  inputs: RunInputs
  /** Concrete shapes of one run, for the compiler. */
  shapes: Record<string, number[]>
  quantization: QuantizationResult
  /** FP32 source model on ONNX Runtime. */
  reference: Runner
}

interface Side {
  label: string
  path: string
  isQuantized: boolean
  costValidation?: CostValidation
}

/** A device's section with what the whole comparison takes from it. */
interface Measured {
  section: ComparisonSection
  baseline: BenchmarkResult
  costValidation: CostValidation | undefined
}

/**
 * Runs a comparison. Nothing but `artifactsFolder` is written; everything else is removed again.
 * @throws E_DEVICE_*, E_ONNX_*, E_CALIBRATION_*, E_COMPILE_*, E_FILE_WRITE, E_CANCELLED
 */
export async function compare(request: CompareRequest, ctx: WorkContext = {}): Promise<Comparison> {
  const selector = parseDeviceSelector(request.device)
  // A task that cannot be read and a device that cannot be opened are found out before any work.
  const task = request.task && readTask(request.task.path)
  await using session = await openDevice(selector)
  await using cpu = selector.kind === 'cpu' ? undefined : await openDevice('cpu')
  const host = cpu ?? session
  const folder = workFolder(request.artifactsFolder)
  try {
    const run = await prepare(request, ctx, folder, host)
    const sides = await sidesFor(run)
    const measured = await measureOn(session, sides, run)
    const hostCpu = cpu && request.hostCpu ? await measureOn(cpu, cpuSides(run), run) : null
    const generated = task ? await generateWith(task, sides, run) : null
    return judged(assemble(run, measured, hostCpu?.section ?? null, generated), request.gates ?? [])
  } finally {
    if (request.artifactsFolder === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

function workFolder(wanted: string | undefined): string {
  if (wanted === undefined) return mkdtempSync(path.join(os.tmpdir(), 'aqw-compare-'))
  try {
    mkdirSync(wanted, { recursive: true })
    return wanted
  } catch (error) {
    throw new AppError('E_FILE_WRITE', { path: wanted, reason: reasonOf(error) }, { cause: error })
  }
}

async function prepare(
  request: CompareRequest,
  ctx: WorkContext,
  folder: string,
  host: DeviceSession,
): Promise<Run> {
  const source = openSourceModel(request.modelPath, folder)
  // Quality and latency use single batches of the calibration batch size.
  const calibration = openDataset(request.calibration, source.inputs)
  const evaluation = request.evaluation ? openDataset(request.evaluation, source.inputs) : calibration
  const quantization = await quantizeModel(
    {
      modelPath: source.path,
      recipe: request.recipe,
      dataset: request.calibration,
      outputPrefix: path.join(folder, path.basename(source.path, '.onnx')),
      hostCpuModel: request.hostCpu || parseDeviceSelector(request.device).kind === 'cpu',
    },
    ctx,
  )
  const sample = evaluation.load(0)
  const loaded = await host.loadModel(source.path)
  return {
    request,
    ctx,
    folder,
    source,
    calibration,
    evaluation,
    indices: spread(evaluation.count, request.evaluationSamples),
    inputs: toRunInputs(sample),
    shapes: Object.fromEntries(Object.entries(sample).map(([name, feed]) => [name, feed.dims])),
    quantization,
    reference: { session: host, handle: loaded.handle },
  }
}

function cpuSides(run: Run): Side[] {
  return [
    { label: 'FP32', path: run.source.path, isQuantized: false },
    {
      label: candidateLabel(run.quantization, 'host'),
      path: run.quantization.hostCpuPath ?? '',
      isQuantized: true,
    },
  ]
}

/** The models a device runs: compiled ones, or the ONNX files themselves on the host CPU. */
async function sidesFor(run: Run): Promise<Side[]> {
  const { request, ctx, folder, shapes, source, quantization } = run
  const selector = parseDeviceSelector(request.device)
  if (selector.kind === 'cpu') return cpuSides(run)
  const device = formatDeviceSelector(selector)
  const base = path.join(folder, path.basename(source.path, '.onnx'))
  const plans = [
    { label: 'FP16', isQuantized: false, precision: 'fp16', modelPath: source.path },
    {
      label: candidateLabel(quantization),
      isQuantized: true,
      precision: deployPrecision(quantization.layers),
      modelPath: quantization.deployPath,
    },
  ] as const
  const sides: Side[] = []
  for (const { label, isQuantized, precision, modelPath } of plans) {
    const outputPath = `${base}_${labelInFileName(label)}.om`
    const inputShapes = openShapes(source.inputs, shapes)
    const result = await compileForDevice({ modelPath, device, precision, outputPath, inputShapes }, ctx)
    sides.push({
      label,
      path: result.path,
      isQuantized,
      ...(result.estimate ? { costValidation: result.estimate.validation } : {}),
    })
  }
  return sides
}

/** Shapes of the inputs that the model leaves open; undefined when it leaves none. */
function openShapes(
  inputs: readonly ModelInput[],
  shapes: Record<string, number[]>,
): Record<string, number[]> | undefined {
  const open = inputs.filter((input) => input.dims.includes(null))
  if (open.length === 0) return undefined
  return Object.fromEntries(open.map((input) => [input.name, shapes[input.name] ?? []]))
}

async function measureOn(session: DeviceSession, sides: readonly Side[], run: Run): Promise<Measured> {
  const { ctx, inputs, request } = run
  const models: BenchmarkModel[] = []
  for (const { label, path: file, costValidation } of sides) {
    const model = await session.loadModel(file)
    const validation = costValidation ? { costValidation } : {}
    models.push({ label, model, feeds: inputs.feeds, shapes: inputs.shapes, ...validation })
  }
  const results = await benchmark(session, models, request.scenario, ctx)
  const runners = models.map(({ model }) => ({ session, handle: model.handle }))
  const isReference = sides.map((side) => side.path === run.source.path)
  const judged = runners.filter((_, index) => !isReference[index])
  const qualities = await measureQuality(run.reference, judged, run.evaluation, run.indices, ctx)
  const measured = sides.map((side, index): MeasuredModel => {
    const result = results[index]
    if (!result) throw new Error('a benchmark result is missing')
    const quality = isReference[index] ? null : (qualities.shift() ?? null)
    const quantizedLayers = side.isQuantized ? layerCounts(run.quantization) : null
    return { label: side.label, sha256: hashFile(side.path, ctx.signal), result, quality, quantizedLayers }
  })
  for (const { handle } of runners) await session.unload(handle)
  const [baseline, ...candidates] = measured
  if (!baseline) throw new Error('nothing was measured')
  return {
    section: buildSection(baseline, candidates),
    baseline: baseline.result,
    costValidation: sides[0]?.costValidation,
  }
}

/** Generates with the source model in FP32 and with every side that is another model. */
async function generateWith(task: OpenedTask, sides: readonly Side[], run: Run): Promise<QualityReport> {
  const { request, folder, source, ctx } = run
  const device = formatDeviceSelector(parseDeviceSelector(request.device))
  const others = sides.filter((side) => side.path !== source.path)
  const report = await evaluateTask(
    {
      task,
      sides: [
        { label: 'FP32', role: 'reference', modelPath: source.path, device: 'cpu' },
        ...others.map(({ label, path: modelPath, isQuantized }): SideRequest => {
          return { label, role: isQuantized ? 'candidate' : 'baseline', modelPath, device }
        }),
      ],
      seed: request.task?.seed ?? 0,
      count: request.task?.count,
      outputFolder: path.join(folder, 'generated'),
      resume: false,
    },
    ctx,
  )
  // The samples lie with the pictures, in generated/quality.json of the artifacts.
  return withoutSamples(report)
}

function judged(comparison: Comparison, gates: readonly Gate[]): Comparison {
  return { ...comparison, gates: runGates(comparison, gates) }
}

function assemble(
  run: Run,
  measured: Measured,
  hostCpu: ComparisonSection | null,
  generated: QualityReport | null,
): Comparison {
  const { request, source, calibration, evaluation, indices, quantization, ctx } = run
  return assembleComparison({
    modelPath: request.modelPath,
    source: {
      sha256: hashFile(source.path, ctx.signal),
      bytes: modelFileBytes(source.path),
      note: source.note,
    },
    calibrationFolder: request.calibration.folder,
    evaluation: {
      folder: request.evaluation?.folder ?? request.calibration.folder,
      sampleNames: indices.map((index) => evaluation.sampleName(index)),
      sameAsCalibration: evaluation.digest(ctx.signal) === calibration.digest(ctx.signal),
      overlappingSamples: overlappingSamples(evaluation, calibration, ctx.signal),
    },
    recipe: request.recipe,
    tool: request.tool,
    shapes: run.shapes,
    quantization,
    section: measured.section,
    baseline: measured.baseline,
    costValidation: measured.costValidation,
    hostCpu,
    generated,
  })
}
