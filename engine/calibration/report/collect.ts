// One pass over the calibration data for everything that the report says of each tensor, one more for its channels.
import type {
  CalibrationSample,
  Coverage,
  TensorReport,
  TimestepSource,
} from '../../../contract/calibration.ts'
import type { WorkContext } from '../../../contract/work.ts'
import type { Model } from '../../onnx/index.ts'
import { channelKey, type ChannelStatistics, collectChannelStatistics } from '../channels.ts'
import { bisectionOrder } from '../choice.ts'
import type { CalibrationDataset } from '../dataset.ts'
import { IFMR_VALUES, IFMR_VALUES_PER_TENSOR } from '../observe.ts'
import { observerKey } from '../observers/index.ts'
import type { RangeOptions } from '../session.ts'
import { collectValues } from '../values.ts'
import { type CoveredTensor, coverageOf, sampleCoverage } from './coverage.ts'
import { summarizeChannels } from './display.ts'
import { type ObservedTensor, type ReportRun, TensorStatistics } from './tensor.ts'

/** A tensor to report on. Several layers with the same observer share one entry. */
export interface CalibrationRequest extends ObservedTensor {
  /** Its channel dimension; -1 for the last one. */
  channelAxis: number
}

export interface CollectedCalibration {
  timesteps: TimestepSource | null
  samples: CalibrationSample[]
  coverage: Coverage
  tensors: TensorReport[]
}

interface OrderedRun extends ReportRun {
  name: string
}

/** The runs spread over the time steps, or over the data, so that the last ones tell about what lies between. */
function orderedRuns(dataset: CalibrationDataset): { runs: OrderedRun[]; source: TimestepSource | null } {
  const steps = dataset.timesteps()
  const stepOf = (index: number): number => steps?.values[index] ?? 0
  const sorted = Array.from({ length: dataset.count }, (_, index) => index).sort(
    (left, right) => stepOf(left) - stepOf(right) || left - right,
  )
  const runs = bisectionOrder(dataset.count).map((rank): OrderedRun => {
    const index = sorted[rank] ?? 0
    return { index, name: dataset.sampleName(index), timestep: steps?.values[index] ?? null }
  })
  return { runs, source: steps?.source ?? null }
}

/** The data set in another order; `current` is the run that was loaded last. */
class ReorderedDataset {
  current = 0
  readonly dataset: CalibrationDataset

  constructor(source: CalibrationDataset, runs: readonly OrderedRun[]) {
    const indexOf = (position: number): number => runs[position]?.index ?? 0
    this.dataset = {
      ...source,
      load: (position) => {
        this.current = position
        return source.load(indexOf(position))
      },
      sampleName: (position) => source.sampleName(indexOf(position)),
    }
  }
}

/** The stages count towards one total. */
function part(context: WorkContext, stage: number, stages: number): WorkContext {
  const { onProgress } = context
  if (!onProgress) return context
  return {
    ...context,
    onProgress: ({ done, total, ...rest }) =>
      onProgress({ ...rest, done: stage * total + done, total: stages * total }),
  }
}

function channelRequest({ tensor, channelAxis }: CalibrationRequest): { tensor: string; axis: number } {
  return { tensor, axis: channelAxis }
}

function withChannels(
  report: Omit<TensorReport, 'channels'>,
  request: CalibrationRequest,
  statistics: ReadonlyMap<string, ChannelStatistics>,
): TensorReport {
  const found = statistics.get(channelKey(channelRequest(request)))
  return { ...report, channels: found ? summarizeChannels(found, request.channelAxis) : null }
}

function uniqueRequests(requests: readonly CalibrationRequest[]): CalibrationRequest[] {
  const groups = Map.groupBy(requests, ({ tensor, spec }) => observerKey(tensor, spec))
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    return first ? [{ ...first, layers: group.flatMap(({ layers }) => layers) }] : []
  })
}

/**
 * Runs the model over a data set and reports on every wanted tensor.
 * @throws what collectValues and collectChannelStatistics throw
 */
export async function collectCalibration(
  model: Model,
  dataset: CalibrationDataset,
  requests: readonly CalibrationRequest[],
  options: RangeOptions = {},
  context: WorkContext = {},
): Promise<CollectedCalibration> {
  const unique = uniqueRequests(requests)
  const exact = unique.filter(({ spec }) => spec.method === 'ifmr').length
  const budget = Math.min(IFMR_VALUES_PER_TENSOR, Math.floor(IFMR_VALUES / Math.max(1, exact)))
  const collectors = unique.map((request) => ({
    request,
    statistics: new TensorStatistics(
      { tensor: request.tensor, spec: request.spec, layers: request.layers },
      budget,
    ),
  }))
  const byTensor = Map.groupBy(collectors, ({ request }) => request.tensor)
  const { runs, source } = orderedRuns(dataset)
  const reordered = new ReorderedDataset(dataset, runs)
  const tensors = [...byTensor.keys()]
  await collectValues(model, reordered.dataset, tensors, options, part(context, 0, 2), (tensor, values) => {
    for (const { statistics } of byTensor.get(tensor) ?? []) statistics.add(reordered.current, values)
  })
  const channels = await collectChannelStatistics(
    model,
    dataset,
    unique.map(channelRequest),
    options,
    part(context, 1, 2),
  )
  const reports = collectors.map(({ request, statistics }) =>
    withChannels(statistics.report(runs), request, channels),
  )
  const covered = reports.map(({ tensor, layers, samples, leave_one_out: single }): CoveredTensor => ({
    tensor,
    layer: layers[0]?.name ?? tensor,
    samples,
    single: single?.shrinks ?? 0,
  }))
  const samples = sampleCoverage(runs, covered)
  return { timesteps: source, samples, coverage: coverageOf(samples, covered), tensors: reports }
}
