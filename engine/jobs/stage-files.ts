// Files of stages: how a stage names what it wrote, how a later one finds it; and the stage that several plans begin with.
import path from 'node:path'
import { openModel, summarizeModel } from '../onnx/index.ts'
import { openSourceModel } from '../pipeline/source-model.ts'
import type { Stage, StageFile, StageInput } from './plan.ts'

export function plainFile(key: string, file: string): StageFile {
  return { key, name: path.basename(file), path: file }
}

/** A model with its external data; the parts keep their names, so that the model finds them again. */
export function modelFiles(key: string, file: string): StageFile[] {
  const folder = path.dirname(file)
  return summarizeModel(openModel(file)).files.map((entry, index) => ({
    key: index === 0 ? key : `${key}+${index}`,
    name: path.relative(folder, entry.path).split(path.sep).join('/'),
    path: entry.path,
  }))
}

export function fileOf(results: ReadonlyMap<string, StageInput>, stage: string, key: string): string {
  const file = results.get(stage)?.files[key]
  if (file === undefined) throw new Error(`stage ${stage} left no ${key}`)
  return file
}

export function dataOf<T>(results: ReadonlyMap<string, StageInput>, stage: string): T {
  const result = results.get(stage)
  if (!result) throw new Error(`stage ${stage} left nothing`)
  return result.data as T
}

/** True for a model that must be taken out of a compiled one first. */
export function isCompiled(modelPath: string): boolean {
  return modelPath.toLowerCase().endsWith('.om')
}

/** The ONNX model inside a simulated .om; its file is `source`. */
export function recoverStage(modelPath: string, modelSha256: string): Stage {
  return {
    key: 'recover',
    version: 1,
    weight: 1,
    after: [],
    inputs: { model: modelSha256 },
    run: async ({ folder }) => {
      const { path: file, note } = openSourceModel(modelPath, folder)
      return { data: { note }, files: modelFiles('source', file) }
    },
  }
}

/** The ONNX model that a plan works on. */
export function sourceOf(modelPath: string, results: ReadonlyMap<string, StageInput>): string {
  return isCompiled(modelPath) ? fileOf(results, 'recover', 'source') : modelPath
}
