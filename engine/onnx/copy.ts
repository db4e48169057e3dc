// Streaming tensor bytes from the files they are in, through one fixed buffer.
import { closeSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'
import type { Tensor } from './model.ts'
import { openRegularFile, readFully } from './source.ts'
import { checkSlice, tensorBytes } from './tensors.ts'

const COPY_BYTES = 8 * 1024 * 1024

/** Reads slices of files, keeping the last file open and checking that it is still the one the slices came from. */
export class WeightReader {
  private open: { path: string; descriptor: number; size: number } | null = null
  private buffer: Uint8Array | null = null

  private file(tensor: Tensor, path: string): { descriptor: number; size: number } {
    if (this.open?.path === path) return this.open
    this.close()
    try {
      this.open = { path, ...openRegularFile(path) }
    } catch (cause) {
      throw withTensor(cause, tensor)
    }
    return this.open
  }

  /** The bytes of the tensor are still there. @throws E_ONNX_FILE_CHANGED, E_FILE_READ */
  check(tensor: Tensor): void {
    const { data } = tensor
    if (data.kind === 'file') checkSlice(data, this.file(tensor, data.path), tensor.name)
  }

  /** Fills `target`, which has the length of the tensor's data. */
  readInto(tensor: Tensor, target: Uint8Array): void {
    if (tensor.data.kind !== 'file') {
      target.set(tensorBytes(tensor))
      return
    }
    const { data } = tensor
    const file = this.file(tensor, data.path)
    checkSlice(data, file, tensor.name)
    readFully(file.descriptor, data.path, target, data.offset)
  }

  /** Hands the bytes of the tensor to `write` piece by piece; each piece is valid during the call only. */
  stream(tensor: Tensor, write: (bytes: Uint8Array) => void): void {
    if (tensor.data.kind !== 'file') {
      write(tensorBytes(tensor))
      return
    }
    const { data } = tensor
    const file = this.file(tensor, data.path)
    checkSlice(data, file, tensor.name)
    this.buffer ??= new Uint8Array(COPY_BYTES)
    for (let done = 0; done < data.length;) {
      const piece = this.buffer.subarray(0, Math.min(COPY_BYTES, data.length - done))
      readFully(file.descriptor, data.path, piece, data.offset + done)
      write(piece)
      done += piece.length
    }
  }

  close(): void {
    if (this.open) closeSync(this.open.descriptor)
    this.open = null
  }
}

/** A file that disappeared after the model was opened: say which tensor needed it. */
function withTensor(cause: unknown, tensor: Tensor): unknown {
  if (!(cause instanceof AppError) || cause.code !== 'E_FILE_NOT_FOUND') return cause
  return new AppError('E_ONNX_FILE_CHANGED', { path: cause.details['path'], tensor: tensor.name }, { cause })
}
