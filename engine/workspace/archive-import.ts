// Reads a .aqwproj file from anywhere: nothing in it is trusted. Entry names choose no paths, sizes are bounded,
// every file is checked against its hash, and the rows are written in one transaction at the end.
import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm, statfs } from 'node:fs/promises'
import path from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import yauzl, { type Entry, type ZipFile } from 'yauzl'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import type { Project } from '../../contract/workspace.ts'
import { reasonOf } from '../common/hashing.ts'
import { formatBytes } from '../common/units.ts'
import {
  ARCHIVE_SCHEMA,
  archiveLimits,
  isSafeRelativePath,
  MANIFEST_ENTRY,
  manifestSchema,
  OBJECT_ENTRY,
  type ArchiveLimits,
  type ArchiveManifest,
} from './archive-format.ts'
import { materializeFiles, type KeptFile } from './kept-files.ts'
import { newId } from './rows.ts'
import type { Workspace } from './workspace.ts'

const openZip = promisify<string, yauzl.Options, ZipFile>(yauzl.open)

function invalid(file: string, reason: string, cause?: unknown): AppError {
  return new AppError('E_ARCHIVE_INVALID', { path: file, reason }, { cause })
}

function tooLarge(file: string, what: string, actual: string, limit: string): AppError {
  return new AppError('E_ARCHIVE_TOO_LARGE', { path: file, what, actual, limit })
}

interface Listing {
  manifest: Entry
  objects: Map<string, Entry>
  totalBytes: number
}

/** Reads the central directory and refuses the archive before a single byte is written. */
async function listEntries(zip: ZipFile, file: string, limits: ArchiveLimits): Promise<Listing> {
  if (zip.entryCount > limits.entries) {
    throw tooLarge(file, 'the number of entries', String(zip.entryCount), String(limits.entries))
  }
  const objects = new Map<string, Entry>()
  let manifest: Entry | undefined
  let totalBytes = 0
  for (let count = 0; count < zip.entryCount; count++) {
    const entry = await nextEntry(zip)
    if (!entry) break
    const name = entry.fileName
    if (!isSafeRelativePath(name)) throw new AppError('E_ARCHIVE_UNSAFE', { path: file, entry: name })
    totalBytes += entry.uncompressedSize
    const sha256 = OBJECT_ENTRY.exec(name)?.[1]
    if (name === MANIFEST_ENTRY) {
      if (manifest) throw invalid(file, `two entries named ${MANIFEST_ENTRY}`)
      if (entry.uncompressedSize > limits.manifestBytes) {
        throw tooLarge(
          file,
          MANIFEST_ENTRY,
          formatBytes(entry.uncompressedSize),
          formatBytes(limits.manifestBytes),
        )
      }
      manifest = entry
    } else if (sha256 !== undefined) {
      if (entry.uncompressedSize > limits.objectBytes) {
        throw tooLarge(file, name, formatBytes(entry.uncompressedSize), formatBytes(limits.objectBytes))
      }
      objects.set(sha256, entry)
    } else throw invalid(file, `unexpected entry ${name}`)
  }
  if (!manifest) throw invalid(file, `no ${MANIFEST_ENTRY} in it`)
  if (totalBytes > limits.totalBytes) {
    throw tooLarge(file, 'the content', formatBytes(totalBytes), formatBytes(limits.totalBytes))
  }
  return { manifest, objects, totalBytes }
}

/** Next entry of the central directory, undefined at its end. */
function nextEntry(zip: ZipFile): Promise<Entry | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      zip.off('entry', onEntry)
      zip.off('end', onEnd)
      zip.off('error', onError)
    }
    const onEntry = (entry: Entry): void => {
      settle()
      resolve(entry)
    }
    const onEnd = (): void => {
      settle()
      resolve(undefined)
    }
    const onError = (error: Error): void => {
      settle()
      reject(error)
    }
    zip.on('entry', onEntry).on('end', onEnd).on('error', onError)
    zip.readEntry()
  })
}

function openEntry(zip: ZipFile, entry: Entry): Promise<Readable> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error || !stream) reject(error ?? new Error('entry cannot be read'))
      else resolve(stream)
    })
  })
}

async function readManifest(zip: ZipFile, entry: Entry, file: string): Promise<ArchiveManifest> {
  const chunks: Buffer[] = []
  for await (const chunk of await openEntry(zip, entry)) chunks.push(chunk as Buffer)
  let data: unknown
  try {
    data = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw invalid(file, `${MANIFEST_ENTRY} is not JSON`, error)
  }
  const schema = (data as { schema?: unknown } | null)?.schema
  if (typeof schema === 'string' && schema !== ARCHIVE_SCHEMA) {
    throw invalid(file, `it is "${schema}", this program reads "${ARCHIVE_SCHEMA}"`)
  }
  const parsed = manifestSchema.safeParse(data)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw invalid(file, `${MANIFEST_ENTRY}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`)
  }
  return parsed.data
}

/** Gives everything new ids, so that an archive can be imported next to the project it came from. */
function renumber(manifest: ArchiveManifest): ArchiveManifest {
  const ids = new Map<string, string>()
  const add = (id: string): void => void ids.set(id, newId())
  add(manifest.project.id)
  for (const { model } of manifest.models) add(model.id)
  for (const { dataset } of manifest.datasets) add(dataset.id)
  for (const recipe of manifest.recipes) add(recipe.id)
  for (const { run } of manifest.runs) add(run.id)
  const visit = (value: unknown): unknown => {
    if (typeof value === 'string') return ids.get(value) ?? value
    if (Array.isArray(value)) return value.map(visit)
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, visit(entry)]))
  }
  return visit(manifest) as ArchiveManifest
}

function checkReferences(manifest: ArchiveManifest, objects: ReadonlyMap<string, Entry>, file: string): void {
  for (const owner of [...manifest.models, ...manifest.datasets, ...manifest.runs]) {
    for (const entry of owner.files) {
      const object = objects.get(entry.sha256)
      if (!object) throw invalid(file, `objects/${entry.sha256} (${entry.relativePath}) is missing`)
      if (object.uncompressedSize !== entry.bytes) {
        throw invalid(
          file,
          `${entry.relativePath}: ${object.uncompressedSize} bytes, expected ${entry.bytes}`,
        )
      }
    }
  }
  for (const { model, files } of manifest.models) {
    if (files.length === 0) throw invalid(file, `model "${model.name}" has no files`)
  }
}

async function extractObject(
  workspace: Workspace,
  zip: ZipFile,
  entry: Entry,
  sha256: string,
  file: string,
  signal?: AbortSignal,
): Promise<void> {
  const folder = path.join(workspace.layout.temporary, 'import')
  await mkdir(folder, { recursive: true })
  const target = path.join(folder, randomUUID())
  const hash = createHash('sha256')
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      hash.update(chunk)
      callback(null, chunk)
    },
  })
  try {
    await pipeline(await openEntry(zip, entry), hashing, createWriteStream(target, { flags: 'wx' }), {
      signal,
    })
    const actual = hash.digest('hex')
    if (actual !== sha256) throw invalid(file, `objects/${sha256} has SHA-256 ${actual}: damaged`)
    await workspace.objects.adopt(target, signal)
  } finally {
    await rm(target, { force: true })
  }
}

/**
 * Imports an archive as a new project.
 * @throws E_ARCHIVE_INVALID, E_ARCHIVE_UNSAFE, E_ARCHIVE_TOO_LARGE, E_FILE_READ, E_FILE_WRITE, E_CANCELLED
 */
export async function importProject(
  workspace: Workspace,
  file: string,
  ctx: WorkContext = {},
  limits: ArchiveLimits = archiveLimits,
): Promise<Project> {
  // yauzl would refuse names with backslashes or "..": they are read raw here, so that the refusal names the entry.
  const zip = await openZip(file, {
    lazyEntries: true,
    autoClose: false,
    strictFileNames: true,
    validateEntrySizes: true,
  }).catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR') {
      throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
    }
    throw invalid(file, reasonOf(error), error)
  })
  // Whoever waits for an entry hears of an error; one that comes in between must not end the process.
  zip.on('error', () => undefined)
  try {
    const listing = await listEntries(zip, file, limits)
    await checkFreeSpace(workspace, file, listing.totalBytes)
    const manifest = renumber(await readManifest(zip, listing.manifest, file))
    checkReferences(manifest, listing.objects, file)
    let done = 0
    for (const [sha256, entry] of listing.objects) {
      if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
      if (!(await workspace.objects.has(sha256))) {
        await extractObject(workspace, zip, entry, sha256, file, ctx.signal)
      }
      done += entry.uncompressedSize
      ctx.onProgress?.({ stage: 'import', done, total: listing.totalBytes })
    }
    await insertProject(workspace, manifest)
    workspace.announce({
      entity: 'project',
      action: 'added',
      id: manifest.project.id,
      projectId: manifest.project.id,
    })
    return workspace.projects.get(manifest.project.id)
  } catch (error) {
    if (error instanceof AppError) throw error
    if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
    const message = reasonOf(error)
    // yauzl refuses names that would leave the folder with these words.
    const unsafe = /^(?:invalid relative path|absolute path|invalid characters in fileName): (.*)$/.exec(
      message,
    )
    if (unsafe)
      throw new AppError('E_ARCHIVE_UNSAFE', { path: file, entry: unsafe[1] ?? '' }, { cause: error })
    throw invalid(file, message, error)
  } finally {
    zip.close()
  }
}

async function checkFreeSpace(workspace: Workspace, file: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(workspace.layout.root)
  const free = bavail * bsize
  if (needed > free) throw tooLarge(file, 'the content', formatBytes(needed), `${formatBytes(free)} (free)`)
}

async function insertProject(workspace: Workspace, manifest: ArchiveManifest): Promise<void> {
  const { layout } = workspace
  const kept = (files: readonly { relativePath: string; sha256: string; bytes: number }[]): KeptFile[] =>
    files.map((file) => ({ ...file, referencePath: null }))
  const folderOf = {
    model: (id: string) => path.join(layout.models, id),
    dataset: (id: string) => path.join(layout.datasets, id),
    run: (id: string) => path.join(layout.runs, id),
  }
  for (const { model, files } of manifest.models) {
    await materializeFiles(workspace.objects, kept(files), folderOf.model(model.id))
  }
  for (const { dataset, files } of manifest.datasets) {
    await materializeFiles(workspace.objects, kept(files), folderOf.dataset(dataset.id))
  }
  for (const { run, files } of manifest.runs) {
    await materializeFiles(workspace.objects, kept(files), folderOf.run(run.id))
  }
  workspace.transaction(() => {
    const projectId = manifest.project.id
    workspace.projects.create({ ...manifest.project, id: projectId })
    for (const { model, files } of parentsFirst(manifest.models)) {
      const main = mainFile(model.path, files)
      workspace.models.insert({
        ...model,
        projectId,
        storage: 'workspace',
        path: path.join(folderOf.model(model.id), ...main.split('/')),
      })
      workspace.files.insert(model.id, kept(files))
    }
    for (const { dataset, files } of manifest.datasets) {
      workspace.datasets.insert({
        ...dataset,
        projectId,
        storage: 'workspace',
        path: folderOf.dataset(dataset.id),
      })
      workspace.files.insert(dataset.id, kept(files))
    }
    for (const recipe of manifest.recipes) workspace.recipes.create({ ...recipe, projectId })
    for (const entry of manifest.runs) {
      const { id, jobId: _job, number: _number, createdAt, note, projectId: _project, ...row } = entry.run
      workspace.runs.insert({ ...entry, id, projectId, jobId: null, row, createdAt })
      if (note !== '') workspace.runs.setNote(id, note)
      workspace.files.insert(id, kept(entry.files))
    }
  })
}

/** The file of a model that is opened: the one with the name it had, else the first. */
function mainFile(modelPath: string, files: readonly { relativePath: string }[]): string {
  const name = modelPath.split(/[/\\]/).at(-1)
  return (files.find((file) => file.relativePath === name) ?? files[0])?.relativePath ?? ''
}

/** A model after the one it was made from, as the foreign key wants; unknown parents are dropped. */
function parentsFirst(models: ArchiveManifest['models']): ArchiveManifest['models'] {
  const known = new Set(models.map((entry) => entry.model.id))
  const placed = new Set<string>()
  const result: ArchiveManifest['models'] = []
  let waiting = models.map((entry) =>
    entry.model.parentId !== null && !known.has(entry.model.parentId)
      ? { ...entry, model: { ...entry.model, parentId: null } }
      : entry,
  )
  while (waiting.length > 0) {
    const ready = waiting.filter((entry) => entry.model.parentId === null || placed.has(entry.model.parentId))
    // A cycle can only come from a forged archive: break it.
    const next =
      ready.length > 0
        ? ready
        : waiting.map((entry) => ({ ...entry, model: { ...entry.model, parentId: null } }))
    for (const entry of next) placed.add(entry.model.id)
    result.push(...next)
    waiting = waiting.filter((entry) => !placed.has(entry.model.id))
  }
  return result
}
