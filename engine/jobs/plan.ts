// A pipeline as stages. A stage names everything that goes into it, so that its result can be found again by hash.
import type { Progress } from '../../contract/work.ts'
import type { LogLevel } from '../common/log.ts'

/** A file made by a stage. It moves into the workspace; later stages read it there. */
export interface StageFile {
  /** Key by which later stages ask for it, such as `deploy.onnx`. */
  key: string
  /** File name it keeps, which must be unique within the stage. May hold folders, with forward slashes. */
  name: string
  path: string
}

export interface StageOutput {
  /** Plain data (JSON). Anything that names a file names it by its key, never by its path. */
  data: unknown
  files: StageFile[]
}

/** What an earlier stage left: its data, and where its files are now. */
export interface StageInput {
  data: unknown
  /** By key. */
  files: Record<string, string>
}

export interface StageContext {
  signal: AbortSignal
  onProgress(progress: Progress): void
  log(level: LogLevel, text: string): void
  /** Empty folder of this stage; gone when the stage has ended. */
  folder: string
  /** Results of the stages before this one, by key. */
  results: ReadonlyMap<string, StageInput>
}

export interface Stage {
  /** Stable key such as `quantize`. */
  key: string
  /** Raised when the stage's work changes, so that older results are not taken for new ones. */
  version: number
  /** Expected share of the whole time, any unit. */
  weight: number
  /** Keys of the stages whose results it reads. */
  after: readonly string[]
  /** Everything else that decides the result: content hashes and settings, never paths or times. */
  inputs: unknown
  run(context: StageContext): Promise<StageOutput>
}

/** What a whole job produced, ready to be stored as a run. */
export interface PlanResult {
  /** Plain data handed to whoever stores the run. */
  outcome: unknown
  artifacts: { stage: string; key: string; kind: string }[]
}

export interface Plan {
  stages: readonly Stage[]
  /** Puts the stages' results together; quick. */
  finish(results: ReadonlyMap<string, StageInput>): Promise<PlanResult> | PlanResult
}

/** A module that the worker process loads: `export const createPlan: CreatePlan`. */
export type CreatePlan = (definition: unknown) => Promise<Plan> | Plan
