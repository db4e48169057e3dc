// Comparison(s) -> report document: verdict, table, charts, conditions, recipe, hashes, in one language.
import type { Comparison, ComparisonSection, ComparisonSide, Delta } from '../../contract/comparison.ts'
import { describeVerdictReason } from '../../contract/benchmark.ts'
import type { RunFigures } from '../../contract/run-figures.ts'
import { formatBytes, formatFigure } from '../common/units.ts'
import type { BarsBlock, Block, ReportDocument, TableBlock, Tone } from './document.ts'
import { generatedBlocks } from './generated.ts'
import { translator, type ReportLocale, type Translate } from './texts.ts'

/** One comparison with what is known beside it. */
export interface ReportEntry {
  comparison: Comparison
  figures?: RunFigures
  /** The equivalent `aqw` command. */
  command?: string
}

const CLOCK_TEXTS = {
  'device events': 'deviceEvents',
  'simulated device clock': 'simulatedClock',
  'wall clock': 'wallClock',
} as const
const MIB = 1024 * 1024
const LARGEST_KERNEL_TYPES = 10

/** The device's section, and the host CPU's beside it. */
function sectionsOf(comparison: Comparison): ComparisonSection[] {
  return [comparison, ...(comparison.host_cpu ? [comparison.host_cpu] : [])]
}

function sides(section: ComparisonSection): ComparisonSide[] {
  return [section.baseline, ...section.candidates]
}

function deltaOf(
  section: ComparisonSection,
  candidate: ComparisonSide,
  metric: Delta['metric'],
): Delta | undefined {
  return section.deltas.find((delta) => delta.candidate === candidate.label && delta.metric === metric)
}

function deltaCell(delta: Delta | undefined, t: Translate): { text: string; tone: Tone } {
  if (!delta) return { text: '', tone: 'none' }
  if (delta.no_difference) return { text: t('noDifference'), tone: 'none' }
  const interval =
    delta.method === 'exact' ? t('exact') : `${delta.low.toFixed(3)} … ${delta.high.toFixed(3)}`
  const tone = delta.better === 'candidate' ? 'good' : delta.better === 'baseline' ? 'bad' : 'none'
  return { text: `x${delta.ratio.toFixed(3)} (${interval})`, tone }
}

function qualityCell(side: ComparisonSide, field: 'sqnr_db' | 'cosine', t: Translate): string {
  const { quality } = side
  if (!quality) return t('reference')
  if (quality.identical) return t('identical')
  if (quality.non_finite > 0) return t('nonFinite', { count: quality.non_finite })
  if (field === 'cosine') return quality.cosine.toFixed(6)
  return quality.sqnr_db === null ? '–' : quality.sqnr_db.toFixed(2)
}

function sectionTable(section: ComparisonSection, t: Translate): TableBlock {
  const all = sides(section)
  const row = (
    label: string,
    cell: (side: ComparisonSide) => string,
    metric?: Delta['metric'],
  ): TableBlock['rows'][number] => {
    const changes = section.candidates.map((candidate) =>
      metric ? deltaCell(deltaOf(section, candidate, metric), t) : { text: '', tone: 'none' as const },
    )
    return {
      label,
      cells: [...all.map(cell), ...changes.map((change) => change.text)],
      tones: [...all.map(() => 'none' as const), ...changes.map((change) => change.tone)],
    }
  }
  const percentile = (name: 'p50' | 'p90' | 'p95' | 'p99') =>
    row(t('latencyP', { p: name }), ({ latency_ms: latency }) => {
      const value = latency[name]
      return value === null
        ? t('needs', { needed: latency.needed[name], count: latency.count })
        : formatFigure(value)
    })
  // On the host CPU it is a growth of resident memory: too coarse to set side by side.
  const memory = section.device.kind !== 'cpu' && all.every((side) => side.device_memory_bytes !== null)
  return {
    kind: 'table',
    columns: [
      t('metric'),
      ...all.map((side) => side.label),
      ...section.candidates.map((side) =>
        t('change', { candidate: side.label, baseline: section.baseline.label }),
      ),
    ],
    rows: [
      row(t('latencyMean'), (side) => formatFigure(side.latency_ms.mean), 'latency_ms'),
      ...(['p50', 'p90', 'p95', 'p99'] as const).map(percentile),
      row(t('endToEnd'), (side) => formatFigure(side.end_to_end_ms.mean), 'end_to_end_ms'),
      row(t('qps'), (side) => formatFigure(side.qps), 'qps'),
      row(t('size'), (side) => formatBytes(side.size_bytes), 'size_bytes'),
      ...(memory
        ? [row(t('memory'), (side) => formatBytes(side.device_memory_bytes ?? 0), 'device_memory_bytes')]
        : []),
      row(t('load'), (side) => formatFigure(side.load_ms)),
      row(t('sqnr'), (side) => qualityCell(side, 'sqnr_db', t)),
      row(t('cosine'), (side) => qualityCell(side, 'cosine', t)),
      row(t('runs'), (side) => String(side.latency_ms.count)),
      row(t('verdict'), (side) => t(side.verdict.valid ? 'valid' : 'invalid')),
    ],
  }
}

function verdictSentence(section: ComparisonSection, candidate: ComparisonSide, t: Translate): string {
  const speed = deltaOf(section, candidate, 'latency_ms')
  const size = deltaOf(section, candidate, 'size_bytes')
  const { quality } = candidate
  const qualityText = quality?.identical
    ? t('sameOutputs')
    : quality && quality.non_finite > 0
      ? t('withNonFinite', { count: quality.non_finite })
      : quality && quality.sqnr_db !== null
        ? t('withSqnr', { sqnr: quality.sqnr_db.toFixed(2) })
        : ''
  const speedText =
    !speed || speed.no_difference
      ? t('sameSpeed')
      : speed.ratio < 1
        ? t('faster', { factor: (1 / speed.ratio).toFixed(2) })
        : t('slower', { factor: speed.ratio.toFixed(2) })
  return t('fasterSmaller', {
    candidate: candidate.label,
    baseline: section.baseline.label,
    speed: speedText,
    size: Math.round((size?.ratio ?? 1) * 100),
    quality: qualityText,
  })
}

/** The label line of a section: measured, simulated with its band, or estimated. */
export function labelOf(section: ComparisonSection, comparison: Comparison, t: Translate): string {
  const device = section.device.name
  if (section.label === 'simulated') {
    const band = comparison.cost_model
    return t('labelSimulated', {
      device,
      status: t(band?.status === 'fitted' ? 'fitted' : 'notValidated'),
      factor: band?.factor ?? 2,
    })
  }
  if (section.label === 'estimated') return t('labelEstimated', { device })
  return t('labelMeasured', { device, clock: t(CLOCK_TEXTS[section.device.clock]) })
}

function sectionBlocks(section: ComparisonSection, comparison: Comparison, t: Translate): Block[] {
  const reasons = sides(section).flatMap((side) =>
    side.verdict.reasons.map((reason) => `${side.label}: ${describeVerdictReason(reason, t.locale)}`),
  )
  const guard = section.incomparable.map((entry) => t('incomparable', entry))
  const notes = [...new Set([...guard, ...reasons])]
  return [
    { kind: 'heading', level: 2, text: section.device.name },
    { kind: 'paragraph', text: labelOf(section, comparison, t) },
    ...section.candidates.map((candidate) => ({
      kind: 'paragraph' as const,
      text: verdictSentence(section, candidate, t),
    })),
    sectionTable(section, t),
    ...(notes.length > 0 ? [{ kind: 'list' as const, items: notes }] : []),
  ]
}

function kernelBars(figures: RunFigures, t: Translate): BarsBlock[] {
  const timed = figures.sides.filter((side) => side.kernels.length > 0)
  if (timed.length === 0) return []
  const totals = timed.map((side) => {
    const byType = new Map<string, number>()
    for (const kernel of side.kernels)
      byType.set(kernel.opType, (byType.get(kernel.opType) ?? 0) + kernel.ns / 1e6)
    return byType
  })
  const types = [...new Set(totals.flatMap((byType) => [...byType.keys()]))]
  const largest = (type: string): number => Math.max(...totals.map((byType) => byType.get(type) ?? 0))
  const shown = types.sort((a, b) => largest(b) - largest(a)).slice(0, LARGEST_KERNEL_TYPES)
  return [
    {
      kind: 'bars',
      title: t('kernels'),
      unit: 'ms',
      series: timed.map((side) => side.label),
      rows: shown.map((type) => ({ label: type, values: totals.map((byType) => byType.get(type) ?? 0) })),
    },
  ]
}

function sizeBars(figures: RunFigures, t: Translate): BarsBlock[] {
  const sized = figures.sides.filter((side) => side.sizes.length > 0)
  if (sized.length === 0) return []
  const parts = [...new Set(sized.flatMap((side) => side.sizes.map((size) => size.part)))]
  return [
    {
      kind: 'bars',
      title: t('sizes'),
      unit: 'MiB',
      series: sized.map((side) => side.label),
      rows: parts.map((part) => ({
        label: part,
        values: sized.map((side) => (side.sizes.find((size) => size.part === part)?.bytes ?? 0) / MIB),
      })),
    },
  ]
}

function runsItem({ conditions, device }: ComparisonSection, t: Translate): string {
  const shared = {
    id: device.id,
    warmupRuns: conditions.warmup_runs,
    warmupMs: conditions.warmup_ms,
    batch: conditions.batch,
    order: conditions.interleaved ? t('interleaved', { block: conditions.block_runs }) : t('oneByOne'),
  }
  return conditions.loop_count === null
    ? t('runConditions', { ...shared, runs: conditions.min_runs, ms: conditions.min_duration_ms })
    : t('loopConditions', { ...shared, runs: conditions.loop_count })
}

function conditionItems(comparison: Comparison, t: Translate): string[] {
  const { calibration, evaluation, device } = comparison
  return [
    t('deviceLine', {
      device: device.name,
      runtime: device.runtime,
      cann: device.cann_version ?? t('none'),
      driver: device.driver_version ?? t('none'),
      host: device.host_cpu,
    }),
    t('model', { path: comparison.model.path, sha256: comparison.model.sha256 }),
    t('calibration', calibration),
    t('evaluation', { samples: evaluation.sample_names.length, folder: evaluation.folder }),
    ...(evaluation.same_as_calibration
      ? [t('sameData')]
      : evaluation.overlapping_samples > 0
        ? [t('overlap', { count: evaluation.overlapping_samples })]
        : []),
    ...sectionsOf(comparison).map((section) => runsItem(section, t)),
    ...(comparison.cost_model ? [t('costModel', { text: comparison.cost_model.text })] : []),
    t('tool', {
      tool: comparison.tool.name,
      version: comparison.tool.version,
      time: comparison.created_at,
      hash: comparison.config_hash,
    }),
  ]
}

function conditionBlocks(comparison: Comparison, t: Translate): Block[] {
  return [
    { kind: 'heading', level: 2, text: t('conditions') },
    { kind: 'list', items: conditionItems(comparison, t) },
    ...(comparison.notes.length > 0
      ? [
          { kind: 'heading' as const, level: 3 as const, text: t('notes') },
          { kind: 'list' as const, items: comparison.notes },
        ]
      : []),
  ]
}

/** What a terminal shows of a comparison: verdicts, tables and conditions, without recipe and hashes. */
export function summaryBlocks(comparison: Comparison, locale: ReportLocale): Block[] {
  const t = translator(locale)
  const sections = sectionsOf(comparison).flatMap((section) => sectionBlocks(section, comparison, t))
  return [...sections, ...generatedBlocks(comparison, locale), ...conditionBlocks(comparison, t)]
}

function entryBlocks({ comparison, figures, command }: ReportEntry, t: Translate): Block[] {
  const sections = sectionsOf(comparison)
  return [
    ...sections.flatMap((section) => sectionBlocks(section, comparison, t)),
    ...generatedBlocks(comparison, t.locale),
    ...(figures ? [...kernelBars(figures, t), ...sizeBars(figures, t)] : []),
    ...conditionBlocks(comparison, t),
    { kind: 'heading', level: 3, text: t('hashes') },
    {
      kind: 'list',
      items: sections.flatMap((section) =>
        sides(section).map((side) => `${side.label}: ${side.model} · SHA-256 ${side.sha256}`),
      ),
    },
    { kind: 'heading', level: 3, text: t('recipe') },
    { kind: 'code', text: JSON.stringify(comparison.recipe, null, 2) },
    ...(command
      ? [
          { kind: 'heading' as const, level: 3 as const, text: t('command') },
          { kind: 'code' as const, text: command },
        ]
      : []),
  ]
}

function nameOf(comparison: Comparison): string {
  return comparison.model.path.split(/[\\/]/).at(-1) ?? comparison.model.path
}

/** Builds the document of one or several comparisons. Each keeps its own label. */
export function buildReport(entries: readonly ReportEntry[], locale: ReportLocale): ReportDocument {
  const t = translator(locale)
  const comparisons = entries.map((entry) => entry.comparison)
  const names = [...new Set(comparisons.map(nameOf))].join(', ')
  const labels = [...new Set(comparisons.map((comparison) => labelOf(comparison, comparison, t)))]
  return {
    title: `${t('report')}: ${names}`,
    language: locale === 'zh' ? 'zh-CN' : 'en',
    label: labels.join(' '),
    blocks: entries.flatMap((entry) => entryBlocks(entry, t)),
  }
}
