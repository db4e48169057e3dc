// Runs the stages of a plan in order: takes a stored result where the inputs' hash is known, else does the work.
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { hashData } from '../common/hashing.ts'
import type { LogLevel } from '../common/log.ts'
import type { Plan, PlanResult, Stage, StageFile, StageInput } from './plan.ts'

/** Where results are kept and progress goes: the engine process, or a test. */
export interface PlanHost {
  lookup(stage: string, key: string): Promise<StageInput | null>
  store(stage: string, key: string, data: unknown, files: StageFile[]): Promise<StageInput>
  stageStarted(stage: string): void
  progress(stage: string, done: number, total: number, item: string | null): void
  log(level: LogLevel, text: string): void
}

/** Reports of one stage are passed on at most this often. */
const PROGRESS_INTERVAL_MS = 100

/**
 * Key of a stage's result: its own inputs and the keys of the stages it reads, so that a change early in the
 * pipeline changes every key after it.
 */
export function stageKey(stage: Stage, keys: ReadonlyMap<string, string>): string {
  const after = stage.after.map((name) => {
    const key = keys.get(name)
    if (key === undefined) throw new Error(`stage ${stage.key} reads ${name}, which does not come before it`)
    return [name, key]
  })
  return hashData({ stage: stage.key, version: stage.version, inputs: stage.inputs, after })
}

/**
 * @param folder for temporary files; emptied per stage
 * @throws what a stage throws; E_CANCELLED when `signal` aborts
 */
export async function runPlan(
  plan: Plan,
  host: PlanHost,
  folder: string,
  signal: AbortSignal,
): Promise<{ result: PlanResult; keys: Record<string, string> }> {
  const keys = new Map<string, string>()
  const results = new Map<string, StageInput>()
  for (const stage of plan.stages) {
    if (signal.aborted) throw new AppError('E_CANCELLED')
    const key = stageKey(stage, keys)
    keys.set(stage.key, key)
    const present = await host.lookup(stage.key, key)
    if (present) {
      host.log('info', `${stage.key}: taken from an earlier run (${key.slice(0, 12)})`)
      results.set(stage.key, present)
      continue
    }
    host.stageStarted(stage.key)
    results.set(stage.key, await runStage(stage, key, results, host, path.join(folder, stage.key), signal))
  }
  return { result: await plan.finish(results), keys: Object.fromEntries(keys) }
}

async function runStage(
  stage: Stage,
  key: string,
  results: ReadonlyMap<string, StageInput>,
  host: PlanHost,
  folder: string,
  signal: AbortSignal,
): Promise<StageInput> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const begun = performance.now()
  let reported = 0
  try {
    const output = await stage.run({
      signal,
      folder,
      results,
      log: (level, text) => host.log(level, text),
      onProgress(progress) {
        const at = performance.now()
        if (progress.done < progress.total && at - reported < PROGRESS_INTERVAL_MS) return
        reported = at
        host.progress(stage.key, progress.done, progress.total, progress.item ?? null)
      },
    })
    if (signal.aborted) throw new AppError('E_CANCELLED')
    const stored = await host.store(stage.key, key, output.data, output.files)
    const seconds = ((performance.now() - begun) / 1000).toFixed(2)
    host.log('info', `${stage.key}: done in ${seconds} s`)
    return stored
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
