// The job queue and the stages it runs.
export { EtaEstimator, JobProgress } from './eta.ts'
export { JobLog } from './job-log.ts'
export type {
  CreatePlan,
  Plan,
  PlanResult,
  Stage,
  StageContext,
  StageFile,
  StageInput,
  StageOutput,
} from './plan.ts'
export { JobQueue, type JobKind, type JobState } from './queue.ts'
export { storedFile } from './result-store.ts'
export { runPlan, stageKey, type PlanHost } from './run-plan.ts'
