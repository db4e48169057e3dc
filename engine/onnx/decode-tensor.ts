// TensorProto -> Tensor: typed data fields become raw bytes, raw and external data stay references.
import { AppError } from '../../contract/errors/index.ts'
import type { ExternalFiles } from './external.ts'
import { DataType } from './model.ts'
import type { Tensor, TensorData } from './model.ts'
import { dataTypeName, elementSize, isDataType, tensorByteLength, tensorDataLength } from './tensors.ts'
import { joinFields } from './wire.ts'
import type { WireReader } from './wire.ts'

/** onnx.proto, message TensorProto. */
const Field = {
  DIMS: 1,
  DATA_TYPE: 2,
  SEGMENT: 3,
  FLOAT_DATA: 4,
  INT32_DATA: 5,
  STRING_DATA: 6,
  INT64_DATA: 7,
  NAME: 8,
  RAW_DATA: 9,
  DOUBLE_DATA: 10,
  UINT64_DATA: 11,
  DOC_STRING: 12,
  EXTERNAL_DATA: 13,
  DATA_LOCATION: 14,
} as const

/** Tensors of attributes up to this size are read at once: they are parameters of the graph, not weights. */
const SMALL_BYTES = 4096

const MAX_RANK = 64

type Slice = { position: number; length: number }

interface Parts {
  tensor: Tensor
  raw?: Slice
  fixed: Slice[]
  varints: GrowingBytes | null
  strings: Uint8Array[]
  external: Map<string, string>
  isExternal: boolean
}

/** Raw little-endian elements collected from a varint-coded field. */
class GrowingBytes {
  private bytes = new Uint8Array(64)
  private view = new DataView(this.bytes.buffer)
  length = 0
  private readonly width: number

  constructor(width: number) {
    this.width = width
  }

  push(low: number, high: number): void {
    if (this.length + 8 > this.bytes.length) this.grow()
    if (this.width === 1) this.view.setUint8(this.length, low & 0xff)
    else if (this.width === 2) this.view.setUint16(this.length, low & 0xffff, true)
    else this.view.setUint32(this.length, low, true)
    if (this.width === 8) this.view.setUint32(this.length + 4, high, true)
    this.length += this.width
  }

  private grow(): void {
    const larger = new Uint8Array(this.bytes.length * 2)
    larger.set(this.bytes)
    this.bytes = larger
    this.view = new DataView(larger.buffer)
  }

  take(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }
}

function isPackedFixed(dataType: DataType, width: number): boolean {
  if (width === 4) return dataType === DataType.FLOAT || dataType === DataType.COMPLEX64
  return dataType === DataType.DOUBLE || dataType === DataType.COMPLEX128
}

/** 4-bit types hold two elements per byte, one byte per varint. */
function varintWidth(dataType: DataType): number {
  return Math.ceil(elementSize(dataType))
}

/** Reads one TensorProto whose LENGTH field the reader stands on. `inGraph`: an initializer, never read here. */
export function readTensor(reader: WireReader, files: ExternalFiles, inGraph: boolean): Tensor {
  const outer = reader.enter()
  const start = reader.position
  const dataType = findDataType(reader)
  reader.position = start
  const parts = readParts(reader, dataType)
  reader.leave(outer)
  const { tensor } = parts
  tensor.data = parts.isExternal ? files.resolve(tensor, parts.external) : inlineData(reader, parts, inGraph)
  checkSize(reader, tensor)
  return tensor
}

function findDataType(reader: WireReader): DataType {
  let dataType = 0
  while (reader.next()) {
    if (reader.field === Field.DATA_TYPE) dataType = reader.int32()
    else reader.skip()
  }
  if (!isDataType(dataType)) throw reader.invalid(`tensor data type ${dataType} is not known`)
  return dataType
}

function readParts(reader: WireReader, dataType: DataType): Parts {
  const tensor: Tensor = { name: '', dataType, dims: [], data: { kind: 'bytes', bytes: new Uint8Array(0) } }
  const parts: Parts = {
    tensor,
    fixed: [],
    varints: null,
    strings: [],
    external: new Map(),
    isExternal: false,
  }
  const unknown: Uint8Array[] = []
  while (reader.next()) {
    if (!readPart(reader, parts)) unknown.push(reader.verbatim())
  }
  const joined = joinFields(unknown)
  if (joined) tensor.unknown = joined
  if (tensor.dims.length > MAX_RANK)
    throw reader.limit(`rank of tensor "${tensor.name}"`, tensor.dims.length, MAX_RANK)
  return parts
}

function readPart(reader: WireReader, parts: Parts): boolean {
  const { tensor } = parts
  switch (reader.field) {
    case Field.DIMS:
      readDims(reader, tensor.dims)
      return true
    case Field.DATA_TYPE:
      reader.int32()
      return true
    case Field.SEGMENT:
      throw reader.invalid('tensors in segments are not supported')
    case Field.FLOAT_DATA:
    case Field.DOUBLE_DATA:
      readFixed(reader, parts, reader.field === Field.FLOAT_DATA ? 4 : 8)
      return true
    case Field.INT32_DATA:
    case Field.INT64_DATA:
    case Field.UINT64_DATA:
      readVarints(reader, parts)
      return true
    case Field.STRING_DATA:
      parts.strings.push(reader.bytes())
      return true
    case Field.NAME:
      tensor.name = reader.text()
      return true
    case Field.RAW_DATA:
      parts.raw = reader.range()
      return true
    case Field.DOC_STRING:
      tensor.docString = reader.text()
      return true
    case Field.EXTERNAL_DATA:
      readExternalEntry(reader, parts.external)
      return true
    case Field.DATA_LOCATION:
      parts.isExternal = reader.int32() === 1
      return true
    default:
      return false
  }
}

function readDims(reader: WireReader, dims: number[]): void {
  const values: bigint[] = []
  reader.int64s(values)
  for (const value of values) {
    if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER))
      throw reader.invalid(`tensor dimension ${value}`)
    dims.push(Number(value))
  }
}

function readFixed(reader: WireReader, parts: Parts, width: 4 | 8): void {
  if (!isPackedFixed(parts.tensor.dataType, width)) {
    throw reader.invalid(`field ${reader.field} in a tensor of type ${dataTypeName(parts.tensor.dataType)}`)
  }
  const slice = reader.wire === 2 ? reader.range() : reader.fixed(width)
  if (slice.length % width !== 0) throw reader.invalid(`${slice.length} bytes are not whole elements`)
  if (slice.length > 0) parts.fixed.push(slice)
}

function readVarints(reader: WireReader, parts: Parts): void {
  const width = varintWidth(parts.tensor.dataType)
  if (width === 0 || width > 8) {
    throw reader.invalid(`field ${reader.field} in a tensor of type ${dataTypeName(parts.tensor.dataType)}`)
  }
  const elements = (parts.varints ??= new GrowingBytes(width))
  const before = elements.length
  reader.varints((low, high) => elements.push(low, high))
  reader.hold(elements.length - before)
}

function readExternalEntry(reader: WireReader, entries: Map<string, string>): void {
  const outer = reader.enter()
  let key = ''
  let value = ''
  while (reader.next()) {
    if (reader.field === 1) key = reader.text()
    else if (reader.field === 2) value = reader.text()
    else reader.skip()
  }
  reader.leave(outer)
  entries.set(key, value)
}

function inlineData(reader: WireReader, parts: Parts, inGraph: boolean): TensorData {
  const { tensor, raw, fixed, varints } = parts
  if (tensor.dataType === DataType.STRING) return { kind: 'strings', values: parts.strings }
  if (raw) return reference(reader, raw, inGraph)
  if (varints) return { kind: 'bytes', bytes: varints.take() }
  if (fixed.length === 1) return reference(reader, fixed[0]!, inGraph)
  return { kind: 'bytes', bytes: joinSlices(reader, fixed) }
}

function reference(reader: WireReader, slice: Slice, inGraph: boolean): TensorData {
  const { position, length } = slice
  if (inGraph || length > SMALL_BYTES) return reader.source.reference(position, length)
  return { kind: 'bytes', bytes: reader.source.copy(position, length) }
}

function joinSlices(reader: WireReader, slices: Slice[]): Uint8Array {
  const total = slices.reduce((sum, slice) => sum + slice.length, 0)
  reader.hold(total)
  const bytes = new Uint8Array(total)
  let at = 0
  for (const slice of slices) {
    bytes.set(reader.source.copy(slice.position, slice.length), at)
    at += slice.length
  }
  return bytes
}

function checkSize(reader: WireReader, tensor: Tensor): void {
  const isString = tensor.data.kind === 'strings'
  const expected = isString
    ? tensor.dims.reduce((product, dim) => product * dim, 1)
    : tensorByteLength(tensor.dataType, tensor.dims)
  const actual = tensor.data.kind === 'strings' ? tensor.data.values.length : tensorDataLength(tensor.data)
  if (expected === actual || tensor.dataType === DataType.UNDEFINED) return
  throw new AppError('E_ONNX_TENSOR_SIZE', {
    path: reader.source.path,
    tensor: tensor.name,
    dataType: dataTypeName(tensor.dataType),
    dims: tensor.dims,
    expected,
    actual,
  })
}
