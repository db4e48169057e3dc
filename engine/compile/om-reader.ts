// Opens the container of any .om: header versions 1 and 2, 32- and 64-bit tables, one or several models.
import { closeSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'
import { openRegularFile, readFully } from '../onnx/source.ts'
import { ByteReader, omInvalid } from './om-bytes.ts'
import { HEADER_BYTES, ModelType, OM_MAGIC, VERSION_1, VERSION_2, partitionName } from './om-layout.ts'

export interface OmPartition {
  type: number
  /** Absolute position in the file. */
  offset: number
  size: number
}

export interface OmHeader {
  version: number
  modelType: number
  name: string
  modelCount: number
  dynamicShape: boolean
  platform: string
}

export interface OmContainer {
  path: string
  bytes: number
  header: OmHeader
  /** One list of partitions per model; the root model comes first. */
  models: OmPartition[][]
}

const MAX_PARTITIONS = 64
const MAX_MODELS = 4096
/** A partition that has to be parsed in memory. */
const MAX_PARSED_BYTES = 512 * 2 ** 20

/** A file opened for the duration of a callback. @throws E_FILE_NOT_FOUND, E_FILE_READ */
export class OmFile {
  readonly path: string
  readonly size: number
  private readonly descriptor: number

  constructor(path: string) {
    const file = openRegularFile(path)
    this.path = path
    this.size = file.size
    this.descriptor = file.descriptor
  }

  /** Bytes of a range. @throws E_OM_INVALID when the range is not in the file or too large to parse */
  read(offset: number, length: number): Uint8Array {
    if (offset < 0 || length < 0 || offset + length > this.size) {
      throw omInvalid({ path: this.path, offset }, `${length} bytes are needed, the file has ${this.size}`)
    }
    if (length > MAX_PARSED_BYTES) {
      throw omInvalid({ path: this.path, offset }, `a part of ${length} bytes is too large to be read`)
    }
    const bytes = new Uint8Array(length)
    readFully(this.descriptor, this.path, bytes, offset)
    return bytes
  }

  reader(offset: number, length: number): ByteReader {
    return new ByteReader(this.read(offset, length), { path: this.path, offset })
  }

  close(): void {
    closeSync(this.descriptor)
  }
}

/** What the first bytes of a file that is no .om tell. */
function foreignReason(start: Uint8Array): string {
  const text = String.fromCharCode(...start.subarray(0, 24))
  if (text.startsWith('PICO')) return 'it is a HiSilicon SVP model (PICO), which is not for Ascend NPUs'
  if (text.startsWith('version https://git-lfs'))
    return 'it is a Git LFS pointer; the real file was not downloaded'
  return 'it does not start with IMOD'
}

interface RawHeader extends OmHeader {
  payload: number
  wideTable: boolean
}

function readHeader(file: OmFile): RawHeader {
  const start = file.read(0, Math.min(file.size, 24))
  if (start.length < 4 || new DataView(start.buffer).getUint32(0, true) !== OM_MAGIC) {
    throw omInvalid({ path: file.path, offset: 0 }, foreignReason(start), 'a file that starts with IMOD')
  }
  const reader = file.reader(0, Math.min(HEADER_BYTES, file.size))
  reader.u32()
  const headBytes = reader.u32()
  if (headBytes !== HEADER_BYTES) throw reader.fail(`the header is ${headBytes} bytes long`)
  const version = reader.u32()
  if (version !== VERSION_1 && version !== VERSION_2)
    throw reader.fail(`header version 0x${version.toString(16)}`)
  reader.take(64)
  const length = reader.u32()
  const encrypted = reader.u8()
  reader.u8()
  const modelType = reader.u8()
  reader.u8()
  const name = reader.fixedText(32)
  reader.take(4 + 32 + 4)
  // Version 1 has no model_num: platform_version stands in its place.
  const modelCount = version === VERSION_2 ? Math.max(1, reader.u32()) : 1
  const platform = reader.fixedText(20)
  reader.take(version === VERSION_2 ? 4 : 8)
  const modelLength = reader.u64()
  reader.u8()
  const dynamicShape = version === VERSION_2 && reader.u8() === 1
  if (encrypted === 1) throw new AppError('E_OM_ENCRYPTED', { path: file.path })
  const wide = version === VERSION_2 && modelLength > 0
  const payload = wide ? modelLength : length
  if (payload !== file.size - HEADER_BYTES) {
    const expected = `${payload + HEADER_BYTES} bytes`
    throw omInvalid({ path: file.path, offset: 76 }, `the file has ${file.size} bytes`, expected)
  }
  const wideTable = wide || modelType === ModelType.FLOW
  return { version, modelType, name, modelCount, dynamicShape, platform, payload, wideTable }
}

/** One [table + partitions] unit at `start`; positions follow from the sizes, as in the Graph Engine's loader. */
function readUnit(file: OmFile, start: number, wide: boolean): { partitions: OmPartition[]; end: number } {
  const count = file.reader(start, 4).u32()
  if (count === 0 || count > MAX_PARTITIONS) {
    throw omInvalid(
      { path: file.path, offset: start },
      `a table of ${count} partitions`,
      `1 to ${MAX_PARTITIONS}`,
    )
  }
  const tableBytes = wide ? 8 + 24 * count : 4 + 12 * count
  const table = file.reader(start, tableBytes)
  table.take(wide ? 8 : 4)
  let at = start + tableBytes
  const partitions: OmPartition[] = []
  for (let index = 0; index < count; index++) {
    const type = table.u32()
    if (wide) table.u32()
    if (wide) table.u64()
    else table.u32()
    const size = wide ? table.u64() : table.u32()
    if (size > file.size - at)
      throw table.fail(`${partitionName(type)} of ${size} bytes runs past the end of the file`)
    partitions.push({ type, offset: at, size })
    at += size
  }
  return { partitions, end: at }
}

/** Reads header and tables. @throws E_OM_INVALID, E_OM_ENCRYPTED */
export function readContainer(file: OmFile): OmContainer {
  const { payload: _payload, wideTable, ...header } = readHeader(file)
  if (header.modelCount > MAX_MODELS) {
    throw omInvalid({ path: file.path, offset: 156 }, `${header.modelCount} models`, `at most ${MAX_MODELS}`)
  }
  const models: OmPartition[][] = []
  let at = HEADER_BYTES
  for (let index = 0; index < header.modelCount; index++) {
    const unit = readUnit(file, at, wideTable)
    models.push(unit.partitions)
    at = unit.end
  }
  if (at !== file.size) {
    throw omInvalid({ path: file.path, offset: at }, `${file.size - at} bytes follow the last partition`)
  }
  return { path: file.path, bytes: file.size, header, models }
}

export function findPartition(partitions: readonly OmPartition[], type: number): OmPartition | undefined {
  return partitions.find((partition) => partition.type === type)
}
