// SHA-256 of files, buffers and plain data: the identity of models, datasets and configurations.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'

const CHUNK_BYTES = 4 << 20

/** SHA-256 of a file, hex, read in 4 MiB pieces. @throws E_FILE_READ, E_CANCELLED */
export function hashFile(path: string, signal?: AbortSignal): string {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    throw new AppError('E_FILE_READ', { path, reason: reasonOf(error) }, { cause: error })
  }
  try {
    for (;;) {
      if (signal?.aborted) throw new AppError('E_CANCELLED')
      const count = readSync(descriptor, chunk, 0, CHUNK_BYTES, null)
      if (count === 0) return hash.digest('hex')
      hash.update(chunk.subarray(0, count))
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_READ', { path, reason: reasonOf(error) }, { cause: error })
  } finally {
    closeSync(descriptor)
  }
}

/** SHA-256 of bytes or text, hex. */
export function hashBytes(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** SHA-256 of plain data, independent of the order of object keys. `undefined` members are left out. */
export function hashData(value: unknown): string {
  return hashBytes(canonicalJson(value))
}

/** JSON with sorted object keys and no blanks. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

/** The system's reason in an error, without Node's prefix of code and call. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const match = /^[A-Z]+: ([^,]+)(,|$)/.exec(text)
  return match?.[1] ?? text
}
