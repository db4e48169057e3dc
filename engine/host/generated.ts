// Reading back what a run generated: the report with its samples, and single pictures out of the pack.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { QualityReport } from '../../contract/evaluation.ts'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../common/hashing.ts'
import type { StoredGeneration } from '../jobs/generate-stage.ts'
import type { Workspace } from '../workspace/index.ts'

/** Artifact kinds of the generate stage: stage name and file name. */
const REPORT_FILE = 'quality.json'
const PICTURES_FILE = 'pictures.pack'
/** Reports held in memory: the one that a window shows, and the one before. */
const KEPT = 2

interface Opened {
  stored: StoredGeneration
  pictures: string | null
}

export class GeneratedResults {
  readonly #workspace: Workspace
  readonly #opened = new Map<string, Opened>()

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  async #open(runId: string): Promise<Opened | null> {
    const known = this.#opened.get(runId)
    if (known) return known
    const artifacts = (await this.#workspace.artifacts(runId)).filter(({ kind }) => kind === 'generate')
    const file = artifacts.find(({ name }) => name.endsWith(REPORT_FILE))
    if (!file) return null
    const pictures = artifacts.find(({ name }) => name.endsWith(PICTURES_FILE))?.path ?? null
    const opened = { stored: readStored(file.path), pictures }
    this.#opened.set(runId, opened)
    for (const oldest of [...this.#opened.keys()].slice(0, -KEPT)) this.#opened.delete(oldest)
    return opened
  }

  async report(runId: string): Promise<QualityReport | null> {
    this.#workspace.runs.get(runId)
    return (await this.#open(runId))?.stored.report ?? null
  }

  /** A picture as a data URL. @throws E_GENERATED_MISSING */
  async picture(runId: string, label: string, sampleId: string): Promise<string> {
    const opened = await this.#open(runId)
    const side = opened?.stored.report.sides.find((found) => found.label === label)
    const file = side?.samples.find(({ id }) => id === sampleId)?.file
    const place = file === null || file === undefined ? undefined : opened?.stored.pictures[file]
    if (!opened?.pictures || !place)
      throw new AppError('E_GENERATED_MISSING', { run: runId, side: label, sample: sampleId })
    return `data:image/png;base64,${readPart(opened.pictures, place).toString('base64')}`
  }
}

function readStored(file: string): StoredGeneration {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredGeneration
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

function readPart(file: string, [start, length]: [number, number]): Buffer {
  const bytes = Buffer.alloc(length)
  const descriptor = openSync(file, 'r')
  try {
    readSync(descriptor, bytes, 0, length, start)
    return bytes
  } finally {
    closeSync(descriptor)
  }
}
