// AMCT's record file: every scale and offset of a quantized model as protobuf text (message ScaleOffsetRecord). Both
// AMCT families number the fields differently, which does not matter in text form.
import { AppError } from '../../contract/errors/index.ts'
import {
  float32Text,
  parseProtobufText,
  quoteText,
  type TextMessage,
  type TextScalar,
} from './protobuf-text.ts'
import { FLOAT32_EPSILON } from './rules.ts'

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

const LARGEST_SCALE = 1 / FLOAT32_EPSILON

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

/**
 * Reads a record file of any AMCT tool. Fields that hold no quantization factor are passed over.
 * @throws E_RECORD_SYNTAX with line and column; E_RECORD_VALUE for a factor outside AMCT's limits or a layer twice
 */
export function parseRecords(text: string, path: string): LayerRecord[] {
  const seen = new Set<string>()
  return messages(parseProtobufText(text, path), 'record').map((entry) => {
    const layer = String(entry.fields.get('key')?.[0] ?? '')
    if (layer === '') throw valueError(path, layer, 'key', 'missing', 'the name of a layer')
    if (seen.has(layer)) throw valueError(path, layer, 'record', 'given twice', 'one record per layer')
    seen.add(layer)
    const [value] = messages(entry, 'value')
    if (!value) throw valueError(path, layer, 'value', 'missing', 'the factors of the layer')
    return readRecord(value, layer, path)
  })
}

function messages(parent: TextMessage, field: string): TextMessage[] {
  return (parent.fields.get(field) ?? []).filter((value) => typeof value === 'object')
}

function readRecord(value: TextMessage, layer: string, path: string): LayerRecord {
  const scale = (field: string): number[] =>
    numbers(value, field, layer, path).map((number) => {
      const fits = number >= FLOAT32_EPSILON && number <= LARGEST_SCALE
      if (!fits)
        throw valueError(path, layer, field, String(number), `a scale from ${FLOAT32_EPSILON} to its inverse`)
      return Math.fround(number)
    })
  const [scaleD] = scale('scale_d')
  const [offsetD] = numbers(value, 'offset_d', layer, path)
  if (offsetD !== undefined && !(Number.isInteger(offsetD) && offsetD >= -128 && offsetD <= 127)) {
    throw valueError(path, layer, 'offset_d', String(offsetD), 'a whole number from -128 to 127')
  }
  const offsetW = numbers(value, 'offset_w', layer, path)
  const stray = offsetW.find((offset) => offset !== 0)
  if (stray !== undefined) throw valueError(path, layer, 'offset_w', String(stray), '0')
  const activationType = word(value, 'act_type') ?? word(value, 'dst_type') ?? word(value, 'op_data_type')
  const weightType = word(value, 'wts_type')
  const balanceFactors = scale('tensor_balance_factor')
  return {
    layer,
    ...(scaleD !== undefined && { scaleD }),
    ...(offsetD !== undefined && { offsetD }),
    scaleW: scale('scale_w'),
    offsetW,
    ...(balanceFactors.length > 0 && { balanceFactors }),
    ...(activationType !== undefined && { activationType }),
    ...(weightType !== undefined && { weightType }),
  }
}

function numbers(value: TextMessage, field: string, layer: string, path: string): number[] {
  return (value.fields.get(field) ?? []).map((item) => {
    if (typeof item !== 'number') throw valueError(path, layer, field, describe(item), 'a number')
    return item
  })
}

function word(value: TextMessage, field: string): string | undefined {
  const item = value.fields.get(field)?.[0]
  return typeof item === 'string' ? item : undefined
}

function describe(item: TextScalar | TextMessage): string {
  return typeof item === 'object' ? 'a message' : JSON.stringify(item)
}

function valueError(path: string, layer: string, field: string, value: string, expected: string): AppError {
  return new AppError('E_RECORD_VALUE', { path, layer, field, value, expected })
}
