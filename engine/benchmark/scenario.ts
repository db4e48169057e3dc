// Filling and checking benchmark settings.
import {
  defaultScenario,
  scenarioSchema,
  type Scenario,
  type ScenarioInput,
} from '../../contract/benchmark.ts'
import type { DeviceKind, StopRule } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'

/** Settings with the defaults of the device's kind. @throws E_BENCHMARK_SCENARIO naming the first wrong one */
export function resolveScenario(input: ScenarioInput, kind: DeviceKind): Scenario {
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
  const parsed = scenarioSchema.safeParse({ ...defaultScenario(kind), ...given })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const name = String(issue?.path[0] ?? 'scenario')
  throw new AppError('E_BENCHMARK_SCENARIO', {
    name,
    value: String((given as Record<string, unknown>)[name]),
    reason: issue?.message ?? 'not valid',
    expected: name.endsWith('Ms') ? 'milliseconds, zero or more' : 'a whole number in range',
  })
}

/** A given loop count is exact; otherwise both minimums must be met. */
export function stopRuleOf(scenario: Scenario): StopRule {
  if (scenario.loopCount !== undefined) return { kind: 'exact', runs: scenario.loopCount }
  return { kind: 'minimum', runs: scenario.minRuns, milliseconds: scenario.minDurationMs }
}
