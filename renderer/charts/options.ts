// Chart options as pure functions of data and palette: one look for axes, tooltips and legends.
import type { ECBasicOption } from 'echarts/types/dist/shared'
import { formatNumber } from '../format/units.ts'
import { seriesColor, type ChartPalette } from './palette.ts'

/** What every chart shares. */
export function baseOption(palette: ChartPalette): ECBasicOption {
  return {
    animationDuration: 200,
    animationDurationUpdate: 150,
    textStyle: { fontFamily: palette.font, fontSize: 12, color: palette.ink2 },
    aria: { enabled: true },
    grid: { left: 8, right: 16, top: 28, bottom: 4, containLabel: true },
    tooltip: {
      trigger: 'axis',
      confine: true,
      backgroundColor: palette.pane,
      borderColor: palette.line,
      borderWidth: 1,
      padding: [6, 10],
      textStyle: { color: palette.ink, fontSize: 12, fontFamily: palette.font },
      axisPointer: { type: 'shadow', shadowStyle: { color: palette.line, opacity: 0.35 } },
    },
    legend: {
      top: 0,
      right: 8,
      itemWidth: 12,
      itemHeight: 8,
      itemGap: 16,
      icon: 'roundRect',
      textStyle: { color: palette.ink2, fontSize: 12 },
    },
  }
}

/** A value axis with hairline guides. */
export function valueAxis(palette: ChartPalette, name?: string): Record<string, unknown> {
  return {
    type: 'value',
    ...(name && {
      name,
      nameLocation: 'end',
      nameGap: 8,
      nameTextStyle: { color: palette.ink3, align: 'left' },
    }),
    axisLabel: { color: palette.ink3, fontSize: 11, hideOverlap: true },
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: palette.line } },
  }
}

/** A category axis; layer names are set in the fixed-width face and cut from the left, where they are all alike. */
export function categoryAxis(
  palette: ChartPalette,
  names: readonly string[],
  mono = false,
): Record<string, unknown> {
  return {
    type: 'category',
    data: [...names],
    axisLabel: {
      color: palette.ink2,
      fontSize: 11,
      ...(mono && { interval: 0 }),
      ...(mono && { fontFamily: palette.mono, formatter: (name: string) => shortenName(name, 34) }),
    },
    axisLine: { lineStyle: { color: palette.line } },
    axisTick: { show: false },
  }
}

/** Keeps the end of a long dotted name, where layers differ. */
export function shortenName(name: string, limit: number): string {
  return name.length <= limit ? name : `…${name.slice(name.length - limit + 1)}`
}

export interface NamedValues {
  label: string
  values: readonly (number | null)[]
}

/** Groups of horizontal bars, first group on top, one bar per column (baseline first). */
export function groupedBars(
  palette: ChartPalette,
  groups: readonly string[],
  columns: readonly NamedValues[],
  unit: string,
  decimals: number,
): ECBasicOption {
  return {
    ...baseOption(palette),
    ...(columns.length === 1 && { legend: { show: false } }),
    grid: { left: 8, right: 20, top: columns.length === 1 ? 4 : 28, bottom: 4, containLabel: true },
    xAxis: valueAxis(palette),
    yAxis: { ...categoryAxis(palette, groups, true), inverse: true },
    tooltip: {
      ...(baseOption(palette).tooltip as object),
      valueFormatter: (value: unknown) => `${formatNumber(value as number, decimals)} ${unit}`,
    },
    series: columns.map((column, index) => ({
      type: 'bar',
      name: column.label,
      data: [...column.values],
      barMaxWidth: 8,
      barGap: '25%',
      barCategoryGap: '35%',
      itemStyle: { color: seriesColor(palette, index), borderRadius: [0, 2, 2, 0] },
    })),
  }
}

/** One stacked horizontal bar per column: what the whole is made of. */
export function stackedBars(
  palette: ChartPalette,
  columns: readonly string[],
  parts: readonly { label: string; values: readonly number[]; color: string; decal?: boolean }[],
  format: (value: number) => string,
): ECBasicOption {
  return {
    ...baseOption(palette),
    grid: { left: 8, right: 20, top: 32, bottom: 4, containLabel: true },
    xAxis: valueAxis(palette),
    yAxis: { ...categoryAxis(palette, columns), inverse: true },
    tooltip: {
      ...(baseOption(palette).tooltip as object),
      valueFormatter: (value: unknown) => format(value as number),
    },
    series: parts.map((part) => ({
      type: 'bar',
      name: part.label,
      stack: 'all',
      data: [...part.values],
      barMaxWidth: 22,
      itemStyle: {
        color: part.color,
        borderColor: palette.pane,
        borderWidth: 1,
        // Hatching keeps parts apart where hues alone would not.
        ...(part.decal && {
          decal: {
            symbol: 'rect',
            dashArrayX: [1, 0],
            dashArrayY: [2, 4],
            rotation: -0.7,
            color: palette.pane,
          },
        }),
      },
    })),
  }
}

export interface HistogramData {
  edges: readonly number[]
  counts: readonly number[]
}

/** One histogram as touching bars over a value axis. */
export function histogramOption(palette: ChartPalette, data: HistogramData, color: string): ECBasicOption {
  const total = data.counts.reduce((sum, count) => sum + count, 0) || 1
  return {
    ...baseOption(palette),
    grid: { left: 4, right: 8, top: 8, bottom: 2, containLabel: true },
    legend: { show: false },
    tooltip: {
      ...(baseOption(palette).tooltip as object),
      formatter: (points: { dataIndex: number }[]) => {
        const at = points[0]?.dataIndex ?? 0
        const low = data.edges[at] ?? 0
        const high = data.edges[at + 1] ?? 0
        const count = data.counts[at] ?? 0
        return `${formatNumber(low, 3)} … ${formatNumber(high, 3)}<br>${formatNumber(count)} (${formatNumber((100 * count) / total, 2)} %)`
      },
    },
    xAxis: {
      ...categoryAxis(
        palette,
        data.counts.map((_, index) =>
          formatNumber(((data.edges[index] ?? 0) + (data.edges[index + 1] ?? 0)) / 2, 2),
        ),
      ),
      axisLabel: {
        color: palette.ink3,
        fontSize: 11,
        interval: Math.max(0, Math.floor(data.counts.length / 5) - 1),
      },
    },
    yAxis: { ...valueAxis(palette), axisLabel: { show: false }, splitLine: { show: false } },
    series: [{ type: 'bar', data: [...data.counts], barCategoryGap: 0, barGap: 0, itemStyle: { color } }],
  }
}

/** A bare line over time, for telemetry; values are [time, value]. */
export function sparkline(
  palette: ChartPalette,
  points: readonly (readonly [number, number])[],
  max?: number,
): ECBasicOption {
  return {
    animation: false,
    grid: { left: 0, right: 0, top: 2, bottom: 2 },
    xAxis: { type: 'time', show: false },
    yAxis: { type: 'value', show: false, min: 0, ...(max !== undefined && { max }) },
    series: [
      {
        type: 'line',
        data: points.map((point) => [...point]),
        showSymbol: false,
        lineStyle: { width: 1.5, color: palette.accent },
        areaStyle: { color: palette.accent, opacity: 0.12 },
      },
    ],
  }
}
