// Outputs and operator counts from whichever summary a model has: ONNX or .om. Pure.
import { modelSummarySchema } from '../../../contract/model.ts'
import type { OmSummary } from '../../../contract/om.ts'

export interface TensorLine {
  name: string
  type: string
  dims: readonly (number | string | null)[] | null
}

export interface OperatorLine {
  type: string
  count: number
}

/** @param summary a ModelSummary, or null for a compiled model without one */
export function outputsOf(summary: unknown, om: OmSummary | null): TensorLine[] {
  if (om) return om.outputs.map((output) => ({ name: output.name, type: output.dataType, dims: output.dims }))
  const parsed = modelSummarySchema.safeParse(summary)
  if (!parsed.success) return []
  return parsed.data.outputs.map((output) => ({
    name: output.name,
    type: output.dataType,
    dims: output.dims,
  }))
}

/** Most frequent first. */
export function operatorCounts(summary: unknown, om: OmSummary | null): OperatorLine[] {
  const parsed = modelSummarySchema.safeParse(summary)
  const counts = om
    ? om.ops.types
    : parsed.success
      ? parsed.data.operators.map(({ opType, count }) => ({ type: opType, count }))
      : []
  return [...counts].sort((a, b) => b.count - a.count || a.type.localeCompare(b.type))
}

export type ConvertTarget = 'ascend' | 'qdq'

/** The form that a quantized model can be converted to; null for one that is not quantized. */
export function convertibleTo(operators: readonly { type: string }[]): ConvertTarget | null {
  const types = new Set(operators.map(({ type }) => type))
  if (types.has('AscendQuant')) return 'qdq'
  return types.has('QuantizeLinear') || types.has('DequantizeLinear') ? 'ascend' : null
}

/** A file beside the source, named as quantization names its files. */
export function convertedPath(source: string, to: ConvertTarget): string {
  const stem = source.replace(/\.\w+$/, '').replace(/_(deploy|fake_quant)_model$/, '')
  return `${stem}_${to === 'ascend' ? 'deploy' : 'fake_quant'}_model.onnx`
}
