// Writes the container: header (version 2), 64-bit partition table, partitions, streamed and atomic.
import { AtomicFile } from '../common/files.ts'
import { ByteWriter } from './byte-writer.ts'
import {
  COST_ITEM,
  HEADER_BYTES,
  KERNEL_MAGIC,
  MANIFEST_ITEM,
  ModelType,
  OM_MAGIC,
  VERSION_2,
} from './om-layout.ts'

/** A partition whose bytes are produced while the file is written. */
export interface PartitionSource {
  type: number
  length: number
  write(sink: (bytes: Uint8Array) => void): void
}

export function bytesPartition(type: number, bytes: Uint8Array): PartitionSource {
  return { type, length: bytes.length, write: (sink) => sink(bytes) }
}

const TABLE_ENTRY_BYTES = 24

function header(name: string, payloadBytes: number): Uint8Array {
  const out = new ByteWriter()
  out.u32(OM_MAGIC)
  out.u32(HEADER_BYTES)
  out.u32(VERSION_2)
  out.bytes(new Uint8Array(64))
  // The 32-bit length is what old readers show; model_length (non-zero) is what decides.
  out.u32(Math.min(payloadBytes, 0xffffffff))
  out.u8(0)
  out.u8(0)
  out.u8(ModelType.IR)
  out.u8(0)
  out.fixedText(name, 32)
  out.u32(0)
  out.bytes(new Uint8Array(32))
  out.u32(2)
  out.u32(1)
  out.fixedText('', 20)
  out.u8(1)
  out.bytes(new Uint8Array(3))
  out.u64(payloadBytes)
  out.bytes(new Uint8Array(HEADER_BYTES - 192))
  return out.take()
}

function table(partitions: readonly PartitionSource[]): Uint8Array {
  const out = new ByteWriter()
  out.u32(partitions.length)
  out.u32(0)
  let offset = 0
  for (const partition of partitions) {
    out.u32(partition.type)
    out.u32(0)
    out.u64(offset)
    out.u64(partition.length)
    offset += partition.length
  }
  return out.take()
}

/**
 * Writes an .om file. Returns its size in bytes.
 * @throws E_FILE_WRITE, and whatever a partition throws; nothing is left behind then
 */
export function writeOm(target: string, name: string, partitions: readonly PartitionSource[]): number {
  const data = partitions.reduce((sum, partition) => sum + partition.length, 0)
  const payload = 8 + TABLE_ENTRY_BYTES * partitions.length + data
  const file = new AtomicFile(target)
  try {
    file.write(header(name, payload))
    file.write(table(partitions))
    for (const partition of partitions) {
      const start = file.position
      partition.write((bytes) => file.write(bytes))
      const written = file.position - start
      if (written !== partition.length) {
        throw new Error(`partition ${partition.type} wrote ${written} bytes instead of ${partition.length}`)
      }
    }
    file.commit()
    return HEADER_BYTES + payload
  } catch (error) {
    file.discard()
    throw error
  }
}

/** Kernel store with our two items. */
export function encodeKernelStore(manifest: string, cost: Uint8Array): Uint8Array {
  const out = new ByteWriter()
  for (const [name, content] of [
    [MANIFEST_ITEM, Buffer.from(manifest)],
    [COST_ITEM, cost],
  ] as const) {
    out.u32(KERNEL_MAGIC)
    out.u32(Buffer.byteLength(name))
    out.u32(content.length)
    out.bytes(Buffer.from(name))
    out.bytes(content)
  }
  return out.take()
}
