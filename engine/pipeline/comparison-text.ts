// A comparison as people read it: rows for a table, sentences for its conditions, a Markdown page.
import type { Comparison, ComparisonSection, ComparisonSide, Delta } from '../../contract/comparison.ts'
import { formatBytes, formatFigure } from '../common/units.ts'

export interface TextRow {
  label: string
  cells: string[]
}

export interface TextTable {
  columns: string[]
  rows: TextRow[]
}

function percentileCell(side: ComparisonSide, name: 'p50' | 'p90' | 'p99'): string {
  const value = side.latency_ms[name]
  return value === null ? `needs ${side.latency_ms.needed[name]} runs` : formatFigure(value)
}

function ratioCell(delta: Delta | undefined): string {
  if (!delta) return ''
  if (delta.no_difference) return delta.method === 'exact' ? 'x1' : 'no difference'
  const interval = delta.method === 'exact' ? '' : ` [${delta.low.toFixed(3)}, ${delta.high.toFixed(3)}]`
  return `x${delta.ratio.toFixed(3)}${interval}`
}

function qualityCell(side: ComparisonSide, field: 'sqnr_db' | 'cosine'): string {
  const { quality } = side
  if (!quality) return 'reference'
  if (quality.identical) return field === 'cosine' ? '1' : 'identical'
  if (quality.non_finite > 0) return `${quality.non_finite} NaN/Inf`
  if (field === 'cosine') return quality.cosine.toFixed(6)
  return quality.sqnr_db === null ? 'none' : `${quality.sqnr_db.toFixed(2)} dB`
}

/** One column per side, then one per candidate with its ratio to the baseline. */
export function sectionTable(section: ComparisonSection): TextTable {
  const sides = [section.baseline, ...section.candidates]
  const delta = (candidate: ComparisonSide, metric: Delta['metric']): string =>
    ratioCell(section.deltas.find((entry) => entry.candidate === candidate.label && entry.metric === metric))
  const row = (label: string, cell: (side: ComparisonSide) => string, metric?: Delta['metric']): TextRow => ({
    label,
    cells: [
      ...sides.map(cell),
      ...section.candidates.map((candidate) => (metric === undefined ? '' : delta(candidate, metric))),
    ],
  })
  // On the host CPU it is a growth of resident memory: too coarse to set side by side.
  const memory = section.device.kind !== 'cpu' && sides.every((side) => side.device_memory_bytes !== null)
  return {
    columns: [
      ...sides.map((side) => side.label),
      ...section.candidates.map((side) => `${side.label} / ${section.baseline.label}`),
    ],
    rows: [
      row('latency mean (ms)', (side) => formatFigure(side.latency_ms.mean), 'latency_ms'),
      row('latency p50 (ms)', (side) => percentileCell(side, 'p50')),
      row('latency p99 (ms)', (side) => percentileCell(side, 'p99')),
      row('with copies (ms)', (side) => formatFigure(side.end_to_end_ms.mean), 'end_to_end_ms'),
      row('throughput (QPS)', (side) => formatFigure(side.qps), 'qps'),
      row('model size', (side) => formatBytes(side.size_bytes), 'size_bytes'),
      ...(memory
        ? [row('device memory', (side) => formatBytes(side.device_memory_bytes ?? 0), 'device_memory_bytes')]
        : []),
      row('output SQNR', (side) => qualityCell(side, 'sqnr_db')),
      row('output cosine', (side) => qualityCell(side, 'cosine')),
      row('runs', (side) => String(side.latency_ms.count)),
      row('verdict', (side) => (side.verdict.valid ? 'VALID' : 'INVALID')),
    ],
  }
}

/** Device, label and band, e.g. `Ascend310P3 (simulated; ...)`. */
export function sectionTitle(section: ComparisonSection, comparison: Comparison): string {
  const band = comparison.cost_model
  if (section.label !== 'simulated' || !band)
    return `${section.device.name} (${section.label}, ${section.device.clock})`
  const distance =
    band.status === 'fitted' ? `within x/÷ ${band.factor}` : `x/÷ ${band.factor} or further away`
  return `${section.device.name} (simulated, latency model ${band.status}: a real device is expected ${distance})`
}

/** One sentence per candidate: faster or slower, smaller or larger, how close. */
export function verdictSentences(section: ComparisonSection): string[] {
  return section.candidates.map((candidate) => {
    const find = (metric: Delta['metric']): Delta | undefined =>
      section.deltas.find((entry) => entry.candidate === candidate.label && entry.metric === metric)
    const speed = find('latency_ms')
    const size = find('size_bytes')
    const parts = [
      speed === undefined
        ? ''
        : speed.no_difference
          ? 'as fast'
          : speed.ratio < 1
            ? `${(1 / speed.ratio).toFixed(2)}x faster`
            : `${speed.ratio.toFixed(2)}x slower`,
      size === undefined ? '' : `${Math.round(size.ratio * 100)} % of the size`,
      candidate.quality?.identical
        ? 'same outputs'
        : candidate.quality
          ? `output SQNR ${qualityCell(candidate, 'sqnr_db')}`
          : '',
    ].filter((part) => part !== '')
    return `${candidate.label} against ${section.baseline.label}: ${parts.join(', ')}.`
  })
}

function runsLine(section: ComparisonSection): string {
  const { conditions } = section
  const seconds = (milliseconds: number): string => (milliseconds > 0 ? ` and ${milliseconds / 1000} s` : '')
  const runs =
    conditions.loop_count === null
      ? `at least ${conditions.min_runs} runs${seconds(conditions.min_duration_ms)} per model`
      : `${conditions.loop_count} runs per model, as asked`
  const order = conditions.interleaved
    ? `interleaved in blocks of ${conditions.block_runs}`
    : 'one model only'
  return (
    `Runs on ${section.device.id}: ${runs}, ${order}, warm-up of at least ${conditions.warmup_runs} ` +
    `runs${seconds(conditions.warmup_ms)}, batch ${conditions.batch}`
  )
}

/** What the figures were taken under, one fact per line. */
export function conditionLines(comparison: Comparison): string[] {
  const { calibration, evaluation } = comparison
  const evaluated = `${evaluation.sample_names.length} samples of ${evaluation.folder}`
  return [
    `Model: ${comparison.model.path}, inputs ${comparison.model.inputs
      .map((input) => `${input.name}[${input.dims.join(',')}]`)
      .join(' ')}`,
    `Calibration: ${calibration.samples} samples of ${calibration.folder}`,
    `Quality: ${evaluated} against the FP32 source model on ONNX Runtime` +
      (evaluation.same_as_calibration ? ' (the calibration data itself: optimistic)' : ''),
    runsLine(comparison),
    ...(comparison.host_cpu ? [runsLine(comparison.host_cpu)] : []),
    ...comparison.notes,
  ]
}

/** Reasons behind the verdicts, without repetition. */
export function verdictReasons(section: ComparisonSection): string[] {
  const lines = [section.baseline, ...section.candidates].flatMap((side) =>
    side.verdict.reasons.map((reason) => `${side.label}: ${reason.message}`),
  )
  return [...new Set(lines)]
}

function markdownTable(table: TextTable): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(['', ...table.columns]),
    line(['---', ...table.columns.map(() => '---:')]),
    ...table.rows.map((row) => line([row.label, ...row.cells])),
  ]
}

function markdownSection(section: ComparisonSection, comparison: Comparison): string[] {
  return [
    `## ${sectionTitle(section, comparison)}`,
    '',
    ...verdictSentences(section),
    '',
    ...markdownTable(sectionTable(section)),
    '',
    ...section.incomparable.map(
      (entry) => `* Not comparable, ${entry.field}: ${entry.baseline} against ${entry.candidate}`,
    ),
    ...verdictReasons(section).map((line) => `* ${line}`),
    '',
  ]
}

/** The whole comparison as a Markdown page. */
export function comparisonMarkdown(comparison: Comparison): string {
  const lines = [
    `# ${comparison.model.path.split(/[\\/]/).at(-1)}: ${[comparison.baseline, ...comparison.candidates]
      .map((side) => side.label)
      .join(' against ')}`,
    '',
    ...markdownSection(comparison, comparison),
    ...(comparison.host_cpu ? markdownSection(comparison.host_cpu, comparison) : []),
    '## Conditions',
    '',
    ...conditionLines(comparison).map((line) => `* ${line}`),
    ...(comparison.cost_model ? [`* Latency model: ${comparison.cost_model.text}`] : []),
    `* ${comparison.tool.name} ${comparison.tool.version}, ${comparison.created_at}, configuration ${comparison.config_hash.slice(0, 12)}`,
    '',
  ]
  return lines.join('\n')
}
