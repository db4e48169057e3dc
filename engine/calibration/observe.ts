// The range of every activation tensor by the method chosen for it, from as few numbers as the method needs.
import type { WorkContext } from '../../contract/work.ts'
import type { ActivationMethod } from '../../contract/recipe.ts'
import type { Model } from '../onnx/index.ts'
import type { CalibrationDataset } from './dataset.ts'
import { observeNatively, type Probe } from './native.ts'
import {
  type Bins,
  type Candidate,
  type ClipRange,
  createObserver,
  type FoundRanges,
  GrowingHistogram,
  needsValues,
  type Observer,
  observerKey,
  type ObserverSpec,
  type ObserverState,
  type TensorValues,
  valuesWithRange,
} from './observers/index.ts'
import { collectRanges } from './ranges.ts'
import { searchRanges } from './search.ts'
import type { RangeOptions } from './session.ts'
import { collectValues } from './values.ts'

export interface ObserverRequest {
  tensor: string
  spec: ObserverSpec
}

/** A range and the method it came from: the winner's for `auto`. */
export interface ObservedRange extends ClipRange {
  method: ActivationMethod
}

/** IFMR keeps the values themselves up to here, per tensor and over all tensors: 16 MiB and 128 MiB. */
export const IFMR_VALUES_PER_TENSOR = 4 * 1024 * 1024
export const IFMR_VALUES = 32 * 1024 * 1024

/** What was seen of a tensor, beyond the range that came of it. */
export interface TensorDetails {
  /** All values in a histogram of as many bins as the request's. */
  bins: Bins
  /** Range of every run in which the tensor had values, in the order of the data set. */
  runs: readonly ClipRange[]
  /** Every method's range, where `auto` compared them. */
  candidates?: readonly Candidate[]
}

export interface ObserveOptions extends RangeOptions {
  /** Is told the details of every request in the end; they cost a histogram for methods that need none. */
  onTensor?: (request: ObserverRequest, details: TensorDetails) => void
  /** Counts in TypeScript although there is a native observer: slower, in several passes, with the same results. */
  script?: boolean
}

/** What is collected for a request: its observer's state, and where details are wanted their own. */
interface Observed {
  request: ObserverRequest
  observer: Observer
  details?: DetailsCollector
}

/** Collects what TensorDetails tells. */
class DetailsCollector {
  readonly #histogram: GrowingHistogram
  readonly #runs: ClipRange[] = []

  constructor(bins: number) {
    this.#histogram = new GrowingHistogram(bins)
  }

  add(values: TensorValues): void {
    this.#histogram.add(values)
    this.#runs.push({ min: values.min, max: values.max })
  }

  merge({ runs, histogram, values }: ObserverState): void {
    this.#runs.push(...runs)
    if (histogram) this.#histogram.merge(histogram)
    if (values) this.#histogram.add(valuesWithRange(values))
  }

  get details(): TensorDetails {
    return { bins: this.#histogram.bins(), runs: this.#runs }
  }
}

/** Both kinds of pass count towards one total. */
function stageContext(context: WorkContext, stage: number, stages: number): WorkContext {
  const { onProgress } = context
  if (!onProgress || stages === 1) return context
  return {
    ...context,
    onProgress: ({ done, total, ...rest }) =>
      onProgress({ ...rest, done: stage * total + done, total: stages * total }),
  }
}

function byTensor(observed: readonly Observed[]): Map<string, Observed[]> {
  return Map.groupBy(observed, ({ request }) => request.tensor)
}

function uniqueRequests(requests: readonly ObserverRequest[]): ObserverRequest[] {
  return [
    ...new Map(requests.map((request) => [observerKey(request.tensor, request.spec), request])).values(),
  ]
}

function probeOf({ request, details }: Observed, ifmrBudget: number): Probe {
  const { tensor, spec } = request
  const { method, bins } = spec
  const ownHistogram = method === 'hfmg'
  return {
    tensor,
    bins: details || (needsValues(spec) && !ownHistogram) ? bins : 0,
    gluttonBins: ownHistogram ? bins : 0,
    keep: method === 'ifmr' ? ifmrBudget : 0,
  }
}

/** In one pass; false where there is no native observer. */
async function observeInLibrary(
  model: Model,
  dataset: CalibrationDataset,
  observed: readonly Observed[],
  ifmrBudget: number,
  options: ObserveOptions,
  context: WorkContext,
): Promise<boolean> {
  // Requests that need the same of a tensor share a probe.
  const keyOf = (entry: Observed): string => JSON.stringify(probeOf(entry, ifmrBudget))
  const groups = [...Map.groupBy(observed, keyOf).values()]
  const probes = groups.flatMap(([first]) => (first ? [probeOf(first, ifmrBudget)] : []))
  const states = await observeNatively(model, dataset, probes, options, context)
  states?.forEach((state, index) => {
    for (const { observer, details } of groups[index] ?? []) {
      observer.merge(state)
      details?.merge(state)
    }
  })
  return states !== undefined
}

/** In the graph where extremes are enough, else through the values, in as many passes as bound the memory. */
async function observeInScript(
  model: Model,
  dataset: CalibrationDataset,
  observed: readonly Observed[],
  options: ObserveOptions,
  context: WorkContext,
): Promise<void> {
  const valued = new Set(
    observed
      .filter(({ request, details }) => details || needsValues(request.spec))
      .map(({ request }) => request.tensor),
  )
  // A tensor whose values are seen anyway needs no reductions.
  const fromValues = byTensor(observed.filter(({ request }) => valued.has(request.tensor)))
  const fromExtremes = byTensor(observed.filter(({ request }) => !valued.has(request.tensor)))
  const stages = fromExtremes.size > 0 && fromValues.size > 0 ? 2 : 1
  if (fromExtremes.size > 0) {
    const tensors = [...fromExtremes.keys()]
    const first = stageContext(context, 0, stages)
    await collectRanges(model, dataset, tensors, options, first, (tensor, range) => {
      for (const { observer } of fromExtremes.get(tensor) ?? []) {
        observer.add({ data: Float32Array.of(range.min, range.max), ...range })
      }
    })
  }
  if (fromValues.size > 0) {
    const tensors = [...fromValues.keys()]
    const last = stageContext(context, stages - 1, stages)
    await collectValues(model, dataset, tensors, options, last, (tensor, values) => {
      for (const { observer, details } of fromValues.get(tensor) ?? []) {
        observer.add(values)
        details?.add(values)
      }
    })
  }
}

/** Searches that the observers leave to the library, by observer. */
async function foundRanges(
  observed: readonly Observed[],
  options: ObserveOptions,
): Promise<Map<Observer, FoundRanges>> {
  if (options.script) return new Map()
  const searches = observed.flatMap(({ observer }) => {
    const search = observer.search?.()
    return search ? [{ observer, search }] : []
  })
  const found = await searchRanges(
    searches.map(({ search }) => search),
    options.threads ?? 0,
  )
  return new Map(searches.map(({ observer }, index) => [observer, found?.[index] ?? {}]))
}

/** The range of a request, and its details to whoever wants them. */
function conclude(
  { request, observer, details }: Observed,
  found: FoundRanges | undefined,
  options: ObserveOptions,
): ObservedRange {
  const { candidates, ...range } = observer.range(found)
  if (details) options.onTensor?.(request, { ...details.details, ...(candidates && { candidates }) })
  return { method: request.spec.method, ...range }
}

/**
 * Runs the model over a data set and returns the wanted ranges by `observerKey`. The native observer counts all tensors
 * in one pass; without it extremes are computed in the graph, and other methods see the values, which are held for one
 * run only (256 MiB at most, or one tensor).
 * @throws what observeNatively, collectRanges and collectValues throw
 */
export async function observeRanges(
  model: Model,
  dataset: CalibrationDataset,
  requests: readonly ObserverRequest[],
  options: ObserveOptions = {},
  context: WorkContext = {},
): Promise<Map<string, ObservedRange>> {
  const unique = uniqueRequests(requests)
  if (unique.length === 0) return new Map()
  const exact = unique.filter(({ spec }) => spec.method === 'ifmr').length
  const budget = Math.min(IFMR_VALUES_PER_TENSOR, Math.floor(IFMR_VALUES / Math.max(1, exact)))
  const observed = unique.map((request): Observed => ({
    request,
    observer: createObserver(request.spec, budget),
    ...(options.onTensor && { details: new DetailsCollector(request.spec.bins) }),
  }))
  const done = !options.script && (await observeInLibrary(model, dataset, observed, budget, options, context))
  if (!done) await observeInScript(model, dataset, observed, options, context)
  const found = await foundRanges(observed, options)
  return new Map(
    observed.map((entry) => [
      observerKey(entry.request.tensor, entry.request.spec),
      conclude(entry, found.get(entry.observer), options),
    ]),
  )
}
