// The chart of error by step: mean and worst of every side, and the chosen sample. Pure.
import type { ECBasicOption } from 'echarts/types/dist/shared'
import { baseOption, valueAxis } from '../../charts/options.ts'
import { seriesColor, type ChartPalette } from '../../charts/palette.ts'
import { metricText } from '../compare/generated.ts'

export interface StepSeries {
  name: string
  /** Column of the side, for its colour. */
  side: number
  kind: 'mean' | 'worst' | 'sample'
  points: readonly (readonly [number, number])[]
}

const LOOK = {
  mean: { width: 2, type: 'solid', opacity: 1 },
  worst: { width: 1.5, type: 'dashed', opacity: 1 },
  sample: { width: 1.5, type: 'dotted', opacity: 0.9 },
} as const

/**
 * @param axis `descending`: denoising goes from large time steps to small; `logarithmic`: KL spans orders of magnitude
 */
export function stepsOption(
  palette: ChartPalette,
  series: readonly StepSeries[],
  axis: { name: string; descending: boolean; logarithmic: boolean; unit: string },
): ECBasicOption {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value)).filter((value) => value > 0)
  return {
    ...baseOption(palette),
    grid: { left: 8, right: 24, top: 32, bottom: 4, containLabel: true },
    // Symbols as the lines are drawn: dashes tell mean and worst apart.
    legend: { ...(baseOption(palette).legend as object), icon: undefined, itemWidth: 24, itemHeight: 6 },
    tooltip: {
      ...(baseOption(palette).tooltip as object),
      axisPointer: { type: 'line', lineStyle: { color: palette.ink3 } },
      valueFormatter: (value: unknown) => `${metricText(value as number, 2)} ${axis.unit}`,
    },
    xAxis: {
      ...valueAxis(palette),
      inverse: axis.descending,
      min: 'dataMin',
      max: 'dataMax',
      splitLine: { show: false },
      axisLabel: {
        color: palette.ink3,
        fontSize: 11,
        hideOverlap: true,
        formatter: (value: number) => (value === 0 ? `${axis.name} 0` : String(Math.round(value))),
      },
    },
    yAxis: {
      ...valueAxis(palette),
      ...(axis.logarithmic && {
        type: 'log',
        min: 10 ** Math.floor(Math.log10(Math.min(...values, 1))),
        axisLabel: {
          color: palette.ink3,
          fontSize: 11,
          formatter: (value: number) => (value < 0.01 ? value.toExponential(0) : String(value)),
        },
      }),
      scale: true,
    },
    series: series.map(({ name, side, kind, points }) => ({
      type: 'line',
      name,
      data: points.filter(([, value]) => !axis.logarithmic || value > 0).map((point) => [...point]),
      showSymbol: points.length <= 60 && kind === 'mean',
      symbolSize: 4,
      itemStyle: { color: seriesColor(palette, side) },
      lineStyle: { ...LOOK[kind], color: seriesColor(palette, side) },
    })),
  }
}
