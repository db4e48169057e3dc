// The three structs of the ABI that are read field by field, decoded from a reused buffer (LP64, little-endian).
// A DataView over a raw buffer is about ten times faster than a declared struct type, and copies nothing.
import { MAX_DIMS, MAX_NAME_BYTES } from './constants.ts'

export const IO_DIMS_BYTES = 1160
export const BATCH_BYTES = 1032
export const HW_BYTES = 2056
export const UTILIZATION_BYTES = 24

export interface IoDims {
  name: string
  /** -1 on dynamic axes. */
  dims: number[]
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Never trusts a count from the other side beyond the array it counts. */
function boundedCount(count: bigint, what: string): number {
  if (count > BigInt(MAX_DIMS)) throw new RangeError(`${what} is ${count}, the struct holds ${MAX_DIMS}`)
  return Number(count)
}

/** aclmdlIODims: char name[128]; size_t dimCount; int64_t dims[128]. */
export function decodeIoDims(bytes: Uint8Array, offset = 0): IoDims {
  const view = viewOf(bytes)
  const name = bytes.subarray(offset, offset + MAX_NAME_BYTES)
  const end = name.indexOf(0)
  const count = boundedCount(view.getBigUint64(offset + 128, true), 'aclmdlIODims.dimCount')
  const dims = Array.from({ length: count }, (_, axis) =>
    Number(view.getBigInt64(offset + 136 + axis * 8, true)),
  )
  return { name: Buffer.from(name.subarray(0, end < 0 ? MAX_NAME_BYTES : end)).toString('utf8'), dims }
}

/** Writes an aclmdlIODims; the name stays empty, as clients of aclmdlSetInputDynamicDims leave it. */
export function encodeIoDims(dims: number[]): Buffer {
  if (dims.length > MAX_DIMS) throw new RangeError(`${dims.length} dimensions, the struct holds ${MAX_DIMS}`)
  const bytes = Buffer.alloc(IO_DIMS_BYTES)
  bytes.writeBigUInt64LE(BigInt(dims.length), 128)
  dims.forEach((size, axis) => bytes.writeBigInt64LE(BigInt(size), 136 + axis * 8))
  return bytes
}

/** aclmdlBatch: size_t batchCount; uint64_t batch[128]. */
export function decodeBatch(bytes: Uint8Array): number[] {
  const view = viewOf(bytes)
  const count = boundedCount(view.getBigUint64(0, true), 'aclmdlBatch.batchCount')
  return Array.from({ length: count }, (_, index) => Number(view.getBigUint64(8 + index * 8, true)))
}

/** aclmdlHW: size_t hwCount; uint64_t hw[128][2]. Pairs of height and width. */
export function decodeHw(bytes: Uint8Array): [number, number][] {
  const view = viewOf(bytes)
  const count = boundedCount(view.getBigUint64(0, true), 'aclmdlHW.hwCount')
  return Array.from({ length: count }, (_, index) => [
    Number(view.getBigUint64(8 + index * 16, true)),
    Number(view.getBigUint64(16 + index * 16, true)),
  ])
}

export interface Utilization {
  /** Percent; null where the device reports -1 (not supported). */
  cube: number | null
  vector: number | null
  aicpu: number | null
  memory: number | null
}

/** aclrtUtilizationInfo: four int32, then the extension pointer that must be NULL on input. */
export function decodeUtilization(bytes: Uint8Array): Utilization {
  const view = viewOf(bytes)
  const percent = (offset: number) => {
    const value = view.getInt32(offset, true)
    return value < 0 ? null : value
  }
  return { cube: percent(0), vector: percent(4), aicpu: percent(8), memory: percent(12) }
}
