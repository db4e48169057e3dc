// What the engine process hands to the worker for each kind of job: everything resolved to paths, everything that decides
// the result as a hash.
import type { ScenarioInput } from '../../contract/benchmark.ts'
import type { DatasetRequest, DatasetSpec } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'

/** A model, a recipe, and the data that find its ranges. */
interface JobDefinition {
  modelPath: string
  modelSha256: string
  datasetPath: string
  datasetSha256: string
  calibrationSamples?: number | undefined
  selection?: DatasetSpec['selection'] | undefined
  inputShapes?: Record<string, number[]> | undefined
  recipe: Recipe
  recipeSha256: string
  tool: { name: string; version: string }
}

/** Of a comparison. */
export interface CompareDefinition extends JobDefinition {
  jobId: string
  /** Held-out data for the quality figures; the calibration data when left out. */
  evaluation?: { path: string; sha256: string } | undefined
  evaluationSamples?: number | undefined
  /** Also measures FP32 against the quantized model on the host CPU. */
  hostCpu?: boolean | undefined
  /** Also generates with every side and judges the results. */
  task?: { path: string; count?: number | undefined; seed: number } | undefined
  gates?: readonly string[] | undefined
  /** Where generated samples wait for a resume. */
  partialFolder?: string | undefined
  device: string
  scenario: ScenarioInput
}

/** Of a calibration. */
export interface CalibrateDefinition extends JobDefinition {
  /** Where model and data came from, as the report names them. */
  modelSource: string
  datasetSource: string
}

/** The calibration data of a job, as the engine opens them. */
export function calibrationRequest({
  datasetPath,
  calibrationSamples,
  selection,
  inputShapes,
}: JobDefinition): DatasetRequest {
  return {
    folder: datasetPath,
    ...(calibrationSamples === undefined ? {} : { count: calibrationSamples }),
    ...(selection === undefined ? {} : { selection }),
    ...(inputShapes === undefined ? {} : { inputShapes }),
  }
}
