// What a calibration report says, in the terms of the window: rows, shares, methods, settings for a recipe. Pure.
import type { Coverage, MethodResult, TensorReport } from '../../../contract/calibration.ts'
import { ACTIVATION_DEFAULTS, type LayerOverride } from '../../../contract/recipe.ts'
import type { CalibrationTensorRow } from '../../../contract/rpc/index.ts'
import type { LayerNames } from '../quantize/patterns.ts'

export type OverrideActivation = NonNullable<LayerOverride['activation']>

/** Several layers may read one tensor with different settings: the first layer tells such entries apart. */
export function rowKey(row: Pick<CalibrationTensorRow, 'tensor' | 'layers'>): string {
  return `${row.layers[0] ?? ''}\n${row.tensor}`
}

/** `/unet/mid/conv/Conv` -> `unet/mid/conv`: the operator that exporters append says nothing where it is the only one. */
export function shortLayer(name: string): string {
  return name.startsWith('/') ? name.slice(1).replace(/(?<=.)\/[A-Z][A-Za-z0-9]*$/, '') : name
}

/** A method with its percentile, where that is what tells results apart. */
export function methodKey({ method, percentile }: Pick<MethodResult, 'method' | 'percentile'>): string {
  return percentile === null ? method : `${method} ${percentile}`
}

/** SQNR to sort and subtract by: no error at all is better than any figure. */
function rank(sqnr: number | null): number {
  return sqnr ?? Infinity
}

/** The method of the best SQNR; the earlier of equals, as the report orders them. */
export function bestMethod(methods: readonly MethodResult[]): MethodResult | null {
  return methods.reduce<MethodResult | null>(
    (best, method) => (best === null || rank(method.sqnr_db) > rank(best.sqnr_db) ? method : best),
    null,
  )
}

/** The row of the least SQNR of what the recipe chose; the earlier of equals. */
export function worstRow<Row extends Pick<CalibrationTensorRow, 'chosen'>>(rows: readonly Row[]): Row | null {
  return rows.reduce<Row | null>(
    (worst, row) => (worst === null || rank(row.chosen.sqnr_db) < rank(worst.chosen.sqnr_db) ? row : worst),
    null,
  )
}

/** dB that the best method gains over the chosen one; 0 where there is nothing to gain, null where it is not known. */
export function gainDb(row: Pick<CalibrationTensorRow, 'chosen' | 'best'>): number | null {
  const { chosen, best } = row
  if (chosen.sqnr_db === null) return 0
  return best.sqnr_db === null ? null : Math.max(0, best.sqnr_db - chosen.sqnr_db)
}

/** Whether the chosen result and one of the methods are the same line of the comparison. */
export function isChosen(tensor: Pick<TensorReport, 'chosen'>, method: MethodResult): boolean {
  return methodKey(tensor.chosen) === methodKey(method)
}

/**
 * The comparison with the chosen method first where it is not among those compared (its own parameters, or a method
 * that only the recipe names).
 */
export function comparedMethods(tensor: Pick<TensorReport, 'chosen' | 'methods'>): MethodResult[] {
  const listed = tensor.methods.some((method) => isChosen(tensor, method))
  return listed ? [...tensor.methods] : [tensor.chosen, ...tensor.methods]
}

/** Settings of an override that give a layer this method as the report computed it. */
export function overrideFor(
  method: Pick<MethodResult, 'method' | 'percentile'>,
  symmetric: boolean,
): OverrideActivation {
  return {
    method: method.method,
    ...(method.percentile !== null &&
      method.percentile !== ACTIVATION_DEFAULTS.percentile && { percentile: method.percentile }),
    ...(symmetric && method.method !== 'max_abs' && { symmetric: true }),
  }
}

/** Whether settings of a recipe are those of a method of the report. */
export function usesMethod(
  settings: Partial<OverrideActivation> & Pick<OverrideActivation, 'method'>,
  method: Pick<MethodResult, 'method' | 'percentile'>,
): boolean {
  if (settings.method !== method.method) return false
  return (
    method.percentile === null ||
    (settings.percentile ?? ACTIVATION_DEFAULTS.percentile) === method.percentile
  )
}

/**
 * Names of the layers of a tensor, for overrides. A layer that weight repair split into halves is named by the layer it
 * was, since rules for it apply to both.
 */
export function layersOfTensor(
  tensor: Pick<TensorReport, 'layers'>,
  known: readonly LayerNames[],
): LayerNames[] {
  const byName = new Map(known.map((layer) => [layer.name, layer]))
  const found = tensor.layers.map(({ name, op_type }): LayerNames => {
    const whole = name.replace(/\.split[01]$/, '')
    return (
      byName.get(name) ??
      byName.get(whole) ?? {
        name: known.length > 0 ? whole : name,
        modulePath: null,
        weight: null,
        opType: op_type,
      }
    )
  })
  return [...new Map(found.map((layer) => [layer.name, layer])).values()]
}

export interface CoverageShares {
  tensors: number
  settled: number
  /** 0..1; null when the samples are too few to say. */
  share: number | null
}

/** The meter: how many tensors no longer grow. */
export function coverageShares(
  coverage: Pick<Coverage, 'verdict' | 'growing_tensors'>,
  tensors: number,
): CoverageShares {
  const settled = Math.max(0, tensors - coverage.growing_tensors)
  return {
    tensors,
    settled,
    share: coverage.verdict === 'too_few' || tensors === 0 ? null : settled / tensors,
  }
}

export function verdictTone(verdict: Coverage['verdict']): 'good' | 'warn' | 'plain' {
  return { enough: 'good', not_enough: 'warn', too_few: 'plain' }[verdict] as 'good' | 'warn' | 'plain'
}

/** Bars of the channel chart that hold an outlier channel. */
export function outlierBars(channels: NonNullable<TensorReport['channels']>): Set<number> {
  const bars = channels.abs_max.flatMap((value, bar) =>
    value > channels.limit * channels.median ? [bar] : [],
  )
  return new Set(channels.outlier_channels > 0 ? bars : [])
}

/** Channels behind a bar, first and last. */
export function channelsOfBar(
  channels: Pick<NonNullable<TensorReport['channels']>, 'group' | 'channels'>,
  bar: number,
): { first: number; last: number } {
  const first = bar * channels.group
  return { first, last: Math.min(channels.channels, first + channels.group) - 1 }
}

/** Samples that extend a tensor's range, the first one left out: it is all new by definition. */
export function extendingSamples(samples: readonly { growth: number }[]): Set<number> {
  return new Set(samples.flatMap((sample, index) => (index > 0 && sample.growth > 0 ? [index] : [])))
}
