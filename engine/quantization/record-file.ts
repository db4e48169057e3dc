// AMCT's record file: every scale and offset of a quantized model as protobuf text (message ScaleOffsetRecord). Both
// AMCT families number the fields differently, which does not matter in text form. Reading: record-reader.ts.
import { float32Text, quoteText } from './protobuf-text.ts'

/** Quantization factors of one layer, as SingleLayerRecord holds them. */
export interface LayerRecord {
  layer: string
  /** Activation scale; absent for a record that only holds weights. */
  scaleD?: number
  offsetD?: number
  scaleW: number[]
  offsetW: number[]
  /** What each channel of the input was divided by before quantization (AMCT, DMQ balancer). */
  balanceFactors?: number[]
  /** "INT8" and the like; absent in older files. */
  activationType?: string
  weightType?: string
}

/** Renders records in AMCT's layout. */
export function formatRecords(records: readonly LayerRecord[]): string {
  return records.map(formatRecord).join('')
}

function formatRecord(record: LayerRecord): string {
  const fields = [
    ...(record.scaleD === undefined ? [] : [`scale_d: ${float32Text(record.scaleD)}`]),
    ...(record.offsetD === undefined ? [] : [`offset_d: ${record.offsetD}`]),
    ...record.scaleW.map((scale) => `scale_w: ${float32Text(scale)}`),
    ...record.offsetW.map((offset) => `offset_w: ${offset}`),
    ...(record.balanceFactors ?? []).map((factor) => `tensor_balance_factor: ${float32Text(factor)}`),
    ...(record.activationType === undefined ? [] : [`act_type: ${quoteText(record.activationType)}`]),
    ...(record.weightType === undefined ? [] : [`wts_type: ${quoteText(record.weightType)}`]),
  ]
  const value = fields.map((field) => `    ${field}\n`).join('')
  return `record {\n  key: ${quoteText(record.layer)}\n  value {\n${value}  }\n}\n`
}
