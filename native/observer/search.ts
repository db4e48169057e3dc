// Ranges that the methods find in histograms, searched in the library on several threads.
import { observerFunctions } from './library.ts'

export interface SearchTask {
  counts: Float64Array
  low: number
  width: number
  min: number
  max: number
  total: number
  symmetric: boolean
  bits: number
  ifmr: {
    maxPercentile: number
    minPercentile: number
    searchRange: readonly [start: number, end: number]
    searchStep: number
  }
  /** HFMG searches bins this many times as wide. */
  hfmgFactor: number
  /** How many times the squared error of clipped values counts for `weighted`. */
  clippingWeight: number
  wanted: ReadonlySet<SearchedMethod>
}

/** In the order of the results. */
const METHODS = ['kl', 'ifmr', 'hfmg', 'mse', 'weighted'] as const
export type SearchedMethod = (typeof METHODS)[number]
export type SearchedRanges = Partial<Record<SearchedMethod, { min: number; max: number }>>

function parametersOf(task: SearchTask): number[] {
  const { counts, low, width, min, max, total, symmetric, bits, ifmr, hfmgFactor, clippingWeight, wanted } =
    task
  const [start, end] = ifmr.searchRange
  return [
    counts.length,
    low,
    width,
    min,
    max,
    total,
    symmetric ? 1 : 0,
    bits,
    ifmr.maxPercentile,
    ifmr.minPercentile,
    start,
    end,
    ifmr.searchStep,
    hfmgFactor,
    clippingWeight,
    METHODS.reduce((sum, method, index) => sum + (wanted.has(method) ? 2 ** index : 0), 0),
  ]
}

function joined(tasks: readonly SearchTask[]): Float64Array {
  const all = new Float64Array(tasks.reduce((sum, { counts }) => sum + counts.length, 0))
  let offset = 0
  for (const { counts } of tasks) {
    all.set(counts, offset)
    offset += counts.length
  }
  return all
}

/** @returns the wanted ranges of every task; null where there is no library. */
export async function searchNatively(
  tasks: readonly SearchTask[],
  threads: number,
): Promise<SearchedRanges[] | null> {
  const functions = observerFunctions()
  if (!functions) return null
  const parameters = Float64Array.from(tasks.flatMap(parametersOf))
  const results = new Float64Array(2 * METHODS.length * tasks.length)
  const search = functions.aqw_observer_search(tasks.length, parameters, joined(tasks), results, threads)
  if ((await search) !== 1) return null
  return tasks.map(({ wanted }, task) => {
    const ranges: SearchedRanges = {}
    METHODS.forEach((method, index) => {
      const at = 2 * (METHODS.length * task + index)
      if (wanted.has(method)) ranges[method] = { min: results[at] ?? 0, max: results[at + 1] ?? 0 }
    })
    return ranges
  })
}
