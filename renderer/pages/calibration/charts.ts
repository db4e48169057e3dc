// Chart options of the calibration report: added samples, histogram with clip lines, channels, ranges. Pure.
import type { ECBasicOption } from 'echarts/types/dist/shared'
import type { CalibrationSample, HistogramDisplay } from '../../../contract/calibration.ts'
import { baseOption, categoryAxis, valueAxis } from '../../charts/options.ts'
import type { ChartPalette } from '../../charts/palette.ts'
import { formatNumber } from '../../format/units.ts'
import { formatFigure } from './figures.ts'

/** Hatching, the second sign of a highlighted bar. */
const HATCH = { symbol: 'rect', dashArrayX: [1, 0], dashArrayY: [2, 3], rotation: -0.7 }

const tooltipOf = (palette: ChartPalette): object => baseOption(palette).tooltip as object

export type CoverageMeasure = 'growing' | 'growth' | 'clipped'

export function measureOf(sample: CalibrationSample, measure: CoverageMeasure): number {
  return measure === 'growing' ? sample.growing_tensors : 100 * sample[measure]
}

export interface SampleBars {
  names: readonly string[]
  values: readonly number[]
  /** The last bars decide: so many. */
  deciding: number
  tooltip: (index: number) => string
}

/** One bar per added sample, in the order of adding; those that decide are set apart. */
export function sampleBars(palette: ChartPalette, data: SampleBars): ECBasicOption {
  const from = data.values.length - data.deciding
  return {
    ...baseOption(palette),
    grid: { left: 4, right: 12, top: 8, bottom: 2, containLabel: true },
    legend: { show: false },
    tooltip: {
      ...tooltipOf(palette),
      formatter: (points: { dataIndex: number }[]) => data.tooltip(points[0]?.dataIndex ?? 0),
    },
    xAxis: {
      ...categoryAxis(palette, data.names),
      axisLabel: { color: palette.ink3, fontSize: 11, hideOverlap: true },
    },
    yAxis: { ...valueAxis(palette), minInterval: 1, splitNumber: 3 },
    series: [
      {
        type: 'bar',
        data: data.values.map((value, index) => ({
          value,
          itemStyle: {
            ...(index >= from
              ? { color: palette.series[2], decal: { ...HATCH, color: palette.pane } }
              : { color: palette.series[0] }),
            borderRadius: [2, 2, 0, 0],
          },
        })),
        barCategoryGap: '25%',
      },
    ],
  }
}

export interface ClipLine {
  label: string
  low: number
  high: number
  /** `chosen` by the recipe, `selected` in the table, or one of the rest. */
  role: 'chosen' | 'selected' | 'other'
}

/** Steps of a histogram as points at the bins' starts, with the end of the last bin closing it. */
export function histogramSteps(
  histogram: Pick<HistogramDisplay, 'low' | 'width' | 'counts'>,
): [number, number][] {
  const { low, width, counts } = histogram
  const points = counts.map((count, index): [number, number] => [low + index * width, count])
  const last = counts.at(-1)
  return last === undefined ? [] : [...points, [low + counts.length * width, last]]
}

/** Lowest value of the logarithmic axis: half a count, so that a single one can be seen. */
const LOG_FLOOR = 0.5

/** A tensor's histogram with both clip lines of every method. */
export function clipHistogram(
  palette: ChartPalette,
  histogram: HistogramDisplay,
  lines: readonly ClipLine[],
  logarithmic: boolean,
): ECBasicOption {
  const steps = histogramSteps(histogram).map(([at, count]): [number, number] => [
    at,
    logarithmic ? Math.max(LOG_FLOOR, count) : count,
  ])
  const total = histogram.counts.reduce((sum, count) => sum + count, 0) || 1
  const edges = [histogram.low, histogram.low + histogram.width * histogram.counts.length]
  const low = Math.min(...edges, ...lines.map((line) => line.low))
  const high = Math.max(...edges, ...lines.map((line) => line.high))
  const margin = (high - low) * 0.02 || 1
  const look = {
    chosen: { color: palette.series[1], width: 2, type: 'solid' },
    selected: { color: palette.series[2], width: 2, type: [6, 3] },
    other: { color: palette.ink3, width: 1, type: [2, 3] },
  }
  return {
    ...baseOption(palette),
    animation: false,
    grid: { left: 4, right: 12, top: 8, bottom: 2, containLabel: true },
    legend: { show: false },
    tooltip: {
      ...tooltipOf(palette),
      axisPointer: { type: 'line', lineStyle: { color: palette.line } },
      formatter: (points: { dataIndex: number }[]) => {
        const at = Math.min(points[0]?.dataIndex ?? 0, histogram.counts.length - 1)
        const start = histogram.low + at * histogram.width
        const count = histogram.counts[at] ?? 0
        return `${formatFigure(start)} … ${formatFigure(start + histogram.width)}<br>${formatNumber(count)} (${formatNumber((100 * count) / total, 3)} %)`
      },
    },
    xAxis: {
      ...valueAxis(palette),
      min: low - margin,
      max: high + margin,
      splitLine: { show: false },
      axisLine: { show: true, onZero: false, lineStyle: { color: palette.line } },
      axisLabel: {
        color: palette.ink3,
        fontSize: 11,
        hideOverlap: true,
        showMinLabel: false,
        showMaxLabel: false,
        formatter: (value: number) => formatFigure(value, 3),
      },
    },
    yAxis: {
      ...valueAxis(palette),
      ...(logarithmic && { type: 'log', logBase: 10, min: LOG_FLOOR }),
      splitNumber: 3,
      axisLabel: {
        color: palette.ink3,
        fontSize: 11,
        formatter: (value: number) => (logarithmic && value < 1 ? '' : shortCount(value)),
      },
    },
    series: [
      {
        type: 'line',
        step: 'end',
        data: steps,
        showSymbol: false,
        lineStyle: { width: 1, color: palette.series[0] },
        areaStyle: { color: palette.series[0], opacity: 0.35, origin: 'start' },
      },
      ...(['other', 'selected', 'chosen'] as const).flatMap((role) =>
        lines
          .filter((line) => line.role === role)
          .map((line) => ({
            type: 'line',
            name: line.label,
            data: [],
            z: role === 'other' ? 3 : 5,
            markLine: {
              symbol: 'none',
              animation: false,
              lineStyle: look[role],
              label: {
                show: false,
                color: palette.ink,
                backgroundColor: palette.pane,
                padding: [2, 4],
                fontSize: 11,
                formatter: line.label,
                position: 'insideEndTop',
                rotate: 0,
              },
              emphasis: { label: { show: true } },
              data: [{ xAxis: line.low }, { xAxis: line.high }],
            },
          })),
      ),
    ],
  }
}

/** `12k`, `3M`: counts on an axis. */
function shortCount(value: number): string {
  if (value >= 1e6) return `${formatFigure(value / 1e6, 2).replace(/\.0$/, '')} M`
  if (value >= 1e3) return `${formatFigure(value / 1e3, 2).replace(/\.0$/, '')} k`
  return formatNumber(value)
}

export interface ChannelBars {
  values: readonly number[]
  outliers: ReadonlySet<number>
  /** Magnitude above which a channel stands out. */
  limit: number
  limitLabel: string
  tooltip: (bar: number) => string
  name: (bar: number) => string
}

/** Largest magnitude by channel; outliers in another colour and hatched, the limit as a line. */
export function channelBars(palette: ChartPalette, data: ChannelBars): ECBasicOption {
  return {
    ...baseOption(palette),
    animation: false,
    grid: { left: 4, right: 12, top: 20, bottom: 2, containLabel: true },
    legend: { show: false },
    tooltip: {
      ...tooltipOf(palette),
      formatter: (points: { dataIndex: number }[]) => data.tooltip(points[0]?.dataIndex ?? 0),
    },
    xAxis: {
      ...categoryAxis(
        palette,
        data.values.map((_, bar) => data.name(bar)),
      ),
      axisLabel: { color: palette.ink3, fontSize: 11, hideOverlap: true },
    },
    yAxis: { ...valueAxis(palette), splitNumber: 3 },
    series: [
      {
        type: 'bar',
        barCategoryGap: data.values.length > 64 ? '0%' : '20%',
        data: data.values.map((value, bar) => ({
          value,
          itemStyle: data.outliers.has(bar)
            ? { color: palette.series[2], decal: { ...HATCH, color: palette.pane } }
            : { color: palette.series[0] },
        })),
        ...(data.outliers.size > 0 && {
          markLine: {
            silent: true,
            symbol: 'none',
            lineStyle: { color: palette.ink3, type: [4, 3], width: 1 },
            label: {
              formatter: data.limitLabel,
              position: 'insideStartTop',
              color: palette.ink2,
              fontSize: 11,
            },
            data: [{ yAxis: data.limit }],
          },
        }),
      },
    ],
  }
}

export interface RangeBars {
  names: readonly string[]
  ranges: readonly { min: number; max: number }[]
  marked: ReadonlySet<number>
  /** Clip range of the chosen method. */
  clip: { low: number; high: number; label: string }
  tooltip: (index: number) => string
}

/** Ranges as bars that reach from below to above zero, as a quantization grid does. */
export function rangeBars(palette: ChartPalette, data: RangeBars): ECBasicOption {
  const style = (index: number): object =>
    data.marked.has(index)
      ? { color: palette.series[2], decal: { ...HATCH, color: palette.pane } }
      : { color: palette.series[0] }
  const side = (value: (range: { min: number; max: number }) => number): object => ({
    type: 'bar',
    stack: 'range',
    barCategoryGap: '25%',
    data: data.ranges.map((range, index) => ({ value: value(range), itemStyle: style(index) })),
  })
  return {
    ...baseOption(palette),
    animation: false,
    grid: { left: 4, right: 12, top: 20, bottom: 2, containLabel: true },
    legend: { show: false },
    tooltip: {
      ...tooltipOf(palette),
      formatter: (points: { dataIndex: number }[]) => data.tooltip(points[0]?.dataIndex ?? 0),
    },
    xAxis: {
      ...categoryAxis(palette, data.names),
      axisLine: { onZero: true, lineStyle: { color: palette.line } },
      axisLabel: { color: palette.ink3, fontSize: 11, hideOverlap: true },
    },
    yAxis: { ...valueAxis(palette), splitNumber: 4 },
    series: [
      {
        ...side((range) => Math.max(0, range.max)),
        markLine: {
          silent: true,
          symbol: 'none',
          lineStyle: { color: palette.series[1], type: 'solid', width: 1.5 },
          label: { show: false },
          data: [
            {
              yAxis: data.clip.high,
              label: {
                show: true,
                formatter: data.clip.label,
                position: 'insideEndTop',
                color: palette.ink2,
                fontSize: 11,
              },
            },
            { yAxis: data.clip.low },
          ],
        },
      },
      side((range) => Math.min(0, range.min)),
    ],
  }
}
