// Which files belong to which calibration sample: the folder layouts and the list file.
import { readdirSync, readFileSync, statSync, type Stats } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { DatasetSpec, ModelInput } from '../../contract/quantization.ts'
import { reasonOf } from '../common/hashing.ts'

const MAX_LIST_BYTES = 64 * 1024 * 1024
const DATA_FILE = /\.(bin|npy)$/i

/** One sample: the file of every input. */
export interface SampleFiles {
  /** What the sample is called in messages: its index, file name or list line. */
  name: string
  /** Absolute paths by input name. */
  files: Map<string, string>
}

/** Plain code-unit order, as AMCT sorts calibration files: write 0001.bin, not 1.bin. */
function byName(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function statOrUndefined(target: string): Stats | undefined {
  try {
    return statSync(target)
  } catch {
    return undefined
  }
}

/** Input names hold characters that file names cannot: both spellings are accepted. */
function fileSpelling(inputName: string): string {
  return inputName.replace(/[^\w.-]/g, '_')
}

function dataFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && DATA_FILE.test(entry.name))
    .map((entry) => entry.name)
    .sort(byName)
}

function checkFolder(folder: string): void {
  const stats = statOrUndefined(folder)
  const reason = !stats ? 'it does not exist' : stats.isDirectory() ? undefined : 'it is not a folder'
  if (reason !== undefined)
    throw new AppError('E_CALIBRATION_FOLDER', { path: folder, reason, base: process.cwd() })
}

/** `<index>_<input>.bin`: the index and the input, the longest input name winning; undefined for other names. */
function splitIndexedName(
  file: string,
  inputs: readonly ModelInput[],
): { index: string; input: string } | undefined {
  const stem = file.replace(DATA_FILE, '')
  const matches = inputs.flatMap((input) => {
    const spelling = [input.name, fileSpelling(input.name)].find((name) => stem.endsWith(`_${name}`))
    return spelling === undefined ? [] : [{ input: input.name, index: stem.slice(0, -spelling.length - 1) }]
  })
  return matches.sort((left, right) => right.input.length - left.input.length)[0]
}

function indexedSamples(
  folder: string,
  files: readonly string[],
  inputs: readonly ModelInput[],
): SampleFiles[] {
  const samples = new Map<string, SampleFiles>()
  for (const file of files) {
    const parts = splitIndexedName(file, inputs)
    if (!parts) continue
    const sample = samples.get(parts.index) ?? { name: parts.index, files: new Map<string, string>() }
    sample.files.set(parts.input, path.join(folder, file))
    samples.set(parts.index, sample)
  }
  for (const sample of samples.values()) {
    const lacking = inputs.find((input) => !sample.files.has(input.name))
    if (lacking) {
      throw new AppError('E_CALIBRATION_MISSING_INPUT', {
        sample: sample.name,
        folder,
        input: lacking.name,
        expected: `${sample.name}_${fileSpelling(lacking.name)}.bin`,
      })
    }
  }
  return [...samples.values()].sort((left, right) => byName(left.name, right.name))
}

function subfolderOf(folder: string, input: ModelInput): string | undefined {
  return [input.name, fileSpelling(input.name)]
    .filter((name) => name !== '.' && name !== '..' && !/[/\\]/.test(name))
    .map((name) => path.join(folder, name))
    .find((candidate) => statOrUndefined(candidate)?.isDirectory())
}

function subfolderSamples(folder: string, inputs: readonly ModelInput[]): SampleFiles[] | undefined {
  const columns = inputs.map((input) => ({ input, subfolder: subfolderOf(folder, input) }))
  if (columns.every((column) => column.subfolder === undefined)) return undefined
  const lists = columns.map(({ input, subfolder }) => {
    if (subfolder === undefined) {
      throw new AppError('E_CALIBRATION_MISSING_INPUT', {
        sample: '*',
        folder,
        input: input.name,
        expected: `a folder ${path.join(folder, fileSpelling(input.name))}`,
      })
    }
    return { input, subfolder, files: dataFiles(subfolder) }
  })
  const rows = Math.max(...lists.map((list) => list.files.length))
  return Array.from({ length: rows }, (_, row) => {
    const files = lists.map(({ input, subfolder, files: names }) => {
      const file = names[row]
      if (file === undefined) {
        throw new AppError('E_CALIBRATION_MISSING_INPUT', {
          sample: String(row + 1),
          folder,
          input: input.name,
          expected: `as many files to ${subfolder} as the other inputs have (${rows})`,
        })
      }
      return [input.name, path.join(subfolder, file)] as const
    })
    return { name: path.basename(files[0]?.[1] ?? ''), files: new Map(files) }
  })
}

function folderSamples(folder: string, inputs: readonly ModelInput[]): SampleFiles[] {
  const files = dataFiles(folder)
  const indexed = indexedSamples(folder, files, inputs)
  if (indexed.length > 0) return indexed
  const [only] = inputs
  if (inputs.length === 1 && only && files.length > 0) {
    return files.map((file) => ({ name: file, files: new Map([[only.name, path.join(folder, file)]]) }))
  }
  return subfolderSamples(folder, inputs) ?? []
}

function findListFile(spec: DatasetSpec, listFile: string): string {
  const candidates = [...spec.searchFolders, spec.folder].map((folder) => path.resolve(folder, listFile))
  candidates.unshift(path.resolve(listFile))
  const found = candidates.find((candidate) => statOrUndefined(candidate)?.isFile())
  if (found !== undefined) return found
  throw new AppError('E_CALIBRATION_LIST_MISSING', { name: listFile, searched: [...new Set(candidates)] })
}

function readList(file: string): string[] {
  const size = statOrUndefined(file)?.size ?? 0
  if (size > MAX_LIST_BYTES) {
    throw new AppError('E_FILE_READ', { path: file, reason: `a list of ${size} bytes is too long` })
  }
  try {
    return readFileSync(file, 'utf8')
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

/** File names of one line, split only when the model has several inputs. `#` starts a comment. */
function lineEntries(line: string, inputCount: number): string[] {
  const text = line.replace(/(^|\s)#.*$/, '').trim()
  if (text === '') return []
  if (inputCount === 1) return [text]
  return (text.includes(',') ? text.split(',') : text.split(/\s+/)).map((entry) => entry.trim())
}

function isInside(folder: string, file: string): boolean {
  const relative = path.relative(folder, file)
  return (
    relative !== '' &&
    relative !== '..' &&
    !relative.startsWith(`..${path.sep}`) &&
    !path.isAbsolute(relative)
  )
}

function listedFile(
  list: string,
  line: number,
  entry: string,
  folder: string,
  inputs: readonly string[],
): string {
  const file = path.resolve(folder, entry)
  if (!isInside(folder, file)) throw new AppError('E_CALIBRATION_PATH', { path: list, line, entry, folder })
  if (!statOrUndefined(file)?.isFile()) {
    throw new AppError('E_CALIBRATION_LIST', { path: list, line, reason: `${file} does not exist`, inputs })
  }
  return file
}

function listedSamples(spec: DatasetSpec, listFile: string, inputs: readonly ModelInput[]): SampleFiles[] {
  const list = findListFile(spec, listFile)
  const folder = path.resolve(spec.folder)
  const names = inputs.map((input) => input.name)
  return readList(list).flatMap((text, row) => {
    const line = row + 1
    const entries = lineEntries(text, inputs.length)
    if (entries.length === 0) return []
    if (entries.length !== inputs.length) {
      const reason = `${entries.length} file names for ${inputs.length} inputs`
      throw new AppError('E_CALIBRATION_LIST', { path: list, line, reason, inputs: names })
    }
    const files = entries.map(
      (entry, column) => [names[column] ?? '', listedFile(list, line, entry, folder, names)] as const,
    )
    return [{ name: `${path.basename(list)}:${line}`, files: new Map(files) }]
  })
}

/**
 * The samples of a data set, in order, cut to the count asked for.
 * @throws E_CALIBRATION_FOLDER, E_CALIBRATION_EMPTY, E_CALIBRATION_COUNT, E_CALIBRATION_MISSING_INPUT,
 * E_CALIBRATION_LIST_MISSING, E_CALIBRATION_LIST, E_CALIBRATION_PATH
 */
export function findSamples(spec: DatasetSpec, inputs: readonly ModelInput[]): SampleFiles[] {
  const folder = path.resolve(spec.folder)
  checkFolder(folder)
  const samples =
    spec.listFile === undefined ? folderSamples(folder, inputs) : listedSamples(spec, spec.listFile, inputs)
  if (samples.length > 0) return samples
  const names = inputs.map((input) => fileSpelling(input.name))
  const expected =
    inputs.length === 1
      ? 'one .bin file per sample'
      : `${names.map((name) => `<index>_${name}.bin`).join(' and ')}, or one folder per input`
  throw new AppError('E_CALIBRATION_EMPTY', { folder, inputs: names, expected })
}
