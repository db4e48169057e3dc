// The rows of the comparison table from a comparison: values with common decimals, changes, intervals, greyed gaps. Pure.
import type { ComparisonSection, ComparisonSide, Delta } from '../../../contract/comparison.ts'
import { decimalsFor, formatChange, formatNumber, formatSigned, mebibytes } from '../../format/units.ts'

export type Tone = 'good' | 'bad' | 'none'

export interface Change {
  /** `-38 %`, `-23.7`, or empty. */
  text: string
  tone: Tone
  /** Within the noise: the page says so in words instead of a figure. */
  noDifference: boolean
  /** `-39 … -37 %`, or a key under compare.interval (`exact`, `single`). */
  interval: { low: string; high: string } | 'exact' | 'single' | null
}

export interface CompareRow {
  /** Under compare.rows. */
  key: string
  unit: string
  /** Baseline first; formatted with the same decimals. */
  values: string[]
  /** The exact figures, for the hover text. */
  exact: (number | null)[]
  /** Runs that a missing percentile would need; null when it is there. */
  needed: number | null
  count: number | null
  /** One per candidate. */
  changes: Change[]
}

export interface CompareGroup {
  /** Under compare.groups. */
  key: 'speed' | 'size' | 'quality'
  rows: CompareRow[]
}

const NO_CHANGE: Change = { text: '', tone: 'none', noDifference: false, interval: null }

function findDelta(
  section: ComparisonSection,
  candidate: ComparisonSide,
  metric: Delta['metric'],
): Delta | undefined {
  return section.deltas.find((delta) => delta.metric === metric && delta.candidate === candidate.label)
}

function changeOfDelta(delta: Delta | undefined): Change {
  if (!delta) return NO_CHANGE
  const tone = delta.better === 'candidate' ? 'good' : delta.better === 'baseline' ? 'bad' : 'none'
  const percent = (ratio: number): string =>
    formatSigned((ratio - 1) * 100, Math.abs(delta.high - delta.low) < 0.02 ? 1 : 0)
  return {
    text: formatChange(delta.ratio),
    tone,
    noDifference: delta.no_difference,
    interval:
      delta.method === 'exact' ? 'exact' : { low: percent(delta.low), high: `${percent(delta.high)} %` },
  }
}

/** Change of a figure that has no interval of its own: muted unless the side's main figure proves a difference. */
function plainChange(
  baseline: number | null,
  candidate: number | null,
  lowerIsBetter: boolean,
  interval: Change['interval'],
): Change {
  if (baseline === null || candidate === null || baseline === 0) return NO_CHANGE
  const ratio = candidate / baseline
  if (ratio === 1) return { ...NO_CHANGE, noDifference: true, interval }
  return {
    text: formatChange(ratio),
    tone: ratio < 1 === lowerIsBetter ? 'good' : 'bad',
    noDifference: false,
    interval,
  }
}

interface RowInput {
  key: string
  unit: string
  values: (number | null)[]
  decimals?: number
  needed?: number | null
  count?: number | null
  changes: Change[]
}

function row(input: RowInput): CompareRow {
  const decimals = input.decimals ?? decimalsFor(input.values)
  return {
    key: input.key,
    unit: input.unit,
    values: input.values.map((value) => formatNumber(value, decimals)),
    exact: input.values,
    needed: input.needed ?? null,
    count: input.count ?? null,
    changes: input.changes,
  }
}

const percentiles = ['p50', 'p90', 'p95', 'p99', 'p999'] as const

function latencyRows(section: ComparisonSection, sides: ComparisonSide[]): CompareRow[] {
  const figures = sides.map((side) => side.latency_ms)
  const comparable = section.incomparable.length === 0
  const means = figures.map((figure) => figure.mean)
  // One number of decimals for mean and percentiles, so that the column reads as one.
  const decimals = decimalsFor(means)
  const mean = row({
    key: 'mean',
    unit: 'ms',
    values: means,
    decimals,
    changes: section.candidates.map((side) =>
      comparable ? changeOfDelta(findDelta(section, side, 'latency_ms')) : NO_CHANGE,
    ),
  })
  const exact = section.deltas.some((delta) => delta.metric === 'latency_ms' && delta.method === 'exact')
  const rest = percentiles.map((name) => {
    const values = figures.map((figure) => figure[name])
    const missing = figures.find((figure) => figure[name] === null)
    const baseline = values[0] ?? null
    return row({
      key: name,
      unit: 'ms',
      values,
      decimals,
      needed: missing ? missing.needed[name] : null,
      count: missing ? missing.count : null,
      changes: values.slice(1).map((value) => percentileChange(baseline, value, comparable, exact)),
    })
  })
  return [mean, ...rest]
}

/** A percentile has no interval of its own: unless it is exact, its change is shown but never coloured. */
function percentileChange(
  baseline: number | null,
  value: number | null,
  comparable: boolean,
  exact: boolean,
): Change {
  if (!comparable) return NO_CHANGE
  if (exact) return plainChange(baseline, value, true, 'exact')
  return { ...plainChange(baseline, value, true, null), tone: 'none' }
}

function speedGroup(section: ComparisonSection, sides: ComparisonSide[]): CompareGroup {
  const rows = latencyRows(section, sides)
  const comparable = section.incomparable.length === 0
  rows.push(
    row({
      key: 'qps',
      unit: 'QPS',
      values: sides.map((side) => side.qps),
      changes: section.candidates.map((side) =>
        comparable ? changeOfDelta(findDelta(section, side, 'qps')) : NO_CHANGE,
      ),
    }),
  )
  if (sides.some((side) => side.h2d_ms !== null)) {
    rows.push(
      row({
        key: 'end_to_end',
        unit: 'ms',
        values: sides.map((side) => side.end_to_end_ms.mean),
        changes: section.candidates.map((side) =>
          comparable ? changeOfDelta(findDelta(section, side, 'end_to_end_ms')) : NO_CHANGE,
        ),
      }),
    )
  }
  return { key: 'speed', rows }
}

function sizeGroup(section: ComparisonSection, sides: ComparisonSide[]): CompareGroup {
  const rows = [
    row({
      key: 'size',
      unit: 'MiB',
      values: sides.map((side) => mebibytes(side.size_bytes)),
      changes: section.candidates.map((side) => changeOfDelta(findDelta(section, side, 'size_bytes'))),
    }),
    row({
      key: 'memory',
      unit: 'MiB',
      values: sides.map((side) =>
        side.device_memory_bytes === null ? null : mebibytes(side.device_memory_bytes),
      ),
      changes: section.candidates.map((side) =>
        changeOfDelta(findDelta(section, side, 'device_memory_bytes')),
      ),
    }),
    row({
      key: 'load',
      unit: 'ms',
      values: sides.map((side) => side.load_ms),
      // Loaded once each: one observation proves no difference.
      changes: section.candidates.map((side) => ({
        ...plainChange(section.baseline.load_ms, side.load_ms, true, 'single'),
        tone: 'none' as const,
      })),
    }),
  ]
  return { key: 'size', rows }
}

function qualityGroup(sides: ComparisonSide[]): CompareGroup | null {
  if (sides.every((side) => side.quality === null)) return null
  const of = (pick: (side: ComparisonSide) => number | null | undefined): (number | null)[] =>
    sides.map((side) => pick(side) ?? null)
  const difference = (values: (number | null)[], decimals: number, higherIsBetter: boolean): Change[] =>
    values.slice(1).map((value) => {
      const baseline = values[0] ?? null
      if (baseline === null || value === null) return NO_CHANGE
      const text = formatSigned(value - baseline, decimals)
      if (/^[0.,]+$/.test(text)) return { ...NO_CHANGE, noDifference: true }
      return {
        text,
        tone: value > baseline === higherIsBetter ? 'good' : 'bad',
        noDifference: false,
        interval: null,
      }
    })
  const make = (
    key: string,
    unit: string,
    values: (number | null)[],
    decimals: number,
    higher: boolean,
  ): CompareRow => row({ key, unit, values, decimals, changes: difference(values, decimals, higher) })
  const rows = [
    make(
      'sqnr',
      'dB',
      of((side) => side.quality?.sqnr_db),
      1,
      true,
    ),
    make(
      'worst',
      'dB',
      of((side) => side.quality?.worst_sample.sqnr_db),
      1,
      true,
    ),
    make(
      'cosine',
      '',
      of((side) => side.quality?.cosine),
      6,
      true,
    ),
  ]
  return { key: 'quality', rows }
}

/** The whole table of one device section, top to bottom. */
export function compareGroups(section: ComparisonSection): CompareGroup[] {
  const sides = [section.baseline, ...section.candidates]
  const groups = [speedGroup(section, sides), sizeGroup(section, sides), qualityGroup(sides)]
  return groups.filter((group) => group !== null)
}
