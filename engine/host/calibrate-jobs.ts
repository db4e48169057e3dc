// Calibration jobs on the engine's side: resolve the request for the worker, keep the report under the job's id.
import { fileURLToPath, pathToFileURL } from 'node:url'
import { calibrateCommandLine } from '../../contract/rpc/index.ts'
import { defaultRecipe } from '../../contract/recipe.ts'
import { type CalibrateJobRequest, calibrateJobRequestSchema, type Job } from '../../contract/workspace.ts'
import { CALIBRATION_FILES, type CalibrationSummary } from '../jobs/calibrate-plan.ts'
import type { CalibrateDefinition } from '../jobs/definitions.ts'
import { storedFile, type JobKind, type PlanResult } from '../jobs/index.ts'
import { recipeHash, type KeptFile, type Workspace } from '../workspace/index.ts'
import { recipeOf } from './compare-jobs.ts'
import { productVersion } from './version.ts'

const PLAN = fileURLToPath(new URL('../jobs/calibrate-plan.ts', import.meta.url))

/** What happened to the job, in its own words; read back by `calibrations.list`. */
export const CALIBRATED_EVENT = 'calibrated'

/** A calibration's line in the list; names are those at the time. */
export interface CalibrationRecord extends CalibrationSummary {
  modelName: string
  datasetName: string
  recipeName: string
}

/** The equivalent `aqw calibrate`. */
export function calibrateCommand(workspace: Workspace, request: CalibrateJobRequest): string {
  const { recipe, name } = recipeOf(workspace, request)
  const isDefault = recipeHash(recipe) === recipeHash(defaultRecipe)
  return calibrateCommandLine({
    modelPath: workspace.models.get(request.modelId).sourcePath,
    calibrationPath: workspace.datasets.get(request.datasetId).sourcePath,
    recipePath: isDefault ? undefined : `${name.replaceAll(/[^\p{L}\p{N}_-]+/gu, '-')}.json`,
    calibrationSamples: request.calibrationSamples,
    selection: request.selection,
    inputShapes: request.inputShapes,
    outputPath: 'calibration.html',
  })
}

export class CalibrateJobs implements JobKind {
  readonly planModule = pathToFileURL(PLAN).href
  readonly #workspace: Workspace

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  async prepare(job: Job): Promise<CalibrateDefinition> {
    const request = calibrateJobRequestSchema.parse(job.request)
    const model = this.#workspace.models.get(request.modelId)
    const dataset = this.#workspace.datasets.get(request.datasetId)
    await this.#workspace.verifyModel(model.id)
    const { recipe } = recipeOf(this.#workspace, request)
    return {
      modelPath: model.path,
      modelSha256: model.sha256,
      modelSource: model.sourcePath,
      datasetPath: dataset.path,
      datasetSha256: dataset.sha256,
      datasetSource: dataset.sourcePath,
      calibrationSamples: request.calibrationSamples,
      selection: request.selection,
      inputShapes: request.inputShapes,
      recipe,
      recipeSha256: recipeHash(recipe),
      tool: { name: 'aqw', version: productVersion() },
    }
  }

  async complete(
    job: Job,
    result: PlanResult,
    keys: Record<string, string>,
    commit: (runId: string | null) => void,
  ): Promise<void> {
    const request = calibrateJobRequestSchema.parse(job.request)
    const files = Object.values(CALIBRATION_FILES).map((key) => this.#file(keys, key))
    const record: CalibrationRecord = {
      ...(result.outcome as CalibrationSummary),
      modelName: this.#workspace.models.get(request.modelId).name,
      datasetName: this.#workspace.datasets.get(request.datasetId).name,
      recipeName: recipeOf(this.#workspace, request).name,
    }
    this.#workspace.transaction(() => {
      this.#workspace.files.remove(job.id)
      this.#workspace.files.insert(job.id, files)
      this.#workspace.jobs.addEvent(job.id, CALIBRATED_EVENT, record)
      commit(null)
    })
    const { id, projectId } = job
    this.#workspace.announce({ entity: 'calibration', action: 'added', id, projectId })
  }

  #file(keys: Record<string, string>, key: string): KeptFile {
    const file = storedFile(this.#workspace, keys['calibrate'] ?? '', key)
    if (!file) throw new Error(`the calibration left no ${key}`)
    return { ...file, relativePath: `${key}.json` }
  }
}
