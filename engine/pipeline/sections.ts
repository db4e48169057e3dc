// Turns benchmark results of one device into a section of a comparison: sides, deltas, comparability.
import type { BenchmarkResult, Ratio } from '../../contract/benchmark.ts'
import type {
  ComparisonDevice,
  ComparisonSection,
  ComparisonSide,
  Conditions,
  Delta,
  FigureLabel,
  Quality,
} from '../../contract/comparison.ts'
import type { DeviceSnapshot } from '../../contract/device.ts'
import { incomparable, latencyRatio } from '../benchmark/index.ts'

/** What a section needs to know of one measured model. */
export interface MeasuredModel {
  label: string
  sha256: string
  result: BenchmarkResult
  quality: Quality | null
  quantizedLayers: { quantized: number; candidates: number } | null
}

/** A virtual clock is simulated; everything else a benchmark returns was measured. */
export function labelOf(result: BenchmarkResult): FigureLabel {
  return result.clock === 'simulated device clock' ? 'simulated' : 'measured'
}

function describeDevice(snapshot: DeviceSnapshot): ComparisonDevice {
  const { id, kind, name, soc, clock, runtime } = snapshot
  return {
    id,
    kind,
    name,
    soc,
    clock,
    runtime: runtime.version === null ? runtime.name : `${runtime.name} ${runtime.version}`,
    cann_version: snapshot.cannVersion,
    driver_version: snapshot.driverVersion,
    memory_total_bytes: snapshot.memoryTotalBytes,
    host_cpu: snapshot.host.cpuModel,
    threads: snapshot.intraOpThreads,
  }
}

function side(model: MeasuredModel): ComparisonSide {
  const { result } = model
  const { execute, h2d, d2h, endToEnd } = result.latencyMs
  return {
    label: model.label,
    measurement: labelOf(result),
    model: result.model.path,
    sha256: model.sha256,
    size_bytes: result.model.bytes,
    latency_ms: execute,
    h2d_ms: h2d,
    d2h_ms: d2h,
    end_to_end_ms: endToEnd,
    qps: result.qps.execute,
    end_to_end_qps: result.qps.endToEnd,
    load_ms: result.model.loadMs,
    device_memory_bytes: result.memory.deviceBytes,
    host_peak_bytes: result.memory.hostPeakBytes,
    verdict: result.verdict,
    quality: model.quality,
    quantized_layers: model.quantizedLayers,
  }
}

type Metric = Delta['metric']

/** Whether a ratio below one is the better outcome. */
const SMALLER_IS_BETTER: Record<Metric, boolean> = {
  latency_ms: true,
  end_to_end_ms: true,
  qps: false,
  size_bytes: true,
  device_memory_bytes: true,
}

function better(metric: Metric, ratio: number, noDifference: boolean): Delta['better'] {
  if (noDifference || ratio === 1) return 'same'
  return ratio < 1 === SMALLER_IS_BETTER[metric] ? 'candidate' : 'baseline'
}

function measuredDelta(
  metric: Metric,
  baseline: ComparisonSide,
  candidate: ComparisonSide,
  values: [number, number],
  ratio: Pick<Ratio, 'ratio' | 'low' | 'high' | 'confidence' | 'method' | 'noDifference'>,
): Delta {
  return {
    baseline: baseline.label,
    candidate: candidate.label,
    metric,
    baseline_value: values[0],
    candidate_value: values[1],
    ratio: ratio.ratio,
    low: ratio.low,
    high: ratio.high,
    confidence: ratio.confidence,
    method: ratio.method,
    no_difference: ratio.noDifference,
    better: better(metric, ratio.ratio, ratio.noDifference),
  }
}

function exactDelta(
  metric: Metric,
  baseline: ComparisonSide,
  candidate: ComparisonSide,
  values: [number, number],
): Delta[] {
  const [from, to] = values
  if (from <= 0) return []
  const ratio = to / from
  return [
    measuredDelta(metric, baseline, candidate, values, {
      ratio,
      low: ratio,
      high: ratio,
      confidence: 1,
      method: 'exact',
      noDifference: ratio === 1,
    }),
  ]
}

/** 1 / ratio with the interval turned round: throughput from latency. */
function inverse(ratio: Ratio): Ratio {
  return { ...ratio, ratio: 1 / ratio.ratio, low: 1 / ratio.high, high: 1 / ratio.low }
}

function deltasOf(
  baseline: { model: MeasuredModel; side: ComparisonSide },
  candidate: { model: MeasuredModel; side: ComparisonSide },
): Delta[] {
  const execute = latencyRatio(baseline.model.result, candidate.model.result, 'execute')
  const endToEnd = latencyRatio(baseline.model.result, candidate.model.result, 'endToEnd')
  const [from, to] = [baseline.side, candidate.side]
  const deltas = [
    measuredDelta('latency_ms', from, to, [from.latency_ms.mean, to.latency_ms.mean], execute),
    measuredDelta('end_to_end_ms', from, to, [from.end_to_end_ms.mean, to.end_to_end_ms.mean], endToEnd),
    measuredDelta('qps', from, to, [from.qps, to.qps], inverse(execute)),
    ...exactDelta('size_bytes', from, to, [from.size_bytes, to.size_bytes]),
  ]
  const memory: [number | null, number | null] = [from.device_memory_bytes, to.device_memory_bytes]
  // On the host CPU the figure is a growth of resident memory: too coarse for an exact ratio.
  if (memory[0] !== null && memory[1] !== null && baseline.model.result.device.kind !== 'cpu') {
    deltas.push(...exactDelta('device_memory_bytes', from, to, [memory[0], memory[1]]))
  }
  return deltas
}

function conditionsOf(result: BenchmarkResult): Conditions {
  const { scenario } = result
  return {
    batch: result.batch,
    warmup_runs: scenario.warmupRuns,
    warmup_ms: scenario.warmupMs,
    min_runs: scenario.minRuns,
    min_duration_ms: scenario.minDurationMs,
    loop_count: scenario.loopCount ?? null,
    block_runs: scenario.blockRuns,
    interleaved: result.interleavedWith > 0,
    inputs_hash: result.inputsHash,
  }
}

/** A section from the first model as baseline and the others as candidates. */
export function buildSection(
  baseline: MeasuredModel,
  candidates: readonly MeasuredModel[],
): ComparisonSection {
  const from = { model: baseline, side: side(baseline) }
  const others = candidates.map((model) => ({ model, side: side(model) }))
  return {
    label: labelOf(baseline.result),
    device: describeDevice(baseline.result.device),
    conditions: conditionsOf(baseline.result),
    baseline: from.side,
    candidates: others.map((other) => other.side),
    deltas: others.flatMap((other) => deltasOf(from, other)),
    incomparable: candidates.flatMap((candidate) =>
      incomparable(baseline.result, candidate.result).map((entry) => ({
        field: entry.field,
        baseline: entry.baseline,
        candidate: entry.candidate,
      })),
    ),
  }
}
