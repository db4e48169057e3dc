// Writes a project to one portable .aqwproj file.
import { createHash } from 'node:crypto'
import { createReadStream, type ReadStream } from 'node:fs'
import { ZipFile } from 'yazl'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { AtomicFile } from '../common/files.ts'
import { reasonOf } from '../common/hashing.ts'
import { ARCHIVE_SCHEMA, MANIFEST_ENTRY, type ArchiveManifest } from './archive-format.ts'
import type { KeptFile } from './kept-files.ts'
import type { Workspace } from './workspace.ts'

/** Archives are the same bytes for the same content: entries carry no clock time. */
const ENTRY_TIME = new Date(2020, 0, 1)

const withoutReference = (files: readonly KeptFile[]) =>
  files.map(({ relativePath, sha256, bytes }) => ({ relativePath, sha256, bytes }))

function buildManifest(workspace: Workspace, projectId: string, appVersion: string): ArchiveManifest {
  return {
    schema: ARCHIVE_SCHEMA,
    appVersion,
    exportedAt: new Date().toISOString(),
    project: workspace.projects.get(projectId),
    models: workspace.models
      .list(projectId)
      .map((model) => ({ model, files: withoutReference(workspace.files.list(model.id)) })),
    datasets: workspace.datasets
      .list(projectId)
      .map((dataset) => ({ dataset, files: withoutReference(workspace.files.list(dataset.id)) })),
    recipes: workspace.recipes.list(projectId),
    runs: workspace.runIds(projectId).map((id) => ({
      run: workspace.runs.get(id),
      comparison: workspace.runs.comparison(id),
      figures: workspace.runs.figures(id),
      provenance: workspace.runs.provenance(id),
      artifacts: workspace.runs.artifacts(id),
      layers: workspace.runs.layers(id),
      files: withoutReference(workspace.files.list(id)),
    })),
  }
}

/** Every distinct file of the project: hash, size, where to read it. */
function collectObjects(
  workspace: Workspace,
  manifest: ArchiveManifest,
): Map<string, { path: string; bytes: number }> {
  const objects = new Map<string, { path: string; bytes: number }>()
  const owners = [
    ...manifest.models.map((entry) => entry.model.id),
    ...manifest.datasets.map((entry) => entry.dataset.id),
    ...manifest.runs.map((entry) => entry.run.id),
  ]
  for (const owner of owners) {
    for (const file of workspace.files.list(owner)) {
      const path = file.referencePath ?? workspace.objects.path(file.sha256)
      objects.set(file.sha256, { path, bytes: file.bytes })
    }
  }
  return objects
}

/**
 * Writes the archive atomically. Models used in place are put into it, so that it is complete.
 * @throws E_WORKSPACE_NOT_FOUND, E_WORKSPACE_FILE_CHANGED, E_FILE_READ, E_FILE_WRITE, E_CANCELLED
 */
export async function exportProject(
  workspace: Workspace,
  projectId: string,
  target: string,
  appVersion: string,
  ctx: WorkContext = {},
): Promise<{ path: string; bytes: number }> {
  const manifest = buildManifest(workspace, projectId, appVersion)
  const objects = collectObjects(workspace, manifest)
  const file = new AtomicFile(target)
  try {
    await writeZip(file, JSON.stringify(manifest), objects, ctx)
    const bytes = file.position
    file.commit()
    return { path: target, bytes }
  } catch (error) {
    file.discard()
    throw error
  }
}

type ArchiveObjects = ReadonlyMap<string, { path: string; bytes: number }>

/** Rejects on the first failure; the stream being read then is closed and no further one is opened. */
function writeZip(
  file: AtomicFile,
  manifest: string,
  objects: ArchiveObjects,
  ctx: WorkContext,
): Promise<void> {
  const total = [...objects.values()].reduce((sum, object) => sum + object.bytes, 0)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const zip = new ZipFile()
  let done = 0
  let failed = false
  let reading: ReadStream | undefined
  const fail = (error: unknown): void => {
    failed = true
    reading?.destroy()
    reject(error)
  }
  zip.on('error', fail)
  zip.outputStream.on('error', fail)
  zip.outputStream.on('end', () => resolve())
  zip.outputStream.on('data', (chunk: Buffer) => {
    if (failed) return
    try {
      if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
      file.write(chunk)
    } catch (error) {
      fail(error)
    }
  })
  zip.addBuffer(Buffer.from(manifest), MANIFEST_ENTRY, { mtime: ENTRY_TIME })
  for (const [sha256, object] of objects) {
    // Weights do not compress; the time is better spent elsewhere.
    const options = { mtime: ENTRY_TIME, size: object.bytes, compress: false }
    zip.addReadStreamLazy(`objects/${sha256}`, options, (callback) => {
      if (failed) return
      reading = createReadStream(object.path, { highWaterMark: 1 << 20 })
      checkContent(reading, object.path, sha256, fail, () => {
        done += object.bytes
        ctx.onProgress?.({ stage: 'export', done, total })
      })
      callback(null, reading)
    })
  }
  zip.end()
  return promise
}

/** Calls `fail` when the file cannot be read or is not the one that was kept. */
function checkContent(
  stream: ReadStream,
  file: string,
  sha256: string,
  fail: (error: AppError) => void,
  passed: () => void,
): void {
  const hash = createHash('sha256')
  stream.on('data', (chunk) => hash.update(chunk))
  stream.on('error', (error) => fail(new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) })))
  stream.on('end', () => {
    const actual = hash.digest('hex')
    if (actual === sha256) passed()
    else
      fail(
        new AppError('E_WORKSPACE_FILE_CHANGED', { path: file, actual, expected: sha256, entity: 'model' }),
      )
  })
}
