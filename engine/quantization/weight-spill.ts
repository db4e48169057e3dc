// Integer weights wait in a temporary file until both models are written, so that memory holds one layer at a time.
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'
import { temporaryName } from '../common/files.ts'
import { reasonOf } from '../common/hashing.ts'
import type { TensorData } from '../onnx/index.ts'

/** Below this a tensor stays in memory: not worth a read per tensor. */
const IN_MEMORY_BYTES = 4096
/** One write call takes at most 2 GiB - 1 on Linux. */
const WRITE_BYTES = 1 << 30

export class WeightSpill implements Disposable {
  readonly #path: string
  #descriptor: number | undefined
  #position = 0

  /** @param neighbour The spill file is made in the folder of this path. */
  constructor(neighbour: string) {
    this.#path = temporaryName(`${neighbour}.weights`)
  }

  /** Stores little-endian bytes; the result is valid until the spill is disposed of. @throws E_FILE_WRITE */
  put(values: ArrayBufferView): TensorData {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    if (bytes.byteLength <= IN_MEMORY_BYTES) return { kind: 'bytes', bytes }
    const offset = this.#position
    try {
      this.#descriptor ??= openSync(this.#path, 'wx', 0o600)
      for (let start = 0; start < bytes.byteLength;) {
        const length = Math.min(bytes.byteLength - start, WRITE_BYTES)
        start += writeSync(this.#descriptor, bytes, start, length, offset + start)
      }
    } catch (error) {
      throw new AppError('E_FILE_WRITE', { path: this.#path, reason: reasonOf(error) }, { cause: error })
    }
    this.#position += bytes.byteLength
    return { kind: 'file', path: this.#path, offset, length: bytes.byteLength }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
    rmSync(this.#path, { force: true })
  }
}

/** Where finished weights are kept until a model is written: a spill, or memory. */
export type WeightStore = Pick<WeightSpill, 'put'>

export const memoryStore: WeightStore = {
  put: (values) => ({
    kind: 'bytes',
    bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  }),
}
