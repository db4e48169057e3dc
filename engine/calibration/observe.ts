// The range of every activation tensor by the method chosen for it, from as few numbers as the method needs.
import type { WorkContext } from '../../contract/work.ts'
import type { ActivationMethod } from '../../contract/recipe.ts'
import type { Model } from '../onnx/index.ts'
import type { CalibrationDataset } from './dataset.ts'
import {
  type ClipRange,
  createObserver,
  needsValues,
  type Observer,
  observerKey,
  type ObserverSpec,
} from './observers/index.ts'
import { collectRanges } from './ranges.ts'
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

interface Observed {
  request: ObserverRequest
  observer: Observer
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

function uniqueRequests(requests: readonly ObserverRequest[]): Map<string, ObserverRequest> {
  return new Map(requests.map((request) => [observerKey(request.tensor, request.spec), request]))
}

/**
 * Runs the model over a data set and returns the wanted ranges by `observerKey`. Methods that need only extremes are
 * computed in the graph; the others see the values, which are held for one run only (256 MiB at most, or one tensor).
 * @throws what collectRanges and collectValues throw
 */
export async function observeRanges(
  model: Model,
  dataset: CalibrationDataset,
  requests: readonly ObserverRequest[],
  options: RangeOptions = {},
  context: WorkContext = {},
): Promise<Map<string, ObservedRange>> {
  const unique = [...uniqueRequests(requests).values()]
  const exact = unique.filter(({ spec }) => spec.method === 'ifmr').length
  const budget = Math.min(IFMR_VALUES_PER_TENSOR, Math.floor(IFMR_VALUES / Math.max(1, exact)))
  const valued = new Set(unique.filter(({ spec }) => needsValues(spec)).map(({ tensor }) => tensor))
  const observed = unique.map((request) => ({ request, observer: createObserver(request.spec, budget) }))
  // A tensor whose values are seen anyway needs no reductions.
  const fromValues = byTensor(observed.filter(({ request }) => valued.has(request.tensor)))
  const fromExtremes = byTensor(observed.filter(({ request }) => !valued.has(request.tensor)))

  const stages = fromExtremes.size > 0 && fromValues.size > 0 ? 2 : 1
  if (fromExtremes.size > 0) {
    const tensors = [...fromExtremes.keys()]
    await collectRanges(
      model,
      dataset,
      tensors,
      options,
      stageContext(context, 0, stages),
      (tensor, range) => {
        for (const { observer } of fromExtremes.get(tensor) ?? []) {
          observer.add({ data: Float32Array.of(range.min, range.max), ...range })
        }
      },
    )
  }
  if (fromValues.size > 0) {
    const tensors = [...fromValues.keys()]
    const last = stageContext(context, stages - 1, stages)
    await collectValues(model, dataset, tensors, options, last, (tensor, values) => {
      for (const { observer } of fromValues.get(tensor) ?? []) observer.add(values)
    })
  }
  return new Map(
    observed.map(({ request, observer }) => {
      const range = { method: request.spec.method, ...observer.range() }
      return [observerKey(request.tensor, request.spec), range]
    }),
  )
}
