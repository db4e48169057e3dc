// Which files of a chosen folder belong to a dataset, and how they fall into inputs and samples.
import { readdirSync, statSync, type Dirent } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { DatasetRow } from '../../contract/workspace.ts'
import { reasonOf } from '../common/hashing.ts'
import type { FileSource } from '../workspace/index.ts'

const DATA = /\.(?:bin|npy)$/i
/** Kept next to the data: they say what it is. */
const COMPANION = /\.(?:json|txt|md)$/i
const MAX_FILES = 100_000
const MAX_COMPANION_BYTES = 16 * 1024 * 1024
const MAX_DATA_BYTES = 8 * 1024 ** 3

export interface DatasetFiles {
  files: FileSource[]
  layout: DatasetRow['layout']
  inputs: string[]
  samples: number
}

/** A sample's files by input; names are relative to the dataset's folder. */
export interface DatasetSample {
  label: string | null
  files: { input: string; file: string }[]
}

function list(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((left, right) =>
      left.name < right.name ? -1 : 1,
    )
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: folder, reason: reasonOf(error) }, { cause: error })
  }
}

/** Data files and their companions, in the folder and one level below it. */
function collect(folder: string): FileSource[] {
  const found: FileSource[] = []
  const add = (relativePath: string): void => {
    const file = path.join(folder, ...relativePath.split('/'))
    const { size } = statSync(file)
    const wanted = DATA.test(relativePath) || (COMPANION.test(relativePath) && size <= MAX_COMPANION_BYTES)
    if (wanted) found.push({ path: file, relativePath })
    if (found.length > MAX_FILES) {
      throw new AppError('E_ARGUMENT', {
        name: folder,
        reason: `more than ${MAX_FILES} files`,
        expected: 'a folder with calibration data only',
      })
    }
  }
  for (const entry of list(folder)) {
    if (entry.name.startsWith('.')) continue
    if (entry.isFile()) add(entry.name)
    else if (entry.isDirectory()) {
      for (const inner of list(path.join(folder, entry.name))) {
        if (inner.isFile() && DATA.test(inner.name)) add(`${entry.name}/${inner.name}`)
      }
    }
  }
  return found
}

/**
 * Reads what is in a folder of calibration data.
 * @param inputNames of the model it is for, when there is one: they tell where a file's index ends
 * @throws E_FILE_READ, E_WORKSPACE_FILE_KIND, E_ARGUMENT
 */
export function scanDataset(folder: string, inputNames: readonly string[]): DatasetFiles {
  if (!statSync(folder).isDirectory()) {
    throw new AppError('E_WORKSPACE_FILE_KIND', {
      path: folder,
      expected: 'a folder with .bin or .npy files',
    })
  }
  const files = collect(folder)
  const names = files.map((file) => file.relativePath).filter((name) => DATA.test(name))
  const bytes = files.reduce((sum, file) => sum + statSync(file.path).size, 0)
  if (names.length === 0) {
    throw new AppError('E_WORKSPACE_FILE_KIND', {
      path: folder,
      expected: 'a folder with .bin or .npy files',
    })
  }
  if (bytes > MAX_DATA_BYTES) {
    throw new AppError('E_ARGUMENT', {
      name: folder,
      reason: `${bytes} bytes of data`,
      expected: `at most ${MAX_DATA_BYTES} bytes`,
    })
  }
  const { layout, samples } = groupSamples(names, inputNames)
  const inputs = [...new Set(samples.flatMap((sample) => sample.files.map((file) => file.input)))]
  return { files, layout, inputs, samples: samples.length }
}

/** Samples of a dataset from its file names alone. */
export function groupSamples(
  names: readonly string[],
  inputNames: readonly string[],
): { layout: DatasetRow['layout']; samples: DatasetSample[] } {
  const nested = names.filter((name) => name.includes('/'))
  if (nested.length === names.length) return { layout: 'folders', samples: groupFolders(nested) }
  const flat = names.filter((name) => !name.includes('/'))
  const prefixed = groupPrefixed(flat, inputNames)
  if (prefixed) return { layout: 'prefixed', samples: prefixed }
  const [only] = inputNames
  const input = inputNames.length === 1 && only !== undefined ? only : 'input'
  return { layout: 'single', samples: flat.map((file) => ({ label: null, files: [{ input, file }] })) }
}

function groupFolders(names: readonly string[]): DatasetSample[] {
  const byInput = Map.groupBy(names, (name) => name.split('/')[0] ?? '')
  const columns = [...byInput].map(([input, files]) => ({ input, files }))
  const count = Math.min(...columns.map((column) => column.files.length))
  return Array.from({ length: count }, (_, row) => ({
    label: null,
    files: columns.map(({ input, files }) => ({ input, file: files[row] ?? '' })),
  }))
}

/** `<index>_<input>.bin` with every input present for every index, or undefined. */
function groupPrefixed(names: readonly string[], inputNames: readonly string[]): DatasetSample[] | undefined {
  const samples = new Map<string, DatasetSample>()
  for (const file of names) {
    const stem = file.replace(DATA, '')
    const known = [...inputNames]
      .sort((a, b) => b.length - a.length)
      .find((name) => stem.endsWith(`_${name}`))
    const cut = known === undefined ? stem.indexOf('_') : stem.length - known.length - 1
    if (cut < 1) return undefined
    const key = stem.slice(0, cut)
    const sample = samples.get(key) ?? { label: null, files: [] }
    sample.files.push({ input: stem.slice(cut + 1), file })
    samples.set(key, sample)
  }
  const all = [...samples.values()]
  const first = all[0]?.files.map((file) => file.input).join('\n')
  const regular = all.every((sample) => sample.files.map((file) => file.input).join('\n') === first)
  return regular ? all : undefined
}
