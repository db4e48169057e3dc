// Benchmarks: scenarios, statistics, verdicts, comparison of two results.
export { aisBenchSummary, type AisBenchSummary } from './ais-bench.ts'
export { batchOf, benchmark, hashInputs, latencyRatio, type BenchmarkModel } from './benchmark.ts'
export { bootstrapRatio, type BootstrapOptions } from './bootstrap.ts'
export { incomparable } from './comparability.ts'
export { resolveScenario } from './scenario.ts'
export { samplesNeeded, summarizeLatencies } from './statistics.ts'
export { driftOf, judge } from './verdict.ts'
