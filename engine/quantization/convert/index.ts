// Converting quantized models between QuantizeLinear / DequantizeLinear and Ascend's deploy form.
import type { InteropNote } from '../../../contract/interop.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { checkWritable } from '../../common/files.ts'
import { type Model, openModel, saveModel, type SavedModel } from '../../onnx/index.ts'
import { WEIGHT_ONLY_PRODUCT } from '../weight-only.ts'
import { WeightSpill } from '../weight-spill.ts'
import { isPair } from './constants.ts'
import { convertQdqToAscend } from './to-ascend.ts'
import { convertAscendToQdq } from './to-qdq.ts'

export type { Conversion } from './to-ascend.ts'
export { convertQdqToAscend } from './to-ascend.ts'
export { convertAscendToQdq } from './to-qdq.ts'

export type ConversionTarget = 'ascend' | 'qdq'

/** The form that a model is not in yet. @throws E_CONVERT_MODEL when it is in neither, or in both */
export function conversionTarget(model: Model): ConversionTarget {
  const { nodes } = model.graph
  const ascend = nodes.some((node) => node.opType.startsWith('Ascend') || node.opType === WEIGHT_ONLY_PRODUCT)
  const qdq = nodes.some((node) => isPair(node))
  if (ascend !== qdq) return ascend ? 'qdq' : 'ascend'
  throw new AppError('E_CONVERT_MODEL', {
    path: model.path ?? 'the model',
    reason: ascend ? 'it holds nodes of both forms' : 'it is not quantized',
    expected: 'Say which form is wanted (--to ascend or --to qdq), or give a quantized model.',
  })
}

export interface ConvertRequest {
  modelPath: string
  outputPath: string
  /** Guessed from the model when left out. */
  to?: ConversionTarget | undefined
}

export interface ConvertResult {
  to: ConversionTarget
  saved: SavedModel
  notes: InteropNote[]
}

/**
 * Converts an ONNX file.
 * @throws E_CONVERT_MODEL, E_CONVERT_LAYER, E_BIAS_OVERFLOW, E_ONNX_*, E_FILE_WRITE
 */
export function convertModelFile(request: ConvertRequest): ConvertResult {
  checkWritable(request.outputPath)
  const source = openModel(request.modelPath)
  const to = request.to ?? conversionTarget(source)
  using spill = new WeightSpill(request.outputPath)
  const { model, notes } = to === 'ascend' ? convertQdqToAscend(source, spill) : convertAscendToQdq(source)
  return { to, saved: saveModel(model, request.outputPath), notes }
}
