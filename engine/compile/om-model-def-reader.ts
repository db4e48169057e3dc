// Reads ge.proto.ModelDef of real and simulated files, attribute name compression included.
import { typeByGe } from './om-layout.ts'
import { protoFields, protoIntegers, protoText, signed } from './om-bytes.ts'
import type { Origin, ProtoField } from './om-bytes.ts'

export interface AttributeValue {
  text?: string
  number?: number
  texts: string[]
  numbers: number[]
}

export interface ReadDesc {
  name: string
  dataType: string
  dims: number[]
  layout: string
  size: number
}

export interface ReadOp {
  name: string
  type: string
  inputDescs: ReadDesc[]
  outputDescs: ReadDesc[]
  attributes: Map<string, AttributeValue>
}

export interface ReadModelDef {
  name: string
  attributes: Map<string, AttributeValue>
  /** Operators of all graphs, the root graph's first. */
  ops: ReadOp[]
  rootOps: ReadOp[]
}

/** AttrDef: list 1 {s 2, i 3}, s 2, i 3, b 5. */
function readAttribute(bytes: Uint8Array, origin: Origin): AttributeValue {
  const value: AttributeValue = { texts: [], numbers: [] }
  for (const field of protoFields(bytes, origin)) {
    if (field.number === 2 && field.bytes) value.text = protoText(field)
    else if (field.number === 3 || field.number === 5) value.number = signed(field.varint)
    else if (field.number === 1 && field.bytes) {
      for (const item of protoFields(field.bytes, origin)) {
        if (item.number === 2 && item.bytes) value.texts.push(protoText(item))
        if (item.number === 3) value.numbers.push(...protoIntegers(item, origin))
      }
    }
  }
  return value
}

function readEntry(field: ProtoField, origin: Origin): [string, AttributeValue] {
  let key = ''
  let value: AttributeValue = { texts: [], numbers: [] }
  for (const part of protoFields(field.bytes ?? new Uint8Array(0), origin)) {
    if (part.number === 1) key = protoText(part)
    if (part.number === 2 && part.bytes) value = readAttribute(part.bytes, origin)
  }
  return [key, value]
}

function readDesc(bytes: Uint8Array, origin: Origin): ReadDesc {
  const desc: ReadDesc = { name: '', dataType: 'undefined', dims: [], layout: '', size: 0 }
  for (const field of protoFields(bytes, origin)) {
    if (field.number === 1) desc.name = protoText(field)
    else if (field.number === 2)
      desc.dataType = typeByGe(Number(field.varint))?.name ?? `type ${field.varint}`
    else if (field.number === 3 && field.bytes) desc.dims = readShape(field.bytes, origin)
    else if (field.number === 4) desc.layout = protoText(field)
    else if (field.number === 10) desc.size = signed(field.varint)
  }
  return desc
}

function readShape(bytes: Uint8Array, origin: Origin): number[] {
  const dims: number[] = []
  for (const field of protoFields(bytes, origin))
    if (field.number === 1) dims.push(...protoIntegers(field, origin))
  return dims
}

/**
 * Keys of a file with `om_compress_version` are a zero byte and the base-127 digits (least first, each plus one) of an
 * index into `attr_name_enum`.
 */
export class AttributeNames {
  private readonly names: readonly string[]
  private readonly values: readonly string[]
  private readonly enumerated: ReadonlySet<string>

  constructor(model: ReadonlyMap<string, AttributeValue>) {
    this.names = model.get('attr_name_enum')?.texts ?? []
    this.values = model.get('attr_value_enum')?.texts ?? []
    const flagged = model.get('attrs_use_string_value')
    const byIndex = (flagged?.numbers ?? []).map((index) => this.names[index] ?? '')
    this.enumerated = new Set([...(flagged?.texts ?? []), ...byIndex])
  }

  /** The readable key; unknown indices stay as they are. */
  decode(key: string): string {
    if (!key.startsWith('\0') || key.length < 2) return key
    let index = 0
    for (let at = key.length - 1; at > 0; at--) index = index * 127 + (key.charCodeAt(at) - 1)
    return this.names[index] ?? key
  }

  /** Strings of some attributes are indices into `attr_value_enum`. */
  resolve(key: string, value: AttributeValue): AttributeValue {
    if (value.text !== undefined || value.number === undefined || !this.enumerated.has(key)) return value
    const text = this.values[value.number]
    return text === undefined ? value : { ...value, text }
  }
}

function readOp(bytes: Uint8Array, names: AttributeNames, origin: Origin): ReadOp {
  const op: ReadOp = { name: '', type: '', inputDescs: [], outputDescs: [], attributes: new Map() }
  for (const field of protoFields(bytes, origin)) {
    if (field.number === 1) op.name = protoText(field)
    else if (field.number === 2) op.type = protoText(field)
    else if (field.number === 33 && field.bytes) op.inputDescs.push(readDesc(field.bytes, origin))
    else if (field.number === 34 && field.bytes) op.outputDescs.push(readDesc(field.bytes, origin))
    else if (field.number === 10) {
      const [key, value] = readEntry(field, origin)
      const name = names.decode(key)
      op.attributes.set(name, names.resolve(name, value))
    }
  }
  return op
}

/** Parses a MODEL_DEF partition. @throws E_OM_INVALID */
export function readModelDef(bytes: Uint8Array, origin: Origin): ReadModelDef {
  let name = ''
  const attributes = new Map<string, AttributeValue>()
  const graphs: Uint8Array[] = []
  for (const field of protoFields(bytes, origin)) {
    if (field.number === 1) name = protoText(field)
    else if (field.number === 7 && field.bytes) graphs.push(field.bytes)
    else if (field.number === 11) attributes.set(...readEntry(field, origin))
  }
  const names = new AttributeNames(attributes)
  const opsOf = (graph: Uint8Array): ReadOp[] => {
    const ops: ReadOp[] = []
    for (const field of protoFields(graph, origin)) {
      if (field.number === 6 && field.bytes) ops.push(readOp(field.bytes, names, origin))
    }
    return ops
  }
  const byGraph = graphs.map(opsOf)
  return { name, attributes, ops: byGraph.flat(), rootOps: byGraph[0] ?? [] }
}
