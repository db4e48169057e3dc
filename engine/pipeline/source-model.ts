// The model a pipeline starts from: an ONNX file, or one recovered from a simulated .om.
import { statSync } from 'node:fs'
import path from 'node:path'
import type { ModelInput } from '../../contract/quantization.ts'
import { modelInputs } from '../calibration/index.ts'
import { recoverOnnx } from '../compile/index.ts'
import { openModel, saveModel } from '../onnx/index.ts'

export interface SourceModel {
  /** The ONNX file to work on. */
  path: string
  inputs: ModelInput[]
  /** Said to the user when the file is not the one that was given. */
  note: string | null
}

/**
 * Opens an .onnx file, or writes the model inside a simulated .om to `folder`.
 * @throws E_ONNX_*, E_OM_NOT_SIMULATED for a real .om
 */
export function openSourceModel(given: string, folder: string): SourceModel {
  if (!given.toLowerCase().endsWith('.om')) {
    return { path: given, inputs: modelInputs(openModel(given)), note: null }
  }
  const file = path.join(folder, `${path.basename(given, path.extname(given))}.onnx`)
  const model = recoverOnnx(given)
  saveModel(model, file)
  const note = `${given} is compiled; its ONNX form was recovered, so the FP32 reference has the weights of that file.`
  return { path: file, inputs: modelInputs(model), note }
}

/** Bytes of an ONNX model with its external data. */
export function modelFileBytes(file: string): number {
  const data = new Set<string>([path.resolve(file)])
  for (const tensor of openModel(file).graph.initializers.values()) {
    if (tensor.data.kind === 'file') data.add(path.resolve(tensor.data.path))
  }
  return [...data].reduce((sum, name) => sum + statSync(name).size, 0)
}
