// Writing files so that a failure or a kill leaves either the old file or the new one, never a part of it.
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from './hashing.ts'

/** A temporary name in the folder of `target`, so that the final rename stays on one file system. */
export function temporaryName(target: string): string {
  const suffix = randomBytes(6).toString('hex')
  return path.join(path.dirname(target), `.${path.basename(target)}.${suffix}.tmp`)
}

function writeFailure(target: string, error: unknown): AppError {
  return new AppError('E_FILE_WRITE', { path: target, reason: reasonOf(error) }, { cause: error })
}

/** Makes a folder beside `target` to prepare it in; the caller removes it. @throws E_FILE_WRITE */
export function makeTemporaryFolder(target: string): string {
  const folder = temporaryName(target)
  try {
    mkdirSync(folder)
    return folder
  } catch (error) {
    throw writeFailure(target, error)
  }
}

/** A file being written under a temporary name. Exactly one of `commit` and `discard` ends it. */
export class AtomicFile {
  readonly target: string
  #temporary: string
  #descriptor: number | undefined
  #position = 0

  /** @throws E_FILE_WRITE when the folder is missing or not writable. */
  constructor(target: string) {
    this.target = target
    this.#temporary = temporaryName(target)
    checkWritable(target)
    try {
      this.#descriptor = openSync(this.#temporary, 'wx', 0o644)
    } catch (error) {
      throw writeFailure(target, error)
    }
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#position
  }

  /** Appends bytes. @throws E_FILE_WRITE */
  write(bytes: Uint8Array): void {
    if (this.#descriptor === undefined) throw new Error('AtomicFile: already closed')
    let start = 0
    while (start < bytes.byteLength) {
      // One write call takes at most 2 GiB - 1 on Linux.
      const length = Math.min(bytes.byteLength - start, 1 << 30)
      try {
        start += writeSync(this.#descriptor, bytes, start, length)
      } catch (error) {
        throw writeFailure(this.target, error)
      }
    }
    this.#position += bytes.byteLength
  }

  /** Flushes to the disk and takes the final name, replacing an older file. @throws E_FILE_WRITE */
  commit(): void {
    if (this.#descriptor === undefined) throw new Error('AtomicFile: already closed')
    try {
      fsyncSync(this.#descriptor)
      closeSync(this.#descriptor)
      this.#descriptor = undefined
      renameSync(this.#temporary, this.target)
    } catch (error) {
      this.discard()
      throw writeFailure(this.target, error)
    }
  }

  /** Removes what was written; does nothing after `commit`. */
  discard(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
    rmSync(this.#temporary, { force: true })
  }
}

/** Writes a whole file atomically. @throws E_FILE_WRITE */
export function writeFileAtomic(target: string, content: Uint8Array | string): void {
  const file = new AtomicFile(target)
  try {
    file.write(typeof content === 'string' ? Buffer.from(content) : content)
    file.commit()
  } catch (error) {
    file.discard()
    throw error
  }
}

/**
 * Refuses an output that cannot be written, before the long work that would produce it.
 * The folder must exist, be writable, and the name must not be a folder.
 * @throws E_FILE_WRITE
 */
export function checkWritable(target: string): void {
  const folder = path.dirname(path.resolve(target))
  let reason: string | undefined
  try {
    if (!statSync(folder).isDirectory()) reason = `${folder} is not a folder`
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    reason ??= code === 'ENOENT' ? `folder ${folder} does not exist` : `folder ${folder}: ${reasonOf(error)}`
  }
  if (reason === undefined && statSync(target, { throwIfNoEntry: false })?.isDirectory())
    reason = 'it is a folder'
  if (reason !== undefined) throw new AppError('E_FILE_WRITE', { path: target, reason })
}
