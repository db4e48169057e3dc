// The table `files`: which stored file belongs to which model, dataset, artifact or stage result.
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { hashData } from '../common/hashing.ts'
import type { Connection } from './database.ts'
import { hashFileAsync, type ObjectStore } from './objects.ts'

export interface KeptFile {
  relativePath: string
  sha256: string
  bytes: number
  /** Set when the file is used outside the workspace. */
  referencePath: string | null
}

/** A file to keep: where it is now and its name within its owner. */
export interface FileSource {
  path: string
  relativePath: string
}

interface FileRow {
  relative_path: string
  sha256: string
  bytes: number
  reference_path: string | null
}

export class KeptFiles {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  list(ownerId: string): KeptFile[] {
    const rows = this.#db
      .prepare<[string], FileRow>('SELECT * FROM files WHERE owner_id = ? ORDER BY relative_path')
      .all(ownerId)
    return rows.map((row) => ({
      relativePath: row.relative_path,
      sha256: row.sha256,
      bytes: row.bytes,
      referencePath: row.reference_path,
    }))
  }

  insert(ownerId: string, files: readonly KeptFile[]): void {
    const statement = this.#db.prepare('INSERT INTO files VALUES (?, ?, ?, ?, ?)')
    for (const file of files) {
      statement.run(ownerId, file.relativePath, file.sha256, file.bytes, file.referencePath)
    }
  }

  remove(ownerId: string): void {
    this.#db.prepare('DELETE FROM files WHERE owner_id = ?').run(ownerId)
  }

  isUsed(sha256: string): boolean {
    return (
      this.#db
        .prepare('SELECT 1 FROM files WHERE sha256 = ? AND reference_path IS NULL LIMIT 1')
        .get(sha256) !== undefined
    )
  }
}

/** Identity of a group of files: the file's own hash when it is alone, else the hash of names and hashes. */
export function groupHash(files: readonly Pick<KeptFile, 'relativePath' | 'sha256'>[]): string {
  const [first] = files
  if (files.length === 1 && first) return first.sha256
  const sorted = [...files].sort((left, right) => (left.relativePath < right.relativePath ? -1 : 1))
  return hashData(sorted.map((file) => [file.relativePath, file.sha256]))
}

/** Copies files into the store. */
export async function storeFiles(
  store: ObjectStore,
  sources: readonly FileSource[],
  signal?: AbortSignal,
): Promise<KeptFile[]> {
  const kept: KeptFile[] = []
  for (const source of sources) {
    const stored = await store.add(source.path, signal)
    kept.push({ ...stored, relativePath: source.relativePath, referencePath: null })
  }
  return kept
}

/** Hashes files that stay where they are. @throws E_FILE_READ, E_CANCELLED */
export async function referenceFiles(
  sources: readonly FileSource[],
  signal?: AbortSignal,
): Promise<KeptFile[]> {
  const kept: KeptFile[] = []
  for (const source of sources) {
    const absolute = path.resolve(source.path)
    const sha256 = await hashFileAsync(absolute, signal)
    const { size } = await stat(absolute)
    kept.push({ relativePath: source.relativePath, sha256, bytes: size, referencePath: absolute })
  }
  return kept
}

/** Gives stored files their names under `folder`. */
export async function materializeFiles(
  store: ObjectStore,
  files: readonly KeptFile[],
  folder: string,
): Promise<void> {
  for (const file of files) {
    if (file.referencePath === null) {
      await store.materialize(file.sha256, path.join(folder, ...file.relativePath.split('/')))
    }
  }
}

/**
 * Checks that referenced files are still the ones that were added.
 * @throws E_WORKSPACE_FILE_CHANGED, E_FILE_READ
 */
export async function verifyReferences(
  files: readonly KeptFile[],
  entity: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const file of files) {
    if (file.referencePath === null) continue
    const actual = await hashFileAsync(file.referencePath, signal)
    if (actual === file.sha256) continue
    throw new AppError('E_WORKSPACE_FILE_CHANGED', {
      path: file.referencePath,
      actual,
      expected: file.sha256,
      entity,
    })
  }
}
