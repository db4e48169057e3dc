// The JSON keys of ais_bench's `<name>_summary.json`, so that scripts that read it go on working.
import type { BenchmarkResult } from '../../contract/benchmark.ts'
import { mean, percentileOfSorted, sortedLatencies } from './statistics.ts'

interface AisBenchLatency {
  min: number
  max: number
  mean: number
  median: number
  'percentile(99%)': number
  count: number
}

export interface AisBenchSummary {
  NPU_compute_time: AisBenchLatency
  H2D_latency: AisBenchLatency
  D2H_latency: AisBenchLatency
  /** 1000 x batch / mean compute time. */
  throughput: number
  npu_compute_time_list: number[]
}

/** ais_bench prints its percentile from any number of samples; so does this, for its readers only. */
function latency(samples: number[]): AisBenchLatency {
  if (samples.length === 0) return { min: 0, max: 0, mean: 0, median: 0, 'percentile(99%)': 0, count: 0 }
  const sorted = sortedLatencies(samples)
  return {
    min: sorted[0] as number,
    max: sorted[sorted.length - 1] as number,
    mean: mean(sorted),
    median: percentileOfSorted(sorted, 0.5),
    'percentile(99%)': percentileOfSorted(sorted, 0.99),
    count: sorted.length,
  }
}

/** Values in milliseconds. Compute time is the result's headline clock; ais_bench itself times with the wall clock. */
export function aisBenchSummary(result: BenchmarkResult): AisBenchSummary {
  return {
    NPU_compute_time: latency(result.samples.executeMs),
    H2D_latency: latency(result.samples.h2dMs),
    D2H_latency: latency(result.samples.d2hMs),
    throughput: result.qps.execute,
    npu_compute_time_list: result.samples.executeMs,
  }
}
