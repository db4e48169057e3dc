// Measures models on an opened device, interleaved, and turns the samples into results.
import {
  HARNESS_VERSION,
  type BenchmarkResult,
  type Ratio,
  type Scenario,
  type ScenarioInput,
} from '../../contract/benchmark.ts'
import type { CostValidation } from '../../contract/cost.ts'
import type { Feeds, LoadedModel, MeasureResult, ModelSamples, Shapes } from '../../contract/device.ts'
import type { WorkContext } from '../../contract/work.ts'
import { hashBytes } from '../common/hashing.ts'
import type { DeviceSession } from '../device/index.ts'
import { bootstrapRatio } from './bootstrap.ts'
import { resolveScenario, stopRuleOf } from './scenario.ts'
import { summarizeLatencies } from './statistics.ts'
import { judge } from './verdict.ts'

export interface BenchmarkModel {
  /** How results name it, e.g. `FP16`. */
  label: string
  model: LoadedModel
  feeds: Feeds
  /** Needed where an input dimension is dynamic. */
  shapes?: Shapes
  /** Of the .om's cost table, on a simulated device. */
  costValidation?: CostValidation
}

/** SHA-256 over names, shapes and bytes of the inputs, in the order of their names. */
export function hashInputs(feeds: Feeds, shapes: Shapes = {}): string {
  const parts = Object.keys(feeds)
    .sort()
    .map(
      (name) => `${name}\0${(shapes[name] ?? []).join(',')}\0${hashBytes(feeds[name] ?? new Uint8Array())}`,
    )
  return hashBytes(parts.join('\n'))
}

/** The given batch, else the first dimension of the first input (1 when it has none). */
export function batchOf(scenario: Scenario, entry: BenchmarkModel): number {
  if (scenario.batch !== undefined) return scenario.batch
  const first = entry.model.inputs[0]
  const dims = first === undefined ? [] : (entry.shapes?.[first.name] ?? first.dims)
  const size = dims.length < 2 ? 1 : (dims[0] ?? 1)
  return size > 0 ? size : 1
}

/** h2d + execute + d2h of each run; the execute time alone where there are no copies. */
function endToEnd(samples: ModelSamples): Float64Array {
  const { h2dMs, executeMs, d2hMs } = samples
  return executeMs.map((value, index) => value + (h2dMs[index] ?? 0) + (d2hMs[index] ?? 0))
}

function toResult(
  entry: BenchmarkModel,
  samples: ModelSamples,
  measured: MeasureResult,
  session: DeviceSession,
  scenario: Scenario,
  others: number,
  startedAt: string,
): BenchmarkResult {
  const { model } = entry
  const deterministic = measured.clock === 'simulated device clock'
  const total = endToEnd(samples)
  const execute = summarizeLatencies(samples.executeMs)
  const whole = summarizeLatencies(total)
  const batch = batchOf(scenario, entry)
  const warmup = { runs: samples.warmupRuns, milliseconds: samples.warmupMs }
  const costValidation = deterministic ? (entry.costValidation ?? null) : null
  const optional = (values: Float64Array) => (values.length === 0 ? null : summarizeLatencies(values))
  const perSecond = (milliseconds: number) => (milliseconds > 0 ? (1000 * batch) / milliseconds : 0)
  return {
    schema: 'aqw.benchmark/1',
    harnessVersion: HARNESS_VERSION,
    label: entry.label,
    model: {
      path: model.path,
      bytes: model.modelBytes,
      inputs: model.inputs,
      outputs: model.outputs,
      loadMs: model.loadMs,
    },
    device: session.snapshot,
    clock: measured.clock,
    deterministic,
    costValidation,
    scenario,
    batch,
    inputsHash: hashInputs(entry.feeds, entry.shapes),
    startedAt,
    runs: samples.executeMs.length,
    elapsedMs: samples.elapsedMs,
    warmup,
    blocks: samples.blockStarts.length,
    interleavedWith: others,
    latencyMs: {
      execute,
      executeWall: summarizeLatencies(samples.executeWallMs),
      h2d: optional(samples.h2dMs),
      d2h: optional(samples.d2hMs),
      endToEnd: whole,
    },
    qps: { execute: perSecond(execute.mean), endToEnd: perSecond(whole.mean) },
    memory: {
      deviceBytes: model.deviceMemoryBytes,
      workBytes: model.workBytes,
      weightBytes: model.weightBytes,
      hostPeakBytes: measured.peakResidentBytes,
    },
    samples: {
      executeMs: [...samples.executeMs],
      executeWallMs: [...samples.executeWallMs],
      h2dMs: [...samples.h2dMs],
      d2hMs: [...samples.d2hMs],
      blockStarts: samples.blockStarts,
    },
    verdict: judge({
      scenario,
      execute,
      executeMs: samples.executeMs,
      elapsedMs: samples.elapsedMs,
      warmup,
      deterministic,
      soc: session.snapshot.soc,
      costValidation,
    }),
  }
}

/**
 * Benchmarks models of one session against each other; results come in the order of `models`.
 * @throws E_BENCHMARK_SCENARIO, E_CANCELLED, and the errors of DeviceSession.measure
 */
export async function benchmark(
  session: DeviceSession,
  models: readonly BenchmarkModel[],
  settings: ScenarioInput = {},
  ctx: WorkContext = {},
): Promise<BenchmarkResult[]> {
  const scenario = resolveScenario(settings, session.snapshot.kind)
  const startedAt = new Date().toISOString()
  const measured = await session.measure(
    {
      models: models.map(({ model, feeds, shapes }) => ({ handle: model.handle, feeds, shapes })),
      warmup: { runs: scenario.warmupRuns, milliseconds: scenario.warmupMs },
      stop: stopRuleOf(scenario),
      blockRuns: scenario.blockRuns,
    },
    ctx,
  )
  return models.map((entry, index) => {
    const samples = measured.models[index]
    if (samples === undefined)
      throw new Error(`benchmark: the device answered for ${measured.models.length} models`)
    return toResult(entry, samples, measured, session, scenario, models.length - 1, startedAt)
  })
}

/** The candidate's latency over the baseline's, with its interval; `exact` when both are deterministic. */
export function latencyRatio(
  baseline: BenchmarkResult,
  candidate: BenchmarkResult,
  metric: 'execute' | 'endToEnd' = 'execute',
): Ratio {
  const samplesOf = ({ samples }: BenchmarkResult) =>
    metric === 'execute'
      ? samples.executeMs
      : samples.executeMs.map(
          (value, index) => value + (samples.h2dMs[index] ?? 0) + (samples.d2hMs[index] ?? 0),
        )
  return bootstrapRatio(samplesOf(baseline), samplesOf(candidate), {
    seed: baseline.scenario.seed,
    deterministic: baseline.deterministic && candidate.deterministic,
    blockStarts: { baseline: baseline.samples.blockStarts, candidate: candidate.samples.blockStarts },
  })
}
