// Several runs side by side: columns, figures, deltas where they are allowed, conditions that differ, configuration.
import type { LatencySummary } from '../../contract/benchmark.ts'
import { comparisonSchema, type Comparison, type ComparisonSide } from '../../contract/comparison.ts'
import { runFiguresSchema } from '../../contract/run-figures.ts'
import type { RunComparison } from '../../contract/rpc/index.ts'
import type { Provenance, RunRow } from '../../contract/workspace.ts'
import { bootstrapRatio } from '../benchmark/index.ts'
import type { Workspace } from '../workspace/index.ts'

interface Column {
  run: RunRow
  comparison: Comparison
  side: ComparisonSide
  role: 'baseline' | 'candidate'
  candidate: number | null
  /** Latency samples of this side; read only when a ratio needs them. */
  samplesMs(): number[]
}

interface Measure {
  key: string
  unit: RunComparison['rows'][number]['unit']
  better: 'lower' | 'higher'
  value(side: ComparisonSide): number | null
  needed?(side: ComparisonSide): number | null
}

type PercentileKey = 'p50' | 'p90' | 'p95' | 'p99' | 'p999'

function percentile(key: PercentileKey): Measure {
  const missing = (figures: LatencySummary): boolean => figures[key] === null
  return {
    key: `latency.${key}`,
    unit: 'ms',
    better: 'lower',
    value: (side) => side.latency_ms[key],
    needed: (side) => (missing(side.latency_ms) ? side.latency_ms.needed[key] : null),
  }
}

const MEASURES: readonly Measure[] = [
  { key: 'latency.mean', unit: 'ms', better: 'lower', value: (side) => side.latency_ms.mean },
  percentile('p50'),
  percentile('p90'),
  percentile('p95'),
  percentile('p99'),
  percentile('p999'),
  { key: 'qps', unit: 'qps', better: 'higher', value: (side) => side.qps },
  { key: 'size_bytes', unit: 'bytes', better: 'lower', value: (side) => side.size_bytes },
  { key: 'device_memory_bytes', unit: 'bytes', better: 'lower', value: (side) => side.device_memory_bytes },
  { key: 'load_ms', unit: 'ms', better: 'lower', value: (side) => side.load_ms },
  { key: 'quality.sqnr_db', unit: 'dB', better: 'higher', value: (side) => side.quality?.sqnr_db ?? null },
  { key: 'quality.cosine', unit: 'ratio', better: 'higher', value: (side) => side.quality?.cosine ?? null },
]

/** Conditions under which latencies may be compared (MLPerf: same system and software for all results of a set). */
function conditions(comparison: Comparison): Record<string, string> {
  const { device } = comparison
  return {
    device: device.id,
    soc: device.soc ?? '-',
    runtime: device.runtime,
    cann: device.cann_version ?? '-',
    driver: device.driver_version ?? '-',
    clock: device.clock,
    host_cpu: device.host_cpu,
    threads: String(device.threads ?? '-'),
    inputs: comparison.conditions.inputs_hash,
    batch: String(comparison.conditions.batch),
    harness: comparison.tool.harness_version,
    model: comparison.model.sha256,
    evaluation: comparison.evaluation.sample_names.join(','),
  }
}

/** Fields that make latencies incomparable; the others only qualify. */
const NOTES = new Set(['model', 'evaluation'])
/** A simulated device's clock does not depend on the host. */
const HOST_ONLY = new Set(['host_cpu', 'threads'])

function guardOf(comparisons: readonly Comparison[]): RunComparison['guard'] {
  const all = comparisons.map(conditions)
  const simulated = comparisons.every((comparison) => comparison.label === 'simulated')
  return Object.keys(all[0] ?? {}).flatMap((field) => {
    const values = all.map((entry) => entry[field] ?? '-')
    if (new Set(values).size === 1) return []
    const isNote = NOTES.has(field) || (simulated && HOST_ONLY.has(field))
    return [{ field, values, severity: isNote ? ('note' as const) : ('blocks' as const) }]
  })
}

type Delta = RunComparison['rows'][number]['deltas'][number]

/** Figures that do not depend on a clock may be compared whatever the guard says. */
const CLOCKLESS = new Set(['size_bytes', 'quality.sqnr_db', 'quality.cosine'])

function deltaOf(measure: Measure, first: Column, other: Column, blocked: boolean): Delta {
  if (first === other) return null
  if (blocked && !CLOCKLESS.has(measure.key)) return null
  const [from, to] = [measure.value(first.side), measure.value(other.side)]
  // A ratio of decibels means nothing.
  if (from === null || to === null || from <= 0 || measure.unit === 'dB') return null
  const within = first.run.id === other.run.id
  const metric = measure.key === 'latency.mean' ? 'latency_ms' : measure.key
  const known = within
    ? other.comparison.deltas.find(
        (delta) =>
          delta.metric === metric &&
          delta.baseline === first.side.label &&
          delta.candidate === other.side.label,
      )
    : undefined
  if (known) {
    const { ratio, low, high, confidence, method, no_difference: noDifference } = known
    return { ratio, low, high, confidence, method, resamples: 0, noDifference }
  }
  // Loading is timed by the host's clock, also for a simulated device, and there is only one sample of it.
  if (measure.key === 'load_ms') return null
  const exact = CLOCKLESS.has(measure.key) || other.comparison.label === 'simulated'
  if (!exact) return acrossRuns(measure, first, other)
  const ratio = to / from
  return {
    ratio,
    low: ratio,
    high: ratio,
    confidence: 1,
    method: 'exact',
    resamples: 0,
    noDifference: ratio === 1,
  }
}

/**
 * Ratio of the means of two separate measured runs by the same bootstrap as within a run. Percentiles across runs get
 * no ratio.
 */
function acrossRuns(measure: Measure, first: Column, other: Column): Delta {
  if (measure.key !== 'latency.mean') return null
  const [from, to] = [first.samplesMs(), other.samplesMs()]
  return from.length > 1 && to.length > 1 ? bootstrapRatio(from, to) : null
}

type Leaf = string | number | boolean | null

function leaves(value: unknown, prefix: string, found: Map<string, Leaf>): Map<string, Leaf> {
  if (Array.isArray(value) && value.every((entry) => typeof entry !== 'object'))
    found.set(prefix, value.join(', '))
  else if (value !== null && typeof value === 'object') {
    for (const [key, entry] of Object.entries(value))
      leaves(entry, prefix === '' ? key : `${prefix}.${key}`, found)
  } else found.set(prefix, (value as Leaf | undefined) ?? null)
  return found
}

function configOf(
  comparisons: readonly Comparison[],
  provenances: readonly Provenance[],
): RunComparison['config'] {
  const all = comparisons.map((comparison, index) => {
    const provenance = provenances[index]
    return leaves(
      {
        recipe: comparison.recipe,
        device: comparison.device,
        conditions: comparison.conditions,
        model: { name: provenance?.model.name, sha256: comparison.model.sha256 },
        calibration: { name: provenance?.dataset.name, ...comparison.calibration },
        version: provenance?.appVersion,
      },
      '',
      new Map(),
    )
  })
  const paths = [...new Set(all.flatMap((map) => [...map.keys()]))]
  return paths.map((path) => {
    const values = all.map((map) => map.get(path) ?? null)
    return { path, values, differs: new Set(values).size > 1 }
  })
}

/** @throws E_WORKSPACE_NOT_FOUND */
export function compareRuns(workspace: Workspace, ids: readonly string[]): RunComparison {
  const runs = ids.map((id) => workspace.runs.get(id))
  const comparisons = ids.map((id) => comparisonSchema.parse(workspace.runs.comparison(id)))
  const columns = comparisons.flatMap((comparison, index): Column[] => {
    const run = runs[index]
    if (!run) return []
    const samplesOf = (side: number) => (): number[] =>
      runFiguresSchema.parse(workspace.runs.figures(run.id)).sides[side]?.samplesMs ?? []
    const candidates = comparison.candidates.map((side, candidate): Column => ({
      run,
      comparison,
      side,
      role: 'candidate',
      candidate,
      samplesMs: samplesOf(candidate + 1),
    }))
    return [
      {
        run,
        comparison,
        side: comparison.baseline,
        role: 'baseline',
        candidate: null,
        samplesMs: samplesOf(0),
      },
      ...candidates,
    ]
  })
  const [first] = columns
  const guard = guardOf(comparisons)
  const blocked = guard.some((entry) => entry.severity === 'blocks')
  return {
    columns: columns.map(({ run, comparison, side, role, candidate }) => ({
      runId: run.id,
      runNumber: run.number,
      label: side.label,
      role,
      candidate,
      deviceId: comparison.device.id,
      deviceKind: comparison.device.kind,
      valid: side.verdict.valid,
    })),
    rows: MEASURES.map((measure) => ({
      key: measure.key,
      unit: measure.unit,
      better: measure.better,
      values: columns.map(({ side }) => measure.value(side)),
      needed: columns.map(({ side }) => measure.needed?.(side) ?? null),
      deltas: columns.map((column) =>
        first ? deltaOf(measure, first, column, blocked && column.run.id !== first.run.id) : null,
      ),
    })),
    guard,
    config: configOf(
      comparisons,
      ids.map((id) => workspace.runs.provenance(id)),
    ),
  }
}
