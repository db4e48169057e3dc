// An observer's full description, defaults filled in: equal descriptions of one tensor share one observer.
import {
  ACTIVATION_DEFAULTS,
  type ActivationMethod,
  type ActivationSettings,
} from '../../../contract/recipe.ts'
import type { IfmrOptions } from './observer.ts'

export interface ObserverSpec {
  method: ActivationMethod
  symmetric: boolean
  percentile: number
  bins: number
  averagingConstant: number
  ifmr: IfmrOptions
}

/** Methods whose ranges follow from the smallest and largest value of every run. */
const EXTREMES_ONLY: readonly ActivationMethod[] = ['min_max', 'max_abs', 'moving_average']

/** @param symmetric Overrides the recipe's choice where the device takes nothing else. */
export function observerSpec(settings: ActivationSettings, symmetric = false): ObserverSpec {
  const { method } = settings
  const defaultBins = method === 'hfmg' ? ACTIVATION_DEFAULTS.hfmgBins : ACTIVATION_DEFAULTS.bins
  return {
    method,
    symmetric: symmetric || method === 'max_abs' || settings.symmetric === true,
    percentile: settings.percentile ?? ACTIVATION_DEFAULTS.percentile,
    bins: settings.bins ?? defaultBins,
    averagingConstant: settings.averaging_constant ?? ACTIVATION_DEFAULTS.averagingConstant,
    ifmr: {
      maxPercentile: settings.max_percentile ?? ACTIVATION_DEFAULTS.trimming,
      minPercentile: settings.min_percentile ?? ACTIVATION_DEFAULTS.trimming,
      searchRange: settings.search_range ?? ACTIVATION_DEFAULTS.searchRange,
      searchStep: settings.search_step ?? ACTIVATION_DEFAULTS.searchStep,
    },
  }
}

export function needsValues(spec: ObserverSpec): boolean {
  return !EXTREMES_ONLY.includes(spec.method)
}

/** What a request for a tensor's range is known by. */
export function observerKey(tensor: string, spec: ObserverSpec): string {
  return JSON.stringify([tensor, spec])
}
