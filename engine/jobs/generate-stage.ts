// The stage that generates with every side of a comparison and judges the results. Samples that are finished wait in a folder
// of their own, so that a job that was killed goes on where it was.
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { QualityReport } from '../../contract/evaluation.ts'
import { hashData } from '../common/hashing.ts'
import {
  evaluateTask,
  type OpenedTask,
  readTask,
  type SideRequest,
  withoutSamples,
} from '../evaluation/tasks/index.ts'
import type { Stage, StageInput } from './plan.ts'
import { dataOf, plainFile } from './stage-files.ts'

/** Names of the stage's files, by which the window's pictures are found again. */
export const GENERATED = { stage: 'generate', report: 'quality-report', pictures: 'pictures' } as const

interface SideModel {
  label: string
  role: 'baseline' | 'candidate'
  path: string
}

export interface GenerateOptions {
  task: { path: string; count?: number | undefined; seed: number }
  device: string
  partialFolder: string
  after: readonly string[]
  source(results: ReadonlyMap<string, StageInput>): string
  sides(results: ReadonlyMap<string, StageInput>): readonly SideModel[]
}

/** What a task and its files are known by: hashing gigabytes is the worker's work, not that of finding a result again. */
function fingerprint({ task, files, path: file }: OpenedTask): string {
  const facts = files.map((name) => {
    const { size, mtimeMs } = statSync(name)
    return [path.relative(path.dirname(file), name), size, mtimeMs]
  })
  return hashData({ task, facts })
}

/** All pictures in one file, and where each begins: `side/00000.png` -> [start, length]. */
export interface PictureIndex {
  [file: string]: [number, number]
}

/** Packs the pictures of a report; the index stands in the stage's data. */
function packPictures(report: QualityReport, folder: string, target: string): PictureIndex {
  const index: PictureIndex = {}
  // One after the other: thousands of pictures of 512 pixels are gigabytes.
  const descriptor = openSync(target, 'w')
  try {
    let start = 0
    for (const { file } of report.sides.flatMap((side) => side.samples)) {
      if (file === null || !existsSync(path.join(folder, file))) continue
      const bytes = readFileSync(path.join(folder, file))
      writeFileSync(descriptor, bytes)
      index[file] = [start, bytes.length]
      start += bytes.length
    }
  } finally {
    closeSync(descriptor)
  }
  return index
}

interface GenerateData {
  report: QualityReport
  pictures: PictureIndex
}

export function generateStage(options: GenerateOptions): Stage {
  const { task, device, partialFolder, after } = options
  const opened = readTask(task.path)
  const inputs = { task: fingerprint(opened), count: task.count, seed: task.seed, device }
  return {
    key: GENERATED.stage,
    version: 1,
    weight: 60,
    after,
    inputs,
    run: async (context) => {
      const source = options.source(context.results)
      const others = options.sides(context.results).filter((side) => side.path !== source)
      const sides: SideRequest[] = [
        { label: 'FP32', role: 'reference', modelPath: source, device: 'cpu' },
        ...others.map(({ label, role, path: modelPath }) => ({ label, role, modelPath, device })),
      ]
      const partial = path.join(partialFolder, hashData({ inputs, models: others.map((side) => side.label) }))
      const request = { task: opened, sides, seed: task.seed, count: task.count, outputFolder: partial }
      const report = await evaluateTask({ ...request, resume: 'if_same' }, context)
      const pack = path.join(context.folder, 'pictures.pack')
      const pictures = packPictures(report, partial, pack)
      const full = path.join(context.folder, 'quality.json')
      writeFileSync(full, JSON.stringify({ report, pictures }))
      rmSync(partial, { recursive: true, force: true })
      const data = { report: withoutSamples(report) }
      return { data, files: [plainFile(GENERATED.report, full), plainFile(GENERATED.pictures, pack)] }
    },
  }
}

/** The report a comparison carries; null when there was no task. */
export function generatedReport(results: ReadonlyMap<string, StageInput>): QualityReport | null {
  return results.has(GENERATED.stage)
    ? dataOf<Pick<GenerateData, 'report'>>(results, GENERATED.stage).report
    : null
}

/** What the stage's report file holds. */
export type StoredGeneration = GenerateData
