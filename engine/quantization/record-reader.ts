// Reading AMCT's record file, as any of its tools writes it: messages SingleLayerRecord of scale_offset_record_pytorch.proto,
// scale_offset_record_onnx.proto and their relatives, whose field names are the same where their numbers differ.
import { AppError } from '../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../contract/interop.ts'
import { parseProtobufText, type TextMessage, type TextScalar } from './protobuf-text.ts'
import type { LayerRecord } from './record-file.ts'
import { FLOAT32_EPSILON } from './rules.ts'

const LARGEST_SCALE = 1 / FLOAT32_EPSILON

/** Fields that say something about how the model was quantized, but nothing that is needed to do it again. */
const HARMLESS = ['op_data_type', 'fakequant_precision_mode', 'channels', 'height', 'width']
const READ = [
  'scale_d',
  'offset_d',
  'scale_w',
  'offset_w',
  'shift_bit',
  'tensor_balance_factor',
  'skip_fusion',
  'is_tensor_quantize',
  'dst_type',
  'act_type',
  'wts_type',
  'cluster',
]

/** What a record file holds. */
export interface Records {
  records: LayerRecord[]
  /** Line of each layer's record. */
  lines: ReadonlyMap<string, number>
  /** Layers whose normalization was not folded. */
  skipFusion: string[]
  notes: InteropNote[]
}

/** The fields of one layer's record. */
class RecordReader {
  readonly #value: TextMessage
  readonly #layer: string
  readonly #path: string

  constructor(value: TextMessage, layer: string, path: string) {
    this.#value = value
    this.#layer = layer
    this.#path = path
  }

  refuse(field: string, value: string, expected: string, position = 0): AppError {
    const line = this.#value.lines.get(field)?.[position] ?? this.#value.line
    return new AppError('E_RECORD_VALUE', {
      path: this.#path,
      line,
      layer: this.#layer,
      field,
      value,
      expected,
    })
  }

  #values(field: string): (TextScalar | TextMessage)[] {
    return this.#value.fields.get(field) ?? []
  }

  numbers(field: string, fits: (value: number) => boolean, expected: string): number[] {
    return this.#values(field).map((item, position) => {
      if (typeof item !== 'number') throw this.refuse(field, describe(item), 'a number', position)
      if (!fits(item)) throw this.refuse(field, String(item), expected, position)
      return item
    })
  }

  scales(field: string): number[] {
    const fits = (value: number): boolean => value >= FLOAT32_EPSILON && value <= LARGEST_SCALE
    return this.numbers(field, fits, `a scale from ${FLOAT32_EPSILON} to its inverse`).map(Math.fround)
  }

  word(field: string): string | undefined {
    const [item] = this.#values(field)
    return typeof item === 'string' ? item : undefined
  }

  flag(field: string): boolean {
    return ['true', 'True', 't', '1'].includes(String(this.#values(field)[0]))
  }

  /** Fields that are passed over and worth a note. */
  unknown(): string[] {
    const known = new Set([...READ, ...HARMLESS])
    return [...this.#value.fields.keys()].filter((field) => !known.has(field))
  }
}

function describe(item: TextScalar | TextMessage): string {
  return typeof item === 'object' ? 'a message' : JSON.stringify(item)
}

function integerIn(minimum: number, maximum: number): (value: number) => boolean {
  return (value) => Number.isInteger(value) && value >= minimum && value <= maximum
}

function readRecord(reader: RecordReader, layer: string): LayerRecord {
  const activationType = reader.word('act_type') ?? reader.word('dst_type')
  const weightType = reader.word('wts_type')
  const wide = activationType === 'INT16'
  const [low, high] = wide ? [-32768, 32767] : [-128, 127]
  const [scaleD] = reader.scales('scale_d')
  const [offsetD] = reader.numbers('offset_d', integerIn(low, high), `a whole number from ${low} to ${high}`)
  const scaleW = reader.scales('scale_w')
  const offsetW = reader.numbers('offset_w', (value) => value === 0, '0')
  if (offsetW.length > 1 && offsetW.length !== scaleW.length) {
    const expected = `${scaleW.length}, as many as scale_w`
    throw reader.refuse('offset_w', `given ${offsetW.length} times`, expected)
  }
  reader.numbers('shift_bit', integerIn(0, 16), 'a whole number from 1 to 16, or 0')
  const cluster = reader.numbers('cluster', integerIn(-128, 127), 'INT8 cluster centres')
  if (cluster.length > 0) {
    throw reader.refuse('cluster', `given ${cluster.length} times`, 'uniform quantization, without clusters')
  }
  const balanceFactors = reader.scales('tensor_balance_factor')
  return {
    layer,
    ...(scaleD !== undefined && { scaleD }),
    ...(offsetD !== undefined && { offsetD }),
    scaleW,
    offsetW,
    ...(balanceFactors.length > 0 && { balanceFactors }),
    ...(activationType !== undefined && { activationType }),
    ...(weightType !== undefined && { weightType }),
  }
}

function messages(parent: TextMessage, field: string): TextMessage[] {
  return (parent.fields.get(field) ?? []).filter((value) => typeof value === 'object')
}

/** Why a record is about something else than a layer; undefined when it is about one. */
function foreign(entry: TextMessage, reader: RecordReader | undefined): string | undefined {
  if (messages(entry, 'kv_cache_value').length > 0) return 'it is about a cache'
  return reader?.flag('is_tensor_quantize') ? 'it is about the input of a layer without weights' : undefined
}

/**
 * Reads a record file of any AMCT tool. Unknown fields are passed over with a note.
 * @throws E_RECORD_SYNTAX with line and column; E_RECORD_VALUE for a factor outside AMCT's limits or a layer twice
 */
export function readRecords(text: string, path: string): Records {
  const file = parseProtobufText(text, path)
  const notes: InteropNote[] = []
  const lines = new Map<string, number>()
  const skipFusion: string[] = []
  const records = messages(file, 'record').flatMap((entry): LayerRecord[] => {
    const layer = String(entry.fields.get('key')?.[0] ?? '')
    const place = new RecordReader(entry, layer, path)
    if (layer === '') throw place.refuse('key', 'missing', 'the name of a layer')
    if (lines.has(layer)) throw place.refuse('key', 'given twice', 'one record per layer')
    lines.set(layer, entry.line)
    const [value] = messages(entry, 'value')
    const reader = value && new RecordReader(value, layer, path)
    const reason = foreign(entry, reader)
    if (reason !== undefined) {
      notes.push(makeNote('record_entry', { layer, reason }))
      return []
    }
    if (!reader) throw place.refuse('value', 'missing', 'the factors of the layer')
    const unknown = reader.unknown()
    if (unknown.length > 0) notes.push(makeNote('record_fields', { layer, fields: unknown.join(', ') }))
    const shift = reader.numbers('shift_bit', () => true, '')
    if (shift.some((bits) => bits > 0)) notes.push(makeNote('record_shift', { layer }))
    if (reader.flag('skip_fusion')) skipFusion.push(layer)
    return [readRecord(reader, layer)]
  })
  const other = [...file.fields.keys()].filter((field) => field !== 'record')
  for (const layer of other) notes.push(makeNote('record_entry', { layer, reason: 'it holds no scales' }))
  return { records, lines, skipFusion, notes }
}

/** The records alone. @throws as {@link readRecords} */
export function parseRecords(text: string, path: string): LayerRecord[] {
  return readRecords(text, path).records
}
