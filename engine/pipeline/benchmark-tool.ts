// What `benchmark_tool` does: one .om (or .onnx), the device it is meant for, and a report that scripts can read.
import path from 'node:path'
import type { BenchmarkResult, LatencySummary } from '../../contract/benchmark.ts'
import { AppError } from '../../contract/errors/index.ts'
import { aisBenchSummary } from '../benchmark/index.ts'
import { inspectOm } from '../compile/index.ts'

/**
 * The device for a model file: the simulated SoC that a simulated .om names, the NPU of that number for a real .om, the
 * host CPU for an .onnx.
 * @throws E_DEVICE_UNKNOWN for a number that the simulated device does not have, E_OM_INVALID
 */
export function deviceForModel(modelPath: string, deviceId: number): string {
  if (modelPath.toLowerCase().endsWith('.onnx')) return 'cpu'
  const summary = inspectOm(modelPath)
  if (!summary.simulated || summary.soc === null) return `npu:${deviceId}`
  const count = Number(process.env['ASCENDSIM_DEVICES'] ?? 1)
  if (deviceId < count) return `sim:${summary.soc}`
  const available = Array.from({ length: count }, (_, index) => String(index))
  throw new AppError('E_DEVICE_UNKNOWN', {
    device: `device_id ${deviceId}`,
    nearest: available.slice(-1),
    available,
  })
}

function latency(summary: LatencySummary): Record<string, unknown> {
  const { mean, min, max, stddev, p50, p90, p95, p99, p999, count, needed } = summary
  return { mean, min, max, stddev, p50, p90, p95, p99, p999, count, needed }
}

/** The JSON of `--output_json`: our figures, then the keys of ais_bench's summary. Documented in docs/cli.md. */
export function benchmarkToolReport(
  result: BenchmarkResult,
  given: { modelPath: string; deviceId: number },
): Record<string, unknown> {
  const { device, latencyMs, memory, scenario } = result
  return {
    schema: 'aqw.benchmark_tool/1',
    model_path: given.modelPath,
    model_name: path.basename(given.modelPath),
    device: {
      id: device.id,
      kind: device.kind,
      name: device.name,
      soc: device.soc,
      device_id: given.deviceId,
    },
    label: result.clock === 'simulated device clock' ? 'simulated' : 'measured',
    clock: result.clock,
    runtime: device.runtime,
    cann_version: device.cannVersion,
    driver_version: device.driverVersion,
    loop_count: result.runs,
    loop_count_requested: scenario.loopCount ?? null,
    warmup: { runs: result.warmup.runs, milliseconds: result.warmup.milliseconds },
    batch: result.batch,
    inputs: result.model.inputs,
    latency_ms: latency(latencyMs.execute),
    h2d_ms: latencyMs.h2d && latency(latencyMs.h2d),
    d2h_ms: latencyMs.d2h && latency(latencyMs.d2h),
    end_to_end_ms: latency(latencyMs.endToEnd),
    wall_ms: latency(latencyMs.executeWall),
    qps: result.qps.execute,
    end_to_end_qps: result.qps.endToEnd,
    model_size_bytes: result.model.bytes,
    load_ms: result.model.loadMs,
    memory: {
      device_bytes: memory.deviceBytes,
      work_bytes: memory.workBytes,
      weight_bytes: memory.weightBytes,
      host_peak_bytes: memory.hostPeakBytes,
    },
    cost_model: result.costValidation,
    verdict: result.verdict,
    started_at: result.startedAt,
    ...aisBenchSummary(result),
  }
}
