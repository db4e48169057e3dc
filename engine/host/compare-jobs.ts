// Compare jobs on the engine's side: resolve the request for the worker, store what it made as a run with its models.
import { fileURLToPath, pathToFileURL } from 'node:url'
import path from 'node:path'
import type { Comparison, ComparisonSide, Delta } from '../../contract/comparison.ts'
import { comparisonSchema } from '../../contract/comparison.ts'
import { compareCommandLine } from '../../contract/rpc/index.ts'
import { defaultRecipe, type Recipe } from '../../contract/recipe.ts'
import {
  compareJobRequestSchema,
  type CompareJobRequest,
  type Job,
  type Provenance,
  type RunColumnSummary,
  type RunRow,
} from '../../contract/workspace.ts'
import type { LayerReport } from '../../contract/quantization.ts'
import type { CompareDefinition } from '../jobs/definitions.ts'
import { storedFile, type JobKind, type PlanResult } from '../jobs/index.ts'
import { newId, now, recipeHash, type KeptFile, type NewRun, type Workspace } from '../workspace/index.ts'
import { factsOf } from './library.ts'
import { givenPath } from './paths.ts'
import { openModel } from '../onnx/index.ts'
import { productVersion } from './version.ts'

const PLAN = fileURLToPath(new URL('../jobs/compare-plan.ts', import.meta.url))

interface Outcome {
  comparison: Comparison
  figures: unknown
  layers: LayerReport[]
}

/** The recipe of a request: the saved one, the one given in place, or the default. */
export function recipeOf(
  workspace: Workspace,
  request: Pick<CompareJobRequest, 'recipeId' | 'recipe'>,
): { recipe: Recipe; name: string } {
  if (request.recipeId !== undefined) {
    const row = workspace.recipes.get(request.recipeId)
    return { recipe: row.recipe, name: row.name }
  }
  const recipe = request.recipe ?? defaultRecipe
  return { recipe, name: recipe.name ?? 'INT8 balanced' }
}

function column(side: ComparisonSide): RunColumnSummary {
  return {
    label: side.label,
    precision: side.label,
    latencyMeanMs: side.latency_ms.mean,
    latencyP50Ms: side.latency_ms.p50,
    qps: side.qps,
    sizeBytes: side.size_bytes,
    deviceMemoryBytes: side.device_memory_bytes,
    loadMs: side.load_ms,
    sqnrDb: side.quality?.sqnr_db ?? null,
    cosine: side.quality?.cosine ?? null,
  }
}

export function ratioOf(delta: Delta): NonNullable<RunRow['latencyRatio']> {
  return {
    ratio: delta.ratio,
    low: delta.low,
    high: delta.high,
    confidence: delta.confidence,
    method: delta.method,
    resamples: 0,
    noDifference: delta.no_difference,
  }
}

/** The equivalent `aqw compare`. */
export function compareCommand(workspace: Workspace, request: CompareJobRequest): string {
  const model = workspace.models.get(request.modelId)
  const dataset = workspace.datasets.get(request.datasetId)
  const { recipe, name } = recipeOf(workspace, request)
  const isDefault = recipeHash(recipe) === recipeHash(defaultRecipe)
  const { loopCount, minRuns, minDurationMs, warmupRuns } = request.scenario ?? {}
  return compareCommandLine({
    modelPath: model.sourcePath,
    calibrationPath: dataset.sourcePath,
    device: request.device,
    recipePath: isDefault ? undefined : `${name.replaceAll(/[^\p{L}\p{N}_-]+/gu, '-')}.json`,
    calibrationSamples: request.calibrationSamples,
    selection: request.selection,
    inputShapes: request.inputShapes,
    evaluationPath:
      request.evaluationDatasetId === undefined
        ? undefined
        : workspace.datasets.get(request.evaluationDatasetId).sourcePath,
    evaluationSamples: request.evaluationSamples,
    hostCpu: request.hostCpu,
    task: request.task,
    gates: request.gates,
    loopCount,
    minRuns,
    minDurationMs,
    warmupRuns,
    outputPath: 'comparison.json',
  })
}

export class CompareJobs implements JobKind {
  readonly planModule: string
  readonly #workspace: Workspace

  constructor(workspace: Workspace, planModule?: string) {
    this.#workspace = workspace
    this.planModule = planModule ?? pathToFileURL(PLAN).href
  }

  async prepare(job: Job): Promise<CompareDefinition> {
    const request = compareJobRequestSchema.parse(job.request)
    const model = this.#workspace.models.get(request.modelId)
    const dataset = this.#workspace.datasets.get(request.datasetId)
    await this.#workspace.verifyModel(model.id)
    const held =
      request.evaluationDatasetId === undefined
        ? undefined
        : this.#workspace.datasets.get(request.evaluationDatasetId)
    const { recipe } = recipeOf(this.#workspace, request)
    return {
      jobId: job.id,
      modelPath: model.path,
      modelSha256: model.sha256,
      datasetPath: dataset.path,
      datasetSha256: dataset.sha256,
      calibrationSamples: request.calibrationSamples,
      selection: request.selection,
      inputShapes: request.inputShapes,
      evaluation: held && { path: held.path, sha256: held.sha256 },
      evaluationSamples: request.evaluationSamples,
      hostCpu: request.hostCpu,
      task: request.task && { ...request.task, path: givenPath(request.task.path) },
      gates: request.gates ?? [],
      partialFolder: this.#workspace.layout.partial,
      recipe,
      recipeSha256: recipeHash(recipe),
      device: request.device,
      scenario: request.scenario ?? {},
      tool: { name: 'aqw', version: productVersion() },
    }
  }

  async complete(
    job: Job,
    result: PlanResult,
    keys: Record<string, string>,
    commit: (runId: string | null) => void,
  ): Promise<void> {
    const request = compareJobRequestSchema.parse(job.request)
    const outcome = result.outcome as Outcome
    const comparison = comparisonSchema.parse(outcome.comparison)
    const files = this.#artifactFiles(result, keys)
    const run: NewRun = {
      id: newId(),
      projectId: job.projectId,
      jobId: job.id,
      row: this.#row(job, request, comparison),
      comparison,
      figures: outcome.figures,
      provenance: this.#provenance(job, request),
      artifacts: files.map(({ kind, file }) => ({
        kind,
        name: file.relativePath,
        sha256: file.sha256,
        bytes: file.bytes,
      })),
      layers: outcome.layers.map((layer) => ({ layer: layer.name, data: layer })),
    }
    const row = await this.#workspace.addRun({
      ...run,
      files: files.map(({ file }) => file),
      alongside: commit,
    })
    await this.#addModels(row, request, files)
  }

  #artifactFiles(result: PlanResult, keys: Record<string, string>): { kind: string; file: KeptFile }[] {
    const names = new Set<string>()
    return result.artifacts.flatMap(({ stage, key, kind }) => {
      const file = storedFile(this.#workspace, keys[stage] ?? '', key)
      if (!file || names.has(file.relativePath)) return []
      names.add(file.relativePath)
      return [{ kind, file }]
    })
  }

  #row(job: Job, request: CompareJobRequest, comparison: Comparison): NewRun['row'] {
    const { device } = comparison
    const latency = comparison.deltas.find((delta) => delta.metric === 'latency_ms')
    const sides = [comparison.baseline, ...comparison.candidates]
    return {
      title: job.title,
      device: { id: device.id, kind: device.kind, name: device.name, soc: device.soc },
      modelId: request.modelId,
      modelName: this.#workspace.models.get(request.modelId).name,
      recipeId: request.recipeId ?? null,
      recipeName: recipeOf(this.#workspace, request).name,
      datasetId: request.datasetId,
      datasetName: this.#workspace.datasets.get(request.datasetId).name,
      valid: sides.every((side) => side.verdict.valid) && comparison.incomparable.length === 0,
      baseline: column(comparison.baseline),
      candidates: comparison.candidates.map(column),
      latencyRatio: latency ? ratioOf(latency) : null,
    }
  }

  #provenance(job: Job, request: CompareJobRequest): Provenance {
    const model = this.#workspace.models.get(request.modelId)
    const dataset = this.#workspace.datasets.get(request.datasetId)
    const { recipe, name } = recipeOf(this.#workspace, request)
    const stages = this.#workspace.jobs.stages(job.id)
    return {
      appVersion: productVersion(),
      startedAt: job.startedAt ?? job.createdAt,
      finishedAt: now(),
      model: { name: model.name, sha256: model.sha256, bytes: model.bytes },
      dataset: { name: dataset.name, sha256: dataset.sha256, samples: dataset.samples },
      recipe: { name, sha256: recipeHash(recipe), recipe },
      device: job.device,
      request: job.request,
      command: compareCommand(this.#workspace, request),
      cachedStages: stages.filter((stage) => stage.state === 'cached').map((stage) => stage.key),
    }
  }

  /** The models a run produced join the lineage of their source; the same content is listed once. */
  async #addModels(
    run: RunRow,
    request: CompareJobRequest,
    files: readonly { kind: string; file: KeptFile }[],
  ): Promise<void> {
    const roles = {
      'compile-fp16': 'fp16',
      'compile-int8': 'int8',
      deploy: 'deploy',
      'fake-quant': 'fake-quant',
    } as const
    const folder = path.join(this.#workspace.layout.runs, run.id)
    for (const [kind, role] of Object.entries(roles)) {
      const main = files.find((entry) => entry.kind === kind)
      if (!main) continue
      const parts = files.filter((entry) => entry.kind === kind || entry.kind.startsWith(`${kind}+`))
      const file = path.join(folder, ...main.file.relativePath.split('/'))
      const format = file.endsWith('.om') ? 'om' : 'onnx'
      const facts =
        format === 'onnx'
          ? factsOf(openModel(file))
          : { parameters: null, opset: null, nodes: null, inputs: [] }
      await this.#workspace.addModel({
        projectId: run.projectId,
        name: path.basename(file),
        format,
        sourcePath: file,
        files: parts.map((part) => ({
          path: path.join(folder, ...part.file.relativePath.split('/')),
          relativePath: part.file.relativePath,
        })),
        facts,
        role,
        parentId: request.modelId,
        runId: run.id,
      })
    }
  }
}
