// Options of a benchmark scenario.
import { Option, type Command } from 'commander'
import type { ScenarioInput } from '../../contract/benchmark.ts'
import { parseInteger } from './arguments.ts'

export interface ScenarioOptions {
  loopCount?: string
  runs?: string
  duration?: string
  warmup?: string
}

export function addScenarioOptions(command: Command): void {
  command
    .addOption(
      new Option(
        '--loop-count <n>',
        'exactly n runs (default: until --runs and --duration are both met)',
      ).conflicts(['runs', 'duration']),
    )
    .option('--runs <n>', 'at least n runs (default: 100)')
    .option('--duration <ms>', 'at least this long (default: 3000; 0 on a simulated device)')
    .option('--warmup <n>', 'at least n runs before measuring (default: 20; 2 on a simulated device)')
}

/** @throws E_ARGUMENT */
export function scenarioOf(options: ScenarioOptions): ScenarioInput {
  const { loopCount, runs, duration, warmup } = options
  return {
    ...(loopCount === undefined ? {} : { loopCount: parseInteger('--loop-count', loopCount, 1, 10_000_000) }),
    ...(runs === undefined ? {} : { minRuns: parseInteger('--runs', runs, 1, 10_000_000) }),
    ...(duration === undefined ? {} : { minDurationMs: parseInteger('--duration', duration, 0, 86_400_000) }),
    ...(warmup === undefined ? {} : { warmupRuns: parseInteger('--warmup', warmup, 0, 1_000_000) }),
  }
}
