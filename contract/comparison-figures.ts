// The figures of one side of a comparison by name: what gates and tables refer to.
import { percentileNames, type LatencySummary } from './benchmark.ts'
import type { Comparison, ComparisonSide } from './comparison.ts'
import { metricKeySchema, type QualitySide } from './evaluation.ts'
import { type FigureSource, type Gate, type GateResult, runGate } from './gates.ts'

const LATENCY_PARTS = ['mean', 'min', 'max', 'stddev', ...percentileNames] as const

function latencyFigures(
  prefix: string,
  pick: (side: ComparisonSide) => LatencySummary,
): [string, (side: ComparisonSide) => number | null][] {
  return LATENCY_PARTS.map((part) => [`${prefix}.${part}`, (side) => pick(side)[part]])
}

/** What every comparison has. */
const SIDE_FIGURES = new Map<string, (side: ComparisonSide) => number | null>([
  ...latencyFigures('latency', (side) => side.latency_ms),
  ...latencyFigures('end_to_end', (side) => side.end_to_end_ms),
  ['qps', (side) => side.qps],
  ['end_to_end_qps', (side) => side.end_to_end_qps],
  ['size_bytes', (side) => side.size_bytes],
  ['device_memory_bytes', (side) => side.device_memory_bytes],
  ['host_peak_bytes', (side) => side.host_peak_bytes],
  ['load_ms', (side) => side.load_ms],
  ['quality.sqnr_db', (side) => side.quality?.sqnr_db ?? null],
  ['quality.cosine', (side) => side.quality?.cosine ?? null],
  ['quality.max_abs_error', (side) => side.quality?.max_abs_error ?? null],
  ['quality.worst_sqnr_db', (side) => side.quality?.worst_sample.sqnr_db ?? null],
  ['layers.quantized', (side) => side.quantized_layers?.quantized ?? null],
  [
    'layers.share',
    ({ quantized_layers: layers }) => (layers ? layers.quantized / Math.max(1, layers.candidates) : null),
  ],
])

/** Figures of generated results; `quality.cosine` is that of the model's own outputs. */
const GENERATED_FIGURES = new Map(
  metricKeySchema.options.map((key) => [
    key === 'cosine' ? 'quality.generated_cosine' : `quality.${key}`,
    key,
  ]),
)

/** Names of all figures, whether a comparison has them or not. */
export const comparisonFigureNames: readonly string[] = [...SIDE_FIGURES.keys(), ...GENERATED_FIGURES.keys()]

/** The figures of a side. The reference of generated results stands for a baseline that is the same model. */
export function figuresOf(comparison: Comparison, side: ComparisonSide): FigureSource {
  const generated: QualitySide | undefined =
    comparison.generated?.sides.find((found) => found.label === side.label) ??
    comparison.generated?.sides.find((found) => found.role === 'reference' && found.sha256 === side.sha256)
  return (name) => {
    const own = SIDE_FIGURES.get(name)
    if (own) return own(side)
    const key = GENERATED_FIGURES.get(name)
    return generated?.metrics.find((metric) => metric.key === key)?.value ?? null
  }
}

/** Applies gates to every candidate against the baseline. */
export function runGates(comparison: Comparison, gates: readonly Gate[]): GateResult[] {
  const baseline = figuresOf(comparison, comparison.baseline)
  return comparison.candidates.flatMap((candidate) =>
    gates.map((gate) =>
      runGate(gate, candidate.label, { candidate: figuresOf(comparison, candidate), baseline }),
    ),
  )
}
