// The workspace: one folder with a database and the files it knows by content. One process may have it open.
import { mkdirSync } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { Artifact, DatasetRow, ModelRow, Project, RunRow } from '../../contract/workspace.ts'
import { reasonOf } from '../common/hashing.ts'
import { openDatabase, type Connection } from './database.ts'
import { Datasets } from './datasets.ts'
import { Jobs } from './jobs.ts'
import {
  groupHash,
  KeptFiles,
  materializeFiles,
  referenceFiles,
  storeFiles,
  verifyReferences,
  type FileSource,
  type KeptFile,
} from './kept-files.ts'
import { workspaceLayout, type WorkspaceLayout } from './location.ts'
import { lockWorkspace, type WorkspaceLock } from './lock.ts'
import { Models, type ModelFacts } from './models.ts'
import { ObjectStore } from './objects.ts'
import { Projects } from './projects.ts'
import { Ratings } from './ratings.ts'
import { Recipes } from './recipes.ts'
import { newId, now, type LibraryChange } from './rows.ts'
import { Runs, type NewRun } from './runs.ts'
import { SettingsStore } from './settings.ts'
import { StageResults } from './stage-results.ts'

/** Stage results not used for this long are forgotten at start. */
const STAGE_RESULT_DAYS = 60

export interface NewModel {
  projectId: string
  name: string
  format: ModelRow['format']
  sourcePath: string
  /** The model file first, then its external data; names relative to the model's folder. */
  files: readonly FileSource[]
  facts: ModelFacts
  role?: ModelRow['role']
  parentId?: string | null
  runId?: string | null
}

export interface NewDataset {
  projectId: string
  name: string
  sourcePath: string
  files: readonly FileSource[]
  samples: number
  layout: DatasetRow['layout']
  inputs: string[]
}

export class Workspace {
  readonly layout: WorkspaceLayout
  readonly projects: Projects
  readonly models: Models
  readonly datasets: Datasets
  readonly recipes: Recipes
  readonly jobs: Jobs
  readonly runs: Runs
  readonly ratings: Ratings
  readonly settings: SettingsStore
  readonly files: KeptFiles
  readonly stageResults: StageResults
  readonly objects: ObjectStore
  readonly #db: Connection
  readonly #lock: WorkspaceLock
  readonly #listeners = new Set<(change: LibraryChange) => void>()

  /**
   * Opens or creates the workspace.
   * @throws E_WORKSPACE_LOCKED, E_WORKSPACE_NEWER, E_WORKSPACE_MIGRATION, E_WORKSPACE_DATABASE, E_FILE_WRITE
   */
  constructor(root: string) {
    const layout = workspaceLayout(path.resolve(root))
    this.layout = layout
    try {
      for (const folder of [layout.root, layout.objects, layout.temporary, layout.logs]) {
        mkdirSync(folder, { recursive: true })
      }
    } catch (error) {
      throw new AppError('E_FILE_WRITE', { path: layout.root, reason: reasonOf(error) }, { cause: error })
    }
    this.#lock = lockWorkspace(layout)
    try {
      this.#db = openDatabase(layout)
    } catch (error) {
      this.#lock.release()
      throw error
    }
    const paths = {
      absolute: (stored: string) => path.resolve(layout.root, stored),
      relative: (file: string) => this.#toStored(file),
    }
    this.objects = new ObjectStore(layout.objects)
    this.files = new KeptFiles(this.#db)
    this.projects = new Projects(this.#db)
    this.models = new Models(this.#db, paths)
    this.datasets = new Datasets(this.#db, paths)
    this.recipes = new Recipes(this.#db)
    this.jobs = new Jobs(this.#db)
    this.runs = new Runs(this.#db)
    this.ratings = new Ratings(this.#db)
    this.settings = new SettingsStore(this.#db)
    this.stageResults = new StageResults(this.#db, this.files)
  }

  /** Several changes that take effect together. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work)()
  }

  /** Calls back after every change of the library; returns the function that stops it. */
  onChange(listener: (change: LibraryChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  announce(change: LibraryChange): void {
    for (const listener of this.#listeners) listener(change)
  }

  /**
   * Keeps a model: copied into the workspace, or used in place when it is larger than the setting
   * `referenceModelBytes` (then guarded by its hash). The same content twice in a project gives the same row.
   * @throws E_FILE_READ, E_FILE_WRITE, E_CANCELLED
   */
  async addModel(input: NewModel, signal?: AbortSignal): Promise<ModelRow> {
    this.projects.get(input.projectId)
    const [main] = input.files
    if (!main) throw new Error('addModel: no files')
    const bytes = await totalBytes(input.files)
    const inPlace = bytes > this.settings.get().referenceModelBytes
    const files = inPlace
      ? await referenceFiles(input.files, signal)
      : await storeFiles(this.objects, input.files, signal)
    const sha256 = groupHash(files)
    const present = this.models.findByContent(input.projectId, sha256)
    if (present && !present.missing) return present
    const id = newId()
    const folder = path.join(this.layout.models, id)
    if (!inPlace) await materializeFiles(this.objects, files, folder)
    this.transaction(() => {
      this.files.insert(id, files)
      this.models.insert({
        id,
        projectId: input.projectId,
        name: input.name,
        format: input.format,
        sourcePath: path.resolve(input.sourcePath),
        path: inPlace ? path.resolve(main.path) : path.join(folder, ...main.relativePath.split('/')),
        storage: inPlace ? 'reference' : 'workspace',
        sha256,
        bytes,
        createdAt: now(),
        role: input.role ?? 'original',
        parentId: input.parentId ?? null,
        runId: input.runId ?? null,
        ...input.facts,
      })
      this.projects.touch(input.projectId)
    })
    this.announce({ entity: 'model', action: 'added', id, projectId: input.projectId })
    return this.models.get(id)
  }

  /** Keeps a dataset: always copied, because calibration data is small and is the first thing to get lost. */
  async addDataset(input: NewDataset, signal?: AbortSignal): Promise<DatasetRow> {
    this.projects.get(input.projectId)
    const files = await storeFiles(this.objects, input.files, signal)
    const id = newId()
    const folder = path.join(this.layout.datasets, id)
    await materializeFiles(this.objects, files, folder)
    this.transaction(() => {
      this.files.insert(id, files)
      this.datasets.insert({
        id,
        projectId: input.projectId,
        name: input.name,
        sourcePath: path.resolve(input.sourcePath),
        path: folder,
        storage: 'workspace',
        sha256: groupHash(files),
        bytes: files.reduce((sum, file) => sum + file.bytes, 0),
        files: files.length,
        samples: input.samples,
        layout: input.layout,
        inputs: input.inputs,
        createdAt: now(),
      })
      this.projects.touch(input.projectId)
    })
    this.announce({ entity: 'dataset', action: 'added', id, projectId: input.projectId })
    return this.datasets.get(id)
  }

  /** @throws E_WORKSPACE_NOT_FOUND, E_WORKSPACE_IN_USE */
  async removeModel(id: string): Promise<ModelRow> {
    const model = this.models.get(id)
    this.#refuseWhileUsed('model', model.name, model.projectId, id)
    this.transaction(() => {
      this.models.delete(id)
      this.files.remove(id)
    })
    await this.#removeFolder(path.join(this.layout.models, id))
    this.announce({ entity: 'model', action: 'removed', id, projectId: model.projectId })
    return model
  }

  /** @throws E_WORKSPACE_NOT_FOUND, E_WORKSPACE_IN_USE */
  async removeDataset(id: string): Promise<DatasetRow> {
    const dataset = this.datasets.get(id)
    this.#refuseWhileUsed('dataset', dataset.name, dataset.projectId, id)
    this.transaction(() => {
      this.datasets.delete(id)
      this.files.remove(id)
    })
    await this.#removeFolder(path.join(this.layout.datasets, id))
    this.announce({ entity: 'dataset', action: 'removed', id, projectId: dataset.projectId })
    return dataset
  }

  /** @throws E_WORKSPACE_NOT_FOUND, E_WORKSPACE_IN_USE */
  async deleteProject(id: string): Promise<Project> {
    const project = this.projects.get(id)
    this.#refuseWhileUsed('project', project.name, id, id)
    const models = this.models.list(id)
    const datasets = this.datasets.list(id)
    const runs = this.runIds(id)
    // Calibrations keep their reports under the id of their job.
    const jobs = this.jobs.list({ projectId: id, limit: -1 })
    this.transaction(() => {
      for (const owner of [...models, ...datasets, ...jobs]) this.files.remove(owner.id)
      for (const run of runs) this.files.remove(run)
      this.projects.delete(id)
    })
    for (const model of models) await this.#removeFolder(path.join(this.layout.models, model.id))
    for (const dataset of datasets) await this.#removeFolder(path.join(this.layout.datasets, dataset.id))
    for (const run of runs) await this.#removeFolder(path.join(this.layout.runs, run))
    this.announce({ entity: 'project', action: 'removed', id, projectId: id })
    return project
  }

  /** Stores a finished run; the files of its artifacts are already in the object store. */
  async addRun(
    run: NewRun & { files: readonly KeptFile[]; alongside?: (runId: string) => void },
  ): Promise<RunRow> {
    const id = run.id ?? newId()
    await materializeFiles(this.objects, run.files, path.join(this.layout.runs, id))
    const row = this.transaction(() => {
      const inserted = this.runs.insert({ ...run, id })
      this.files.insert(id, run.files)
      this.projects.touch(run.projectId)
      run.alongside?.(id)
      return inserted
    })
    this.announce({ entity: 'run', action: 'added', id, projectId: run.projectId })
    return row
  }

  /** Artifacts of a run with the paths under which they can be opened. */
  async artifacts(runId: string): Promise<Artifact[]> {
    const found: Artifact[] = []
    for (const artifact of this.runs.artifacts(runId)) {
      const file = path.join(this.layout.runs, runId, ...artifact.name.split('/'))
      const present = await stat(file).catch(() => undefined)
      found.push({ ...artifact, path: file, missing: !present?.isFile() })
    }
    return found
  }

  /** Checks that a model used in place is still what was added. @throws E_WORKSPACE_FILE_CHANGED, E_FILE_READ */
  async verifyModel(id: string, signal?: AbortSignal): Promise<void> {
    await verifyReferences(this.files.list(id), 'model', signal)
  }

  /** Ids of all runs of a project, oldest first. */
  runIds(projectId: string): string[] {
    return this.#db
      .prepare<[string], { id: string }>('SELECT id FROM runs WHERE project_id = ? ORDER BY number')
      .all(projectId)
      .map((row) => row.id)
  }

  /**
   * Housekeeping at start, before anything else runs: left-over temporary files, old stage results, objects and
   * folders that no row names any more (a kill between writing files and committing their row leaves such).
   */
  async tidy(): Promise<void> {
    await rm(this.layout.temporary, { recursive: true, force: true })
    await mkdir(this.layout.temporary, { recursive: true })
    const limit = new Date(Date.now() - STAGE_RESULT_DAYS * 86_400_000).toISOString()
    this.stageResults.expire(limit)
    await this.#removeOldPartials(limit)
    await this.#removeUnknown(this.layout.models, 'models')
    await this.#removeUnknown(this.layout.datasets, 'datasets')
    await this.#removeUnknown(this.layout.runs, 'runs')
    await this.objects.collect((sha256) => this.files.isUsed(sha256))
  }

  close(): void {
    this.#listeners.clear()
    this.#db.close()
    this.#lock.release()
  }

  #toStored(file: string): string {
    const relative = path.relative(this.layout.root, file)
    return relative.startsWith('..') || path.isAbsolute(relative) ? file : relative
  }

  #refuseWhileUsed(entity: string, name: string, projectId: string, id: string): void {
    const active = this.jobs.inStates(['queued', 'running', 'cancelling'])
    const user = active.find(
      (job) => job.projectId === projectId && (id === projectId || Object.values(job.request).includes(id)),
    )
    if (user) throw new AppError('E_WORKSPACE_IN_USE', { entity, name, jobId: user.id })
  }

  async #removeUnknown(folder: string, table: 'models' | 'datasets' | 'runs'): Promise<void> {
    const known = this.#db.prepare<[string]>(`SELECT 1 FROM ${table} WHERE id = ?`)
    for (const name of await readdir(folder).catch(() => [])) {
      if (known.get(name) === undefined) await this.#removeFolder(path.join(folder, name))
    }
  }

  /** Work that nobody came back to. */
  async #removeOldPartials(limit: string): Promise<void> {
    for (const name of await readdir(this.layout.partial).catch(() => [])) {
      const folder = path.join(this.layout.partial, name)
      const facts = await stat(folder).catch(() => null)
      if (facts && facts.mtime.toISOString() < limit) await this.#removeFolder(folder)
    }
  }

  async #removeFolder(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true })
  }
}

async function totalBytes(files: readonly FileSource[]): Promise<number> {
  let bytes = 0
  for (const file of files) {
    const facts = await stat(file.path).catch((error: unknown) => {
      throw new AppError('E_FILE_READ', { path: file.path, reason: reasonOf(error) }, { cause: error })
    })
    bytes += facts.size
  }
  return bytes
}
