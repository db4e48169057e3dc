// Several files that appear together: written under temporary names, renamed at the end, rolled back on failure.
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { fileStamp, ioReason } from './source.ts'

interface Entry {
  target: string
  temporary: string
  /** Hard link to the file that was there before, until the commit is through. */
  backup: string
  written: boolean
  renamed: boolean
}

/** Small pieces are gathered into writes of this size. */
const GATHER_BYTES = 1024 * 1024

export class FileSet {
  private readonly entries: Map<string, Entry>

  /** @param targets absolute paths, in the order they are to be renamed */
  constructor(targets: readonly string[]) {
    const mark = randomBytes(6).toString('hex')
    this.entries = new Map(
      targets.map((target) => {
        const hidden = path.join(path.dirname(target), `.${path.basename(target).slice(0, 100)}.${mark}`)
        const entry = {
          target,
          temporary: `${hidden}.tmp`,
          backup: `${hidden}.old`,
          written: false,
          renamed: false,
        }
        return [target, entry]
      }),
    )
  }

  /**
   * Writes one file under its temporary name and flushes it to disk.
   * @param produce calls its argument with the content, piece by piece
   * @returns stamp of the written file, see fileStamp
   * @throws E_FILE_WRITE, and what `produce` throws
   */
  write(target: string, produce: (write: (bytes: Uint8Array) => void) => void): string {
    const entry = this.entries.get(target)!
    return attempt(target, () => {
      const descriptor = openSync(entry.temporary, 'wx')
      entry.written = true
      try {
        const gather = new GatheredWriter(descriptor)
        produce((bytes) => gather.write(bytes))
        gather.flush()
        fsyncSync(descriptor)
        return fileStamp(fstatSync(descriptor, { bigint: true }))
      } finally {
        closeSync(descriptor)
      }
    })
  }

  /**
   * Puts all files in place, the first target last: whoever reads it finds the files it refers to.
   * When a rename fails, the earlier ones are undone.
   */
  commit(): void {
    const order = [...this.entries.values()].reverse()
    if (order.length > 1) for (const entry of order) keepBackup(entry)
    try {
      for (const entry of order) {
        attempt(entry.target, () => renameSync(entry.temporary, entry.target))
        entry.renamed = true
      }
    } catch (failure) {
      for (const entry of order) if (entry.renamed) restore(entry)
      throw failure
    }
    for (const folder of new Set(order.map((entry) => path.dirname(entry.target)))) flushFolder(folder)
  }

  /** Removes what is left of temporary files and backups. Never throws: it runs after another failure, too. */
  discard(): void {
    for (const entry of this.entries.values()) {
      rmSync(entry.temporary, { force: true })
      rmSync(entry.backup, { force: true })
    }
  }
}

class GatheredWriter {
  private readonly descriptor: number
  private readonly buffer = new Uint8Array(GATHER_BYTES)
  private used = 0

  constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  write(bytes: Uint8Array): void {
    if (this.used + bytes.length > GATHER_BYTES) this.flush()
    if (bytes.length >= GATHER_BYTES) {
      this.writeFully(bytes)
      return
    }
    this.buffer.set(bytes, this.used)
    this.used += bytes.length
  }

  flush(): void {
    this.writeFully(this.buffer.subarray(0, this.used))
    this.used = 0
  }

  private writeFully(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) done += writeSync(this.descriptor, bytes, done)
  }
}

function attempt<Result>(target: string, work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError('E_FILE_WRITE', { path: target, reason: ioReason(cause) }, { cause })
  }
}

/** File systems without hard links (FAT) go without a backup: there a failed rename cannot be undone. */
function keepBackup(entry: Entry): void {
  try {
    linkSync(entry.target, entry.backup)
  } catch {
    return
  }
}

function restore(entry: Entry): void {
  if (existsSync(entry.backup)) renameSync(entry.backup, entry.target)
  else rmSync(entry.target, { force: true })
}

/** Makes the renames survive a power cut. Windows cannot open folders and does not need it. */
function flushFolder(folder: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
