// Reading calibrations back: the list, the header, tensors page by page, one tensor, the report as a file.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import {
  type CalibrationHeader,
  calibrationHeaderSchema,
  type CalibrationReport,
  calibrationReportSchema,
  type TensorReport,
} from '../../contract/calibration.ts'
import { AppError } from '../../contract/errors/index.ts'
import type {
  CalibrationRow,
  CalibrationSort,
  CalibrationTensorRow,
  ChannelOutput,
  ChannelRequest,
} from '../../contract/rpc/index.ts'
import { calibrateJobRequestSchema, type Job } from '../../contract/workspace.ts'
import { checkWritable, writeFileAtomic } from '../common/files.ts'
import { reasonOf } from '../common/hashing.ts'
import { nearestNames } from '../common/nearest.ts'
import { CALIBRATION_FILES } from '../jobs/calibrate-plan.ts'
import { renderCalibration } from '../report/index.ts'
import type { Workspace } from '../workspace/index.ts'
import { CALIBRATED_EVENT, type CalibrationRecord } from './calibrate-jobs.ts'
import { givenPath } from './paths.ts'

/** Reports held in memory: the one that a window shows, and the one before. */
const KEPT_REPORTS = 2

function isCalibration(job: Job): boolean {
  return job.kind === 'calibrate' && job.state === 'done'
}

function tensorRow(report: TensorReport): CalibrationTensorRow {
  const { tensor, layers, elements, min, max, chosen, channels, tail } = report
  const best = report.methods.find(({ method }) => method === report.best) ?? chosen
  return {
    tensor,
    layers: layers.map(({ name }) => name),
    elements,
    min,
    max,
    chosen,
    best: { method: report.best, sqnr_db: best.sqnr_db },
    outlierChannels: channels?.outlier_channels ?? null,
    stepRatio: report.step_ratio,
    growth: tail.growth,
    clipped: tail.clipped,
    growing: tail.growing,
  }
}

/** What a column is sorted by; null comes last in both directions. */
const SORT_KEYS: Record<CalibrationSort['by'], (row: CalibrationTensorRow) => number | string | null> = {
  order: () => 0,
  tensor: ({ tensor }) => tensor,
  sqnr: ({ chosen }) => chosen.sqnr_db,
  range: ({ min, max }) => max - min,
  growth: ({ growth }) => growth,
  clipped: ({ clipped }) => clipped,
  outliers: ({ outlierChannels }) => outlierChannels,
  steps: ({ stepRatio }) => stepRatio,
}

function sortRows(
  rows: readonly CalibrationTensorRow[],
  sort: CalibrationSort | undefined,
): CalibrationTensorRow[] {
  const { by, descending } = sort ?? { by: 'order', descending: false }
  const key = SORT_KEYS[by]
  const sorted = rows.toSorted((left, right) => {
    const [a, b] = [key(left), key(right)]
    if (a === null || b === null) return Number(a === null) - Number(b === null)
    const order = a < b ? -1 : a > b ? 1 : 0
    return descending ? -order : order
  })
  return by === 'order' && descending ? sorted.toReversed() : sorted
}

export class Calibrations {
  readonly #workspace: Workspace
  /** By the hash of the file: reports never change. */
  readonly #reports = new Map<string, CalibrationReport>()

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  list(projectId: string): CalibrationRow[] {
    this.#workspace.projects.get(projectId)
    return this.#workspace.jobs
      .list({ projectId, limit: -1 })
      .filter((job) => isCalibration(job) && this.#hash(job.id, CALIBRATION_FILES.header) !== undefined)
      .map((job) => this.#row(job))
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  get(id: string): { calibration: CalibrationRow; report: CalibrationHeader } {
    const header = this.#read(id, CALIBRATION_FILES.header)
    return {
      calibration: this.#row(this.#workspace.jobs.get(id)),
      report: calibrationHeaderSchema.parse(header),
    }
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  tensors(query: ChannelRequest<'calibrations.tensors'>): ChannelOutput<'calibrations.tensors'> {
    const text = query.text?.toLowerCase() ?? ''
    const matches = ({ tensor, layers, tail }: TensorReport): boolean =>
      (!query.growing || tail.growing) &&
      [tensor, ...layers.map(({ name }) => name)].some((name) => name.toLowerCase().includes(text))
    const rows = sortRows(this.report(query.id).tensors.filter(matches).map(tensorRow), query.sort)
    return { total: rows.length, tensors: rows.slice(query.offset, query.offset + query.limit) }
  }

  /** @param layer Where several layers read the tensor with different settings. @throws E_WORKSPACE_NOT_FOUND */
  tensor(id: string, name: string, layer?: string): TensorReport {
    const { tensors } = this.report(id)
    const named = tensors.filter(({ tensor }) => tensor === name)
    const found = named.find(({ layers }) => layers.some((entry) => entry.name === layer)) ?? named[0]
    if (found) return found
    const suggestions = nearestNames(
      tensors.map(({ tensor }) => tensor),
      name,
    )
    throw new AppError('E_CALIBRATION_TENSOR', { tensor: name, suggestions })
  }

  /** @throws E_WORKSPACE_NOT_FOUND */
  report(id: string): CalibrationReport {
    const hash = this.#hash(id, CALIBRATION_FILES.report) ?? ''
    const kept = this.#reports.get(hash)
    if (kept) return kept
    const report = calibrationReportSchema.parse(this.#read(id, CALIBRATION_FILES.report))
    this.#reports.set(hash, report)
    const [oldest = ''] = this.#reports.keys()
    if (this.#reports.size > KEPT_REPORTS) this.#reports.delete(oldest)
    return report
  }

  /** @throws E_WORKSPACE_NOT_FOUND, E_FILE_WRITE, E_REPORT_NO_BROWSER, E_REPORT_PRINT, E_CANCELLED */
  async export(
    input: ChannelRequest<'calibrations.export'>,
    signal: AbortSignal,
  ): Promise<ChannelOutput<'calibrations.export'>> {
    const target = input.path === undefined ? null : givenPath(input.path)
    if (target !== null) checkWritable(target)
    const { bytes, mediaType } = await renderCalibration(
      this.report(input.id),
      input.format,
      input.locale,
      signal,
    )
    if (target !== null) writeFileAtomic(target, bytes)
    return {
      path: target,
      fileName:
        target === null ? `calibration-${input.id.slice(0, 8)}.${input.format}` : path.basename(target),
      mediaType,
      base64: target === null ? bytes.toString('base64') : null,
    }
  }

  /** The job stays, as a job without a result. @throws E_WORKSPACE_NOT_FOUND */
  remove(id: string): void {
    const { projectId } = this.#job(id)
    this.#workspace.transaction(() => {
      this.#workspace.files.remove(id)
      this.#workspace.jobs.update(id, { dismissed: true })
    })
    this.#workspace.announce({ entity: 'calibration', action: 'removed', id, projectId })
  }

  #job(id: string): Job {
    const job = this.#workspace.jobs.get(id)
    if (isCalibration(job) && this.#hash(id, CALIBRATION_FILES.report) !== undefined) return job
    throw new AppError('E_WORKSPACE_NOT_FOUND', { entity: 'calibration', id })
  }

  #hash(id: string, key: string): string | undefined {
    return this.#workspace.files.list(id).find((file) => file.relativePath === `${key}.json`)?.sha256
  }

  #read(id: string, key: string): unknown {
    this.#job(id)
    const file = this.#workspace.objects.path(this.#hash(id, key) ?? '')
    try {
      return JSON.parse(readFileSync(file, 'utf8'))
    } catch (error) {
      throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
    }
  }

  #row(job: Job): CalibrationRow {
    const request = calibrateJobRequestSchema.parse(job.request)
    const record = this.#workspace.jobs.events(job.id).findLast((event) => event.kind === CALIBRATED_EVENT)
      ?.data as CalibrationRecord
    return {
      id: job.id,
      projectId: job.projectId,
      title: job.title,
      createdAt: job.finishedAt ?? job.createdAt,
      modelId: request.modelId,
      datasetId: request.datasetId,
      ...record,
    }
  }
}
