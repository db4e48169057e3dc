// VALID or INVALID, and why: whether a result may be quoted.
import {
  defaultScenario,
  describeVerdictReason,
  verdictTexts,
  type LatencySummary,
  type Scenario,
  type Verdict,
  type VerdictCode,
  type VerdictReason,
} from '../../contract/benchmark.ts'
import type { CostValidation } from '../../contract/cost.ts'
import { percentileOfSorted, sortedLatencies } from './statistics.ts'

export interface VerdictInput {
  scenario: Scenario
  execute: LatencySummary
  executeMs: ArrayLike<number>
  elapsedMs: number
  warmup: { runs: number; milliseconds: number }
  deterministic: boolean
  soc: string | null
  costValidation: CostValidation | null
}

/** Medians of the first and the last quarter may differ by this share. */
const DRIFT_LIMIT = 0.05
/** Below this many runs a quarter's median is itself too noisy to speak of drift. */
const DRIFT_MINIMUM_RUNS = 40
/** Standard deviation over mean above which the scatter is mentioned. */
const NOISE_LIMIT = 0.1

/** Relative change of the median from the first to the last quarter of the runs; 0 with too few runs. */
export function driftOf(samples: ArrayLike<number>): number {
  if (samples.length < DRIFT_MINIMUM_RUNS) return 0
  const quarter = Math.floor(samples.length / 4)
  const values = Array.from(samples)
  const median = (part: number[]) => percentileOfSorted(sortedLatencies(part), 0.5)
  const first = median(values.slice(0, quarter))
  const last = median(values.slice(-quarter))
  return first === 0 ? 0 : last / first - 1
}

function reason(code: VerdictCode, details: VerdictReason['details'] = {}): VerdictReason {
  return {
    code,
    severity: verdictTexts[code].severity,
    details,
    message: describeVerdictReason({ code, details }, 'en'),
  }
}

const percent = (share: number) => Number((share * 100).toFixed(1))

/** Reasons that concern clocks which scatter and drift: everything but a virtual clock. */
function measuredReasons(input: VerdictInput): VerdictReason[] {
  const { scenario, execute, warmup } = input
  const usual = defaultScenario('npu')
  const neededMs = Math.max(scenario.minDurationMs, usual.minDurationMs)
  const found: VerdictReason[] = []
  if (input.elapsedMs < neededMs) {
    found.push(reason('too-short', { milliseconds: Math.round(input.elapsedMs), needed: neededMs }))
  }
  if (warmup.runs === 0) {
    found.push(reason('no-warmup'))
  } else if (warmup.runs < usual.warmupRuns || warmup.milliseconds < usual.warmupMs) {
    const milliseconds = Math.round(warmup.milliseconds)
    const details = {
      runs: warmup.runs,
      milliseconds,
      neededRuns: usual.warmupRuns,
      neededMs: usual.warmupMs,
    }
    found.push(reason('short-warmup', details))
  }
  const drift = driftOf(input.executeMs)
  if (Math.abs(drift) > DRIFT_LIMIT)
    found.push(reason('drift', { percent: percent(drift), limit: percent(DRIFT_LIMIT) }))
  const scatter = execute.mean === 0 ? 0 : execute.stddev / execute.mean
  if (scatter > NOISE_LIMIT) found.push(reason('noisy', { percent: percent(scatter) }))
  return found
}

/**
 * Judges one result. The floors are those of the default scenario even when the caller asked for less: a short run is
 * allowed, calling it valid is not.
 */
export function judge(input: VerdictInput): Verdict {
  const reasons: VerdictReason[] = []
  if (input.deterministic) {
    reasons.push(reason('simulated'))
    if (input.costValidation?.status === 'not validated') {
      reasons.push(reason('cost-model-not-validated', { soc: input.soc ?? 'this SoC' }))
    }
  } else {
    const needed = Math.max(input.scenario.minRuns, defaultScenario('npu').minRuns)
    if (input.execute.count < needed)
      reasons.push(reason('too-few-runs', { runs: input.execute.count, needed }))
    reasons.push(...measuredReasons(input))
  }
  return { valid: !reasons.some((item) => item.severity === 'fail'), reasons }
}
