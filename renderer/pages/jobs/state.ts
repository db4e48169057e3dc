// What the state of a job or stage looks like. Pure.
import type { JobStage, JobState } from '../../../contract/workspace.ts'

export type StateTone = 'plain' | 'accent' | 'good' | 'warn' | 'bad'

export function jobTone(state: JobState): StateTone {
  const tones: Record<JobState, StateTone> = {
    queued: 'plain',
    running: 'accent',
    cancelling: 'warn',
    done: 'good',
    failed: 'bad',
    cancelled: 'plain',
    interrupted: 'warn',
  }
  return tones[state]
}

/** Milliseconds a stage took, or has taken so far; null before it began. */
export function stageMs(stage: Pick<JobStage, 'startedAt' | 'finishedAt'>, now: number): number | null {
  if (!stage.startedAt) return null
  const end = stage.finishedAt ? Date.parse(stage.finishedAt) : now
  return Math.max(0, end - Date.parse(stage.startedAt))
}

/** Progress of a stage as 0..1. */
export function stageFraction(stage: Pick<JobStage, 'state' | 'done' | 'total'>): number {
  if (stage.state === 'done' || stage.state === 'cached') return 1
  return stage.total > 0 ? Math.min(1, stage.done / stage.total) : 0
}
