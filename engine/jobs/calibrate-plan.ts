// A calibration as stages: (recover) -> calibrate. Loaded by the worker process.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { CalibrationReport, CoverageVerdict } from '../../contract/calibration.ts'
import { calibrateModel } from '../quantization/index.ts'
import { type CalibrateDefinition, calibrationRequest } from './definitions.ts'
import type { CreatePlan, Plan, Stage, StageInput } from './plan.ts'
import { dataOf, isCompiled, plainFile, recoverStage, sourceOf } from './stage-files.ts'

/** Keys of the stage's files. */
export const CALIBRATION_FILES = { report: 'calibration', header: 'calibration-header' } as const

/** What the engine process keeps beside the files. */
export interface CalibrationSummary {
  samples: number
  tensors: number
  verdict: CoverageVerdict
}

async function writeReport(
  folder: string,
  report: CalibrationReport,
): Promise<{ report: string; header: string }> {
  const { tensors, ...header } = report
  const files = {
    report: path.join(folder, 'calibration.json'),
    header: path.join(folder, 'calibration-header.json'),
  }
  await writeFile(files.report, JSON.stringify({ ...header, tensors }))
  await writeFile(files.header, JSON.stringify(header))
  return files
}

function calibrate(definition: CalibrateDefinition): Stage {
  const { modelPath, modelSha256, modelSource, datasetSha256, datasetSource, recipe, recipeSha256 } =
    definition
  const { calibrationSamples, selection, inputShapes, tool } = definition
  return {
    key: 'calibrate',
    version: 1,
    weight: 10,
    after: isCompiled(modelPath) ? ['recover'] : [],
    inputs: {
      model: modelSha256,
      dataset: datasetSha256,
      recipe: recipeSha256,
      calibrationSamples,
      selection,
      inputShapes,
      // Both are in the report.
      names: [modelSource, datasetSource],
    },
    run: async (context) => {
      const report = await calibrateModel(
        {
          modelPath: sourceOf(modelPath, context.results),
          recipe,
          dataset: calibrationRequest(definition),
          temporaryFolder: context.folder,
          tool,
        },
        context,
      )
      const named = {
        ...report,
        model: { ...report.model, path: modelSource },
        data: { ...report.data, folder: datasetSource },
      }
      const files = await writeReport(context.folder, named)
      const { verdict } = report.coverage
      context.log('info', `${report.tensors.length} tensors, ${report.data.samples} samples: ${verdict}`)
      return {
        data: {
          samples: report.data.samples,
          tensors: report.tensors.length,
          verdict,
        } satisfies CalibrationSummary,
        files: [
          plainFile(CALIBRATION_FILES.report, files.report),
          plainFile(CALIBRATION_FILES.header, files.header),
        ],
      }
    },
  }
}

export const createPlan: CreatePlan = (given): Plan => {
  const definition = given as CalibrateDefinition
  const { modelPath, modelSha256 } = definition
  const source = isCompiled(modelPath) ? [recoverStage(modelPath, modelSha256)] : []
  return {
    stages: [...source, calibrate(definition)],
    finish: (results: ReadonlyMap<string, StageInput>) => ({
      outcome: dataOf<CalibrationSummary>(results, 'calibrate'),
      artifacts: [],
    }),
  }
}
