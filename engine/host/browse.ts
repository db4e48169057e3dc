// files.list: browsing the engine's machine for the file picker. Names, sizes and dates only; no content is read.
import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { FileEntry, FileKind, FileListing } from '../../contract/rpc/index.ts'
import { reasonOf } from '../common/hashing.ts'

const MAX_ENTRIES = 2000
/** Kernel file systems: endless, and nothing to pick there. */
const REFUSED = ['/proc', '/sys', '/dev']

const KIND_BY_EXTENSION: Readonly<Record<string, FileKind>> = {
  '.onnx': 'onnx',
  '.om': 'om',
  '.bin': 'bin',
  '.npy': 'bin',
  '.json': 'json',
  '.cfg': 'json',
  '.aqwproj': 'project',
}

export interface BrowseOptions {
  path?: string | undefined
  kinds?: readonly FileKind[] | undefined
  hidden?: boolean | undefined
  places: FileListing['places']
}

/** @throws E_FILE_NOT_FOUND, E_FILE_READ */
export async function listFolder(options: BrowseOptions): Promise<FileListing> {
  const folder = await realFolder(options.path ?? os.homedir())
  if (REFUSED.some((root) => folder === root || folder.startsWith(`${root}/`))) {
    throw new AppError('E_FILE_READ', { path: folder, reason: 'a system folder without files to choose' })
  }
  let entries: Dirent[]
  try {
    entries = await readdir(folder, { withFileTypes: true })
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: folder, reason: reasonOf(error) }, { cause: error })
  }
  const wanted = new Set<FileKind>(options.kinds ?? Object.values(KIND_BY_EXTENSION))
  const named = entries.filter((entry) => (options.hidden ?? false) || !entry.name.startsWith('.'))
  const candidates = named.sort((left, right) => compareNames(left.name, right.name))
  const listed: FileEntry[] = []
  let truncated = false
  for (const candidate of candidates) {
    const entry = await describe(folder, candidate, wanted)
    if (!entry) continue
    if (listed.length === MAX_ENTRIES) {
      truncated = true
      break
    }
    listed.push(entry)
  }
  const parent = path.dirname(folder)
  const folders = listed.filter((entry) => entry.kind === 'folder')
  const files = listed.filter((entry) => entry.kind !== 'folder')
  return {
    path: folder,
    parent: parent === folder ? null : parent,
    places: options.places,
    entries: [...folders, ...files],
    truncated,
  }
}

/** The folder itself, or the folder of a file that was given. */
async function realFolder(given: string): Promise<string> {
  const expanded = given === '~' || given.startsWith('~/') ? path.join(os.homedir(), given.slice(1)) : given
  const absolute = path.resolve(os.homedir(), expanded)
  try {
    const real = await realpath(absolute)
    return (await stat(real)).isDirectory() ? real : path.dirname(real)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new AppError('E_FILE_NOT_FOUND', { path: absolute, base: os.homedir() }, { cause: error })
    }
    throw new AppError('E_FILE_READ', { path: absolute, reason: reasonOf(error) }, { cause: error })
  }
}

async function describe(
  folder: string,
  entry: Dirent,
  wanted: ReadonlySet<FileKind>,
): Promise<FileEntry | null> {
  const file = path.join(folder, entry.name)
  const kindOfFile = KIND_BY_EXTENSION[path.extname(entry.name).toLowerCase()]
  // Links are followed; only what may be listed is looked at.
  if (!entry.isDirectory() && !entry.isSymbolicLink() && !(kindOfFile && wanted.has(kindOfFile))) return null
  const facts = await stat(file).catch(() => undefined)
  if (!facts) return null
  const modifiedAt = facts.mtime.toISOString()
  if (facts.isDirectory()) return { name: entry.name, path: file, kind: 'folder', bytes: null, modifiedAt }
  if (!facts.isFile() || !kindOfFile || !wanted.has(kindOfFile)) return null
  return { name: entry.name, path: file, kind: kindOfFile, bytes: facts.size, modifiedAt }
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

function compareNames(left: string, right: string): number {
  return collator.compare(left, right)
}
