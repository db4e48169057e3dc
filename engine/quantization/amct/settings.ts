// What AMCT's configurations say about a layer, apart from the syntax they say it in; and that as parts of a recipe.
// Defaults and rules: AMCT, common/config/field.py and calibration_config_pytorch.proto.
import {
  ACTIVATION_DEFAULTS,
  type ActivationSettings,
  type LayerPrecision,
  REPAIR_DEFAULTS,
  type WeightMethod,
} from '../../../contract/recipe.ts'

export interface AmctActivation {
  algorithm: 'ifmr' | 'hfmg'
  /** Undefined: as the global activation_offset says. */
  asymmetric?: boolean
  maxPercentile: number
  minPercentile: number
  searchRange: readonly [number, number]
  searchStep: number
  bins: number
}

export interface AmctAdaRound {
  iterations: number
  regularization: number
  betaRange: readonly [number, number]
  warmStart: number
}

export interface AmctWeight {
  bits: 4 | 8
  /** Undefined: where the operator type allows it. */
  channelWise?: boolean
  /** Present for ada_quantize, absent for arq_quantize. */
  adaRound?: AmctAdaRound
}

export interface AmctSettings {
  activation: AmctActivation
  weight: AmctWeight
  /** migration_strength of the DMQ balancer. */
  balance?: number
}

export const DEFAULT_ACTIVATION: AmctActivation = {
  algorithm: 'ifmr',
  maxPercentile: ACTIVATION_DEFAULTS.trimming,
  minPercentile: ACTIVATION_DEFAULTS.trimming,
  searchRange: ACTIVATION_DEFAULTS.searchRange,
  searchStep: ACTIVATION_DEFAULTS.searchStep,
  bins: ACTIVATION_DEFAULTS.hfmgBins,
}

export const DEFAULT_ADAROUND: AmctAdaRound = {
  iterations: REPAIR_DEFAULTS.iterations,
  regularization: REPAIR_DEFAULTS.regularization,
  betaRange: REPAIR_DEFAULTS.betaRange,
  warmStart: REPAIR_DEFAULTS.warmStart,
}

export const DEFAULT_SETTINGS: AmctSettings = { activation: DEFAULT_ACTIVATION, weight: { bits: 8 } }

/**
 * IFMR that leaves the range alone: nothing trimmed, and 1 as the only candidate (torch.arange leaves out the end). Its
 * scale and offset are those of plain min-max. Binary fractions, so that the step fills the range exactly.
 */
export const PLAIN_RANGE = { searchRange: [1, 1.0625], searchStep: 0.0625 } as const

/** True when the search tries nothing but the trimmed extremes themselves. */
function searchesNothing({ searchRange, searchStep }: AmctActivation): boolean {
  const [start, end] = searchRange
  return start === 1 && Math.ceil((end - start) / searchStep) === 1
}

/** The range method of a layer, without parameters that are defaults. */
export function activationSettings(
  activation: AmctActivation,
  activationOffset: boolean,
): ActivationSettings {
  const symmetric = !(activation.asymmetric ?? activationOffset)
  if (activation.algorithm === 'hfmg') {
    const bins = activation.bins as ActivationSettings['bins']
    return {
      method: 'hfmg',
      ...(symmetric && { symmetric }),
      ...(bins !== ACTIVATION_DEFAULTS.hfmgBins && { bins }),
    }
  }
  const { maxPercentile, minPercentile, searchRange, searchStep } = activation
  const trims = maxPercentile < 1 || minPercentile < 1
  if (!trims && searchesNothing(activation)) return { method: symmetric ? 'max_abs' : 'min_max' }
  const [start, end] = ACTIVATION_DEFAULTS.searchRange
  return {
    method: 'ifmr',
    ...(symmetric && { symmetric }),
    ...(maxPercentile !== ACTIVATION_DEFAULTS.trimming && { max_percentile: maxPercentile }),
    ...(minPercentile !== ACTIVATION_DEFAULTS.trimming && { min_percentile: minPercentile }),
    ...((searchRange[0] !== start || searchRange[1] !== end) && {
      search_range: [searchRange[0], searchRange[1]],
    }),
    ...(searchStep !== ACTIVATION_DEFAULTS.searchStep && { search_step: searchStep }),
  }
}

export function precisionOf(settings: AmctSettings): LayerPrecision {
  return settings.weight.bits === 4 ? 'w4a8' : 'int8'
}

/** ada_quantize starts from scales of the KL search, arq_quantize from the largest magnitude (AMCT). */
export function weightMethodOf(settings: AmctSettings): WeightMethod {
  return settings.weight.adaRound ? 'kl' : 'max_abs'
}

/** A key by which equal settings are known. */
export function settingsKey(value: unknown): string {
  return JSON.stringify(value)
}

/** The most frequent of several values by a key; the first of them wins a tie. Undefined for none. */
export function mostFrequent<T>(values: readonly T[]): T | undefined {
  const groups = [...Map.groupBy(values, settingsKey).values()]
  return groups.toSorted((a, b) => b.length - a.length)[0]?.[0]
}
