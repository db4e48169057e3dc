// Files by content: objects/ab/abcdef... named by SHA-256, written once, read-only; trees of names are linked to them.
import { createHash, randomUUID } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { chmod, copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../common/hashing.ts'

export interface StoredFile {
  sha256: string
  bytes: number
}

/** SHA-256 of a file without blocking the event loop for longer than one piece. @throws E_FILE_READ, E_CANCELLED */
export async function hashFileAsync(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal })) {
      hash.update(chunk as Buffer)
    }
  } catch (error) {
    if (signal?.aborted) throw new AppError('E_CANCELLED')
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
  return hash.digest('hex')
}

export class ObjectStore {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  /** Where the object with this hash is, or would be. */
  path(sha256: string): string {
    return path.join(this.root, sha256.slice(0, 2), sha256)
  }

  async has(sha256: string): Promise<boolean> {
    return (await stat(this.path(sha256)).catch(() => undefined))?.isFile() ?? false
  }

  /**
   * Copies a file in (a reflink where the file system can). The hash is taken of the copy, so that a file that
   * changes meanwhile is stored under what was really kept.
   * @throws E_FILE_READ, E_FILE_WRITE, E_CANCELLED
   */
  async add(source: string, signal?: AbortSignal): Promise<StoredFile> {
    const incoming = await this.#incoming()
    try {
      await copyFile(source, incoming, constants.COPYFILE_FICLONE)
    } catch (error) {
      await rm(incoming, { force: true })
      throw new AppError('E_FILE_READ', { path: source, reason: reasonOf(error) }, { cause: error })
    }
    return this.#settle(incoming, signal)
  }

  /** Takes over a file that was written for the store; `source` is gone afterwards. */
  async adopt(source: string, signal?: AbortSignal): Promise<StoredFile> {
    const incoming = await this.#incoming()
    try {
      await rename(source, incoming)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') {
        throw new AppError('E_FILE_READ', { path: source, reason: reasonOf(error) }, { cause: error })
      }
      const stored = await this.add(source, signal)
      await rm(source, { force: true })
      return stored
    }
    return this.#settle(incoming, signal)
  }

  /** Gives an object a name in a tree: a hard link, or a copy where links are not possible. */
  async materialize(sha256: string, target: string): Promise<void> {
    await mkdir(path.dirname(target), { recursive: true })
    const source = this.path(sha256)
    await rm(target, { force: true })
    try {
      await link(source, target)
    } catch {
      try {
        await copyFile(source, target, constants.COPYFILE_FICLONE)
      } catch (error) {
        throw new AppError('E_FILE_WRITE', { path: target, reason: reasonOf(error) }, { cause: error })
      }
    }
  }

  /** Removes objects that `isUsed` does not want; returns the bytes freed. Left-over partial files go too. */
  async collect(isUsed: (sha256: string) => boolean): Promise<number> {
    let freed = 0
    for (const folder of await readdir(this.root).catch(() => [])) {
      const directory = path.join(this.root, folder)
      for (const name of await readdir(directory).catch(() => [])) {
        const partial = !/^[0-9a-f]{64}$/.test(name)
        if (!partial && isUsed(name)) continue
        const file = path.join(directory, name)
        freed += (await stat(file).catch(() => undefined))?.size ?? 0
        await rm(file, { force: true })
      }
    }
    return freed
  }

  async #incoming(): Promise<string> {
    const folder = path.join(this.root, 'incoming')
    await mkdir(folder, { recursive: true })
    return path.join(folder, `${randomUUID()}.tmp`)
  }

  async #settle(incoming: string, signal?: AbortSignal): Promise<StoredFile> {
    try {
      const sha256 = await hashFileAsync(incoming, signal)
      const { size } = await stat(incoming)
      const target = this.path(sha256)
      if (await this.has(sha256)) {
        await rm(incoming)
        return { sha256, bytes: size }
      }
      // A read-only source gives a read-only copy, which some systems will not flush.
      await chmod(incoming, 0o644)
      const handle = await open(incoming, 'r+')
      await handle.sync()
      await handle.close()
      await chmod(incoming, 0o444)
      await mkdir(path.dirname(target), { recursive: true })
      await rename(incoming, target)
      return { sha256, bytes: size }
    } catch (error) {
      await rm(incoming, { force: true })
      if (error instanceof AppError) throw error
      throw new AppError('E_FILE_WRITE', { path: this.root, reason: reasonOf(error) }, { cause: error })
    }
  }
}
