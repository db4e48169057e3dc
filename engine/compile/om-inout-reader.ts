// Reads MODEL_INOUT_INFO.
import type { OmGears, OmTensor } from '../../contract/om.ts'
import type { ByteReader } from './om-bytes.ts'
import { InOutInfo, formatName, typeByAcl } from './om-layout.ts'

export interface ReadInOut {
  inputs: OmTensor[]
  outputs: OmTensor[]
  gears: OmGears | null
}

const MAX_RANK = 128
/** The smallest descriptor: its 32-byte head. */
const HEAD_BYTES = 32

function count(reader: ByteReader, bytesEach: number): number {
  const value = reader.u32()
  if (value * bytesEach > reader.left) throw reader.fail(`a list of ${value} entries does not fit`)
  return value
}

function readTensors(reader: ByteReader): OmTensor[] {
  return Array.from({ length: count(reader, HEAD_BYTES) }, () => {
    const size = reader.u64()
    const format = formatName(reader.i32())
    const type = reader.i32()
    const nameLength = reader.u32()
    const lengths = [reader.u32(), reader.u32(), reader.u32()] as const
    const name = reader.text(nameLength)
    if (lengths[0] % 8 !== 0 || lengths[0] / 8 > MAX_RANK)
      throw reader.fail(`dimensions of ${lengths[0]} bytes`)
    const dims = Array.from({ length: lengths[0] / 8 }, () => reader.i64())
    reader.take(lengths[1] + lengths[2])
    return { name, dataType: typeByAcl(type)?.name ?? `type ${type}`, format, dims, size }
  })
}

function readRows(reader: ByteReader): number[][] {
  const lengths = Array.from({ length: count(reader, 4) }, () => reader.u32())
  return lengths.map((length) => {
    const row = reader.part(length)
    const values: number[] = []
    while (row.left > 0) values.push(row.u64())
    return values
  })
}

function readGears(type: number, reader: ByteReader): OmGears {
  if (type === InOutInfo.DYN_BATCH) {
    return { kind: 'batch', values: Array.from({ length: count(reader, 8) }, () => reader.u64()) }
  }
  const rows = readRows(reader)
  if (type === InOutInfo.DYN_DIMS) return { kind: 'dims', values: rows }
  return {
    kind: 'image',
    values: rows.map((row) => {
      const [height, width] = row
      if (row.length !== 2 || height === undefined || width === undefined) {
        throw reader.fail(`an image size of ${row.length} values`)
      }
      return [height, width] as [number, number]
    }),
  }
}

const GEAR_TYPES: readonly number[] = [InOutInfo.DYN_BATCH, InOutInfo.DYN_HW, InOutInfo.DYN_DIMS]

/** Parses the partition; entries of newer releases are skipped. @throws E_OM_INVALID */
export function readInOutInfo(reader: ByteReader): ReadInOut {
  const result: ReadInOut = { inputs: [], outputs: [], gears: null }
  while (reader.left > 0) {
    const type = reader.i32()
    const value = reader.part(reader.u32())
    if (type === InOutInfo.INPUT_DESC) result.inputs = readTensors(value)
    else if (type === InOutInfo.OUTPUT_DESC) result.outputs = readTensors(value)
    else if (GEAR_TYPES.includes(type)) result.gears = readGears(type, value)
  }
  return result
}
