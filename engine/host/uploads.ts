// files.upload: a file dropped on a browser window arrives in pieces and ends up in the workspace's uploads folder.
import { open, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'
import { AppError } from '../../contract/errors/index.ts'
import {
  UPLOAD_CHUNK_BYTES,
  type uploadInputSchema,
  type uploadOutputSchema,
} from '../../contract/rpc/index.ts'
import { isSafeRelativePath } from '../workspace/index.ts'

const MAX_FILES = 20_000
/** Uploads that were not added to a project are removed after this time. */
const KEPT_MS = 24 * 3_600_000

type UploadInput = z.output<typeof uploadInputSchema>
type UploadOutput = z.output<typeof uploadOutputSchema>

function refused(name: string, reason: string): AppError {
  return new AppError('E_UPLOAD', { name, reason })
}

export class Uploads {
  readonly #root: string
  /** Bytes received and files begun, per upload. */
  readonly #files = new Map<string, Set<string>>()

  constructor(root: string) {
    this.#root = root
  }

  /** Appends one piece. Pieces come in order; the last one gives the file its name. @throws E_UPLOAD */
  async receive(input: UploadInput): Promise<UploadOutput> {
    const { uploadId, name } = input
    if (!isSafeRelativePath(name) || name.split('/').some((part) => part.startsWith('.'))) {
      throw refused(name, 'the name is not a plain relative path')
    }
    const data = Buffer.from(input.data, 'base64')
    if (data.length > UPLOAD_CHUNK_BYTES) throw refused(name, `a piece has ${data.length} bytes`)
    if (input.offset + data.length > input.totalBytes) throw refused(name, 'more bytes than announced')
    this.#count(uploadId, name)
    const folder = path.join(this.#root, uploadId)
    const target = path.join(folder, ...name.split('/'))
    const partial = `${target}.part`
    await mkdir(path.dirname(target), { recursive: true })
    const received = await this.#append(partial, input, data)
    const complete = received === input.totalBytes
    if (complete) await rename(partial, target)
    return { receivedBytes: received, complete, path: complete ? target : null, folder }
  }

  /** Removes old uploads: what was added to a project has been copied. */
  async tidy(): Promise<void> {
    for (const name of await readdir(this.#root).catch(() => [])) {
      const folder = path.join(this.#root, name)
      const facts = await stat(folder).catch(() => undefined)
      if (facts && Date.now() - facts.mtimeMs > KEPT_MS) await rm(folder, { recursive: true, force: true })
    }
  }

  #count(uploadId: string, name: string): void {
    const names = this.#files.get(uploadId) ?? new Set<string>()
    names.add(name)
    this.#files.set(uploadId, names)
    if (names.size > MAX_FILES) throw refused(name, `more than ${MAX_FILES} files in one upload`)
  }

  async #append(partial: string, input: UploadInput, data: Buffer): Promise<number> {
    const handle = await open(partial, input.offset === 0 ? 'w' : 'r+').catch(() => undefined)
    if (!handle) throw refused(input.name, `it does not start at byte 0 but at ${input.offset}`)
    try {
      const { size } = await handle.stat()
      if (size !== input.offset) throw refused(input.name, `expected byte ${size}, got ${input.offset}`)
      await handle.write(data, 0, data.length, input.offset)
      if (input.offset + data.length === input.totalBytes) await handle.sync()
      return input.offset + data.length
    } finally {
      await handle.close()
    }
  }
}
