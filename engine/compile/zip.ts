// The little of ZIP that reading a few JSON entries of an OM2 file takes (APPNOTE.TXT 4.3), bounded and synchronous.
import { inflateRawSync } from 'node:zlib'
import { omInvalid } from './om-bytes.ts'
import type { ByteReader } from './om-bytes.ts'
import type { OmFile } from './om-reader.ts'

export interface ZipEntry {
  name: string
  method: number
  compressed: number
  size: number
  localHeader: number
}

const END_SIGNATURE = 0x06054b50
const ENTRY_SIGNATURE = 0x02014b50
const END_BYTES = 22
const MAX_COMMENT = 0xffff
const LOCAL_BYTES = 30
const STORED = 0
const DEFLATED = 8
const MAX_JSON_BYTES = 64 * 2 ** 20

function findEnd(file: OmFile): number {
  const start = Math.max(0, file.size - END_BYTES - MAX_COMMENT)
  const tail = Buffer.from(file.read(start, file.size - start))
  for (let at = tail.length - END_BYTES; at >= 0; at--)
    if (tail.readUInt32LE(at) === END_SIGNATURE) return start + at
  throw omInvalid(
    { path: file.path, offset: start },
    'the ZIP archive has no end record',
    'an OM2 (ZIP) file',
  )
}

function readEntry(directory: ByteReader): ZipEntry {
  if (directory.u32() !== ENTRY_SIGNATURE)
    throw directory.fail('a directory entry of the ZIP archive is damaged')
  directory.take(6)
  const method = directory.u16()
  directory.take(8)
  const compressed = directory.u32()
  const size = directory.u32()
  const lengths = [directory.u16(), directory.u16(), directory.u16()] as const
  directory.take(8)
  const localHeader = directory.u32()
  const name = directory.text(lengths[0])
  directory.take(lengths[1] + lengths[2])
  return { name, method, compressed, size, localHeader }
}

/** Entries of the central directory. @throws E_OM_INVALID */
export function zipEntries(file: OmFile): ZipEntry[] {
  const end = file.reader(findEnd(file), END_BYTES)
  end.take(12)
  const size = end.u32()
  const offset = end.u32()
  const directory = file.reader(offset, size)
  const entries: ZipEntry[] = []
  while (directory.left > 0) entries.push(readEntry(directory))
  return entries
}

/** The bytes of one entry. @throws E_OM_INVALID when it is damaged, compressed in an unknown way or too large */
export function zipRead(file: OmFile, entry: ZipEntry): Uint8Array {
  const header = file.reader(entry.localHeader, LOCAL_BYTES)
  header.take(26)
  const start = entry.localHeader + LOCAL_BYTES + header.u16() + header.u16()
  const bytes = file.read(start, entry.compressed)
  if (entry.method === STORED) return bytes
  const origin = { path: file.path, offset: start }
  if (entry.method !== DEFLATED)
    throw omInvalid(origin, `${entry.name} is compressed with method ${entry.method}`)
  try {
    return inflateRawSync(bytes, { maxOutputLength: MAX_JSON_BYTES })
  } catch (cause) {
    throw omInvalid(
      origin,
      `${entry.name} cannot be decompressed: ${cause instanceof Error ? cause.message : ''}`,
    )
  }
}
