// What the engine process and a worker process say to each other. Both ends are ours, so types are enough.
import type { ErrorShape } from '../../contract/result.ts'
import type { LogLevel } from '../common/log.ts'
import type { PlanResult, StageFile, StageInput } from './plan.ts'

export type ToWorker =
  | {
      type: 'run'
      /** Module that exports `createPlan`, as a file URL. */
      planModule: string
      definition: unknown
      /** Folder for this attempt's temporary files. */
      folder: string
    }
  /** Answer to `lookup` and `store`: where the result's files are; null when there is no such result. */
  | { type: 'stage-result'; stage: string; result: StageInput | null; error?: ErrorShape }
  | { type: 'cancel' }

export type FromWorker =
  | { type: 'ready' }
  | { type: 'plan'; stages: { key: string; weight: number }[] }
  | { type: 'stage-started'; stage: string }
  | { type: 'lookup'; stage: string; key: string }
  | { type: 'progress'; stage: string; done: number; total: number; item: string | null }
  | { type: 'store'; stage: string; key: string; data: unknown; files: StageFile[] }
  | { type: 'log'; level: LogLevel; text: string }
  | { type: 'done'; result: PlanResult; keys: Record<string, string> }
  | { type: 'failed'; error: ErrorShape; stage: string | null }
