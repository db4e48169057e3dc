// Random access to the bytes of a model, in memory or in a file, without holding the file in memory.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'
import type { TensorData } from './model.ts'

/** What the wire reader needs: a window of bytes around a position, and a lazy reference to a range. */
export interface ByteSource {
  /** Total bytes. */
  readonly size: number
  /** For error messages. */
  readonly path: string
  /** Bytes from `position` on (at least one). The result is valid until the next call. */
  window(position: number): Uint8Array
  /** A copy of (or stable view on) a range. */
  copy(position: number, length: number): Uint8Array
  /** A reference to a range that outlives the source, without reading it. */
  reference(position: number, length: number): TensorData
}

/** Tells one version of a file from another: reading a weight from a replaced file must not succeed silently. */
export function fileStamp(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}`
}

/** Node's reason in words, for E_FILE_READ and E_FILE_WRITE. */
export function ioReason(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Opens a regular file for reading. Throws E_FILE_NOT_FOUND or E_FILE_READ. The caller closes `descriptor`. */
export function openRegularFile(path: string): { descriptor: number; size: number; stamp: string } {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new AppError('E_FILE_NOT_FOUND', { path, base: process.cwd() }, { cause })
    }
    throw new AppError('E_FILE_READ', { path, reason: ioReason(cause) }, { cause })
  }
  const stats = fstatSync(descriptor, { bigint: true })
  if (!stats.isFile()) {
    closeSync(descriptor)
    throw new AppError('E_FILE_READ', { path, reason: 'not a regular file' })
  }
  return { descriptor, size: Number(stats.size), stamp: fileStamp(stats) }
}

/** Fills `target` from the file at `position`. Throws E_FILE_READ when the file ends before. */
export function readFully(descriptor: number, path: string, target: Uint8Array, position: number): void {
  let done = 0
  while (done < target.length) {
    let count: number
    try {
      count = readSync(descriptor, target, done, target.length - done, position + done)
    } catch (cause) {
      throw new AppError('E_FILE_READ', { path, reason: ioReason(cause) }, { cause })
    }
    if (count === 0) throw new AppError('E_FILE_READ', { path, reason: `ends at byte ${position + done}` })
    done += count
  }
}

export class MemorySource implements ByteSource {
  readonly size: number
  readonly path: string
  private readonly bytes: Uint8Array

  constructor(bytes: Uint8Array, path: string) {
    // A Buffer's slice() is a view where a Uint8Array's is a copy: hand out plain arrays only.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.size = bytes.length
    this.path = path
  }

  window(position: number): Uint8Array {
    return this.bytes.subarray(position)
  }

  copy(position: number, length: number): Uint8Array {
    return this.bytes.subarray(position, position + length)
  }

  reference(position: number, length: number): TensorData {
    return { kind: 'bytes', bytes: this.bytes.subarray(position, position + length) }
  }
}

const WINDOW_BYTES = 64 * 1024

/** A (region of a) file behind a sliding window of 64 KiB. */
export class FileSource implements ByteSource {
  readonly size: number
  readonly path: string
  private readonly descriptor: number
  private readonly start: number
  private readonly stamp: string
  private readonly buffer = new Uint8Array(WINDOW_BYTES)

  /** @param region byte range of the file that holds the model; the whole file when absent */
  constructor(path: string, region?: { offset: number; length: number }) {
    const file = openRegularFile(path)
    this.path = path
    this.descriptor = file.descriptor
    this.stamp = file.stamp
    this.start = region?.offset ?? 0
    this.size = region?.length ?? file.size
    if (this.start < 0 || this.size < 0 || this.start + this.size > file.size) {
      closeSync(file.descriptor)
      throw new AppError('E_ONNX_TRUNCATED', { path, actual: file.size, expected: this.start + this.size })
    }
  }

  window(position: number): Uint8Array {
    const view = this.buffer.subarray(0, Math.min(WINDOW_BYTES, this.size - position))
    readFully(this.descriptor, this.path, view, this.start + position)
    return view
  }

  copy(position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    readFully(this.descriptor, this.path, bytes, this.start + position)
    return bytes
  }

  reference(position: number, length: number): TensorData {
    return { kind: 'file', path: this.path, offset: this.start + position, length, stamp: this.stamp }
  }

  close(): void {
    closeSync(this.descriptor)
  }
}
