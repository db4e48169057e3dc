// ValueInfoProto and TypeProto -> ValueInfo, and what every message decoder needs. Field numbers follow onnx.proto.
import type { Dimension, ValueInfo } from './model.ts'
import { isDataType } from './tensors.ts'
import { joinFields } from './wire.ts'
import type { WireReader } from './wire.ts'

/** Nodes, values and attributes cost far more memory than their bytes: each counts as this many items. */
export const RECORD_ITEMS = 10

/** Reads names, types and shapes of values. */
export class ValueInfoDecoder {
  protected readonly reader: WireReader

  constructor(reader: WireReader) {
    this.reader = reader
  }

  /** Runs `field` for every field of a nested message; fields it does not take (false) are returned verbatim. */
  protected message(field: () => boolean): Uint8Array | undefined {
    const outer = this.reader.enter()
    const unknown = this.fields(field)
    this.reader.leave(outer)
    return unknown
  }

  protected fields(field: () => boolean): Uint8Array | undefined {
    const unknown: Uint8Array[] = []
    while (this.reader.next()) {
      if (!field()) unknown.push(this.reader.verbatim())
    }
    return joinFields(unknown)
  }

  protected valueInfo(): ValueInfo {
    const { reader } = this
    reader.count(RECORD_ITEMS)
    const info: ValueInfo = { name: '' }
    const unknown = this.message(() => {
      if (reader.field === 1) info.name = reader.text()
      else if (reader.field === 2) this.type(info)
      else if (reader.field === 3) info.docString = reader.text()
      else return false
      return true
    })
    if (unknown) info.unknown = unknown
    return info
  }

  /** TypeProto: a dense tensor is decoded, every other kind is kept as it is. */
  private type(info: ValueInfo): void {
    const { reader } = this
    const outer = reader.enter()
    const start = reader.position
    let dense = true
    while (reader.next()) {
      if ([4, 5, 7, 8, 9].includes(reader.field)) dense = false
      reader.skip()
    }
    const length = reader.position - start
    reader.position = start
    if (!dense) {
      reader.hold(length)
      info.rawType = reader.source.copy(start, length)
    } else {
      const type = this.fields(() => reader.field === 1 && this.tensorType(info))
      if (type) info.typeUnknown = { ...info.typeUnknown, type }
    }
    reader.leave(outer)
  }

  private tensorType(info: ValueInfo): true {
    const { reader } = this
    const tensor = this.message(() => {
      if (reader.field === 1) {
        const elementType = reader.int32()
        if (!isDataType(elementType)) throw reader.invalid(`element type ${elementType} is not known`)
        info.elementType = elementType
      } else if (reader.field === 2) this.shape(info)
      else return false
      return true
    })
    if (tensor) info.typeUnknown = { ...info.typeUnknown, tensor }
    return true
  }

  private shape(info: ValueInfo): void {
    const { reader } = this
    const dims: Dimension[] = []
    const shape = this.message(() => {
      if (reader.field !== 1) return false
      dims.push(this.dimension())
      return true
    })
    info.shape = dims
    if (shape) info.typeUnknown = { ...info.typeUnknown, shape }
  }

  private dimension(): Dimension {
    const { reader } = this
    const dimension: Dimension = {}
    const unknown = this.message(() => {
      if (reader.field === 1) {
        // Negative sizes are written by some exporters for "unknown".
        const value = Number(reader.int64())
        if (value >= 0) dimension.value = value
      } else if (reader.field === 2) {
        const symbol = reader.text()
        if (symbol !== '') dimension.symbol = symbol
      } else return false
      return true
    })
    if (unknown) dimension.unknown = unknown
    return dimension
  }
}
