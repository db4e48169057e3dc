// Parameters of range methods and of weight repair: which belong to a method, their defaults, and what is wrong with a value.
// Nothing here repeats a limit: the schema of the recipe is asked.
import type { z } from 'zod'
import {
  ACTIVATION_DEFAULTS,
  activationSchema,
  METHOD_PARAMETERS,
  REPAIR_DEFAULTS,
  repairSchema,
  type ActivationMethod,
  type ActivationSettings,
  type MethodParameter,
  type RepairSettings,
  type RoundingSettings,
} from '../../../contract/recipe.ts'

/** Parameters that are a number in a field of its own. */
export type NumberParameter = Exclude<MethodParameter, 'symmetric' | 'bins' | 'search_range'>

const has = (method: ActivationMethod, parameter: MethodParameter): boolean =>
  METHOD_PARAMETERS[method].includes(parameter)

/** `max_abs` is symmetric by definition: there is nothing to choose. */
export const hasSymmetry = (method: ActivationMethod): boolean =>
  has(method, 'symmetric') && method !== 'max_abs'
export const hasSearch = (method: ActivationMethod): boolean => has(method, 'search_range')

const NUMBER_DEFAULTS: Record<NumberParameter, number> = {
  percentile: ACTIVATION_DEFAULTS.percentile,
  averaging_constant: ACTIVATION_DEFAULTS.averagingConstant,
  max_percentile: ACTIVATION_DEFAULTS.trimming,
  min_percentile: ACTIVATION_DEFAULTS.trimming,
  search_step: ACTIVATION_DEFAULTS.searchStep,
}

/** Number parameters of a method with what holds where nothing is said. */
export function numberParameters(method: ActivationMethod): { name: NumberParameter; fallback: number }[] {
  const names = Object.keys(NUMBER_DEFAULTS) as NumberParameter[]
  return names.filter((name) => has(method, name)).map((name) => ({ name, fallback: NUMBER_DEFAULTS[name] }))
}

const BIN_COUNTS = [1024, 2048, 4096, 8192, 16384] as const
export type BinCount = (typeof BIN_COUNTS)[number]

/** Numbers of bins a method takes, and its default; empty where it has no histogram. */
export function binCounts(method: ActivationMethod): { counts: BinCount[]; fallback: number } {
  const counts = has(method, 'bins')
    ? BIN_COUNTS.filter((bins) => activationSchema.safeParse({ method, bins }).success)
    : []
  return { counts, fallback: method === 'hfmg' ? ACTIVATION_DEFAULTS.hfmgBins : ACTIVATION_DEFAULTS.bins }
}

/** Another method: what it takes of the parameters stays, the rest goes. */
export function withMethod(settings: ActivationSettings, method: ActivationMethod): ActivationSettings {
  const kept = Object.entries(settings).filter(([name]) => has(method, name as MethodParameter))
  const wanted = { ...Object.fromEntries(kept), method }
  return activationSchema.safeParse(wanted).data ?? { method }
}

/** Changes one parameter; `undefined` goes back to the default. */
export function withParameter<Name extends MethodParameter>(
  settings: ActivationSettings,
  name: Name,
  value: ActivationSettings[Name] | undefined,
): ActivationSettings {
  const { [name]: _previous, ...rest } = settings
  return value === undefined ? (rest as ActivationSettings) : { ...settings, [name]: value }
}

/** A violated rule of the schema: a key of `recipe.invalid` with what its text names. */
export interface Invalid {
  key:
    'number' | 'integer' | 'above' | 'atLeast' | 'below' | 'atMost' | 'search_range' | 'search_step' | 'other'
  values: { limit?: number; message?: string }
}

/** Words an issue of the schema in terms that the window translates. */
export function invalidOf(issue: z.core.$ZodIssue): Invalid {
  if (issue.code === 'too_small') {
    return { key: issue.inclusive ? 'atLeast' : 'above', values: { limit: Number(issue.minimum) } }
  }
  if (issue.code === 'too_big') {
    return { key: issue.inclusive ? 'atMost' : 'below', values: { limit: Number(issue.maximum) } }
  }
  if (issue.code === 'invalid_type') {
    return { key: issue.expected === 'int' ? 'integer' : 'number', values: {} }
  }
  const last = issue.path.at(-1)
  if (last === 'search_range' || last === 'search_step') return { key: last, values: {} }
  return { key: 'other', values: { message: issue.message } }
}

function firstIssue(schema: z.ZodType, value: unknown): Invalid | null {
  const issue = schema.safeParse(value).error?.issues[0]
  return issue ? invalidOf(issue) : null
}

/** What the schema has against these settings, or null. */
export const checkActivation = (settings: ActivationSettings): Invalid | null =>
  firstIssue(activationSchema, settings)
export const checkRepair = (repair: RepairSettings): Invalid | null => firstIssue(repairSchema, repair)

/** Parameters of a rounding method that are one number, with their defaults. */
export const ROUNDING_NUMBERS = {
  nearest: [],
  adaround: [
    { name: 'iterations', fallback: REPAIR_DEFAULTS.iterations },
    { name: 'regularization', fallback: REPAIR_DEFAULTS.regularization },
    { name: 'warm_start', fallback: REPAIR_DEFAULTS.warmStart },
  ],
  gptq: [
    { name: 'dampening', fallback: REPAIR_DEFAULTS.dampening },
    { name: 'block_size', fallback: REPAIR_DEFAULTS.blockSize },
  ],
} as const satisfies Record<RoundingSettings['method'], readonly { name: string; fallback: number }[]>

/** A rounding method with its defaults; the layers it is for stay. */
export function withRounding(
  previous: RoundingSettings,
  method: RoundingSettings['method'],
): RoundingSettings {
  const layers = 'layers' in previous && method !== 'nearest' ? previous.layers : undefined
  return repairSchema.parse({ rounding: { method, ...(layers && { layers }) } }).rounding
}

/** Numbers that were typed as their default are not worth writing; null when the text is no number. */
export function readNumber(text: string): { value: number | undefined } | null {
  const trimmed = text.trim()
  if (trimmed === '') return { value: undefined }
  const value = Number(trimmed)
  return Number.isFinite(value) ? { value } : null
}
