// Activation ranges: the model runs on calibration data with ReduceMin / ReduceMax / ReduceSum added behind the wanted
// tensors, so that three numbers per tensor leave the runtime instead of the tensor.
import ort from 'onnxruntime-node'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { cloneModel, DataType, makeNode, type Model, openModel } from '../onnx/index.ts'
import type { CalibrationDataset } from './dataset.ts'
import { FreshNames } from './fresh-names.ts'
import { chunks, type RangeOptions, runSamples, widened, widenFloat16Inputs } from './session.ts'

export type { RangeOptions } from './session.ts'

/** Smallest and largest value of a tensor over all samples. */
export interface TensorRange {
  min: number
  max: number
}

/** Outputs per session; more tensors are collected in several passes over the data. */
const TENSORS_PER_PASS = 1024

/** Told the range of a tensor in one run. */
export type RangeListener = (tensor: string, range: TensorRange) => void

interface Probe {
  tensor: string
  min: string
  max: string
  sum: string
}

/** Reductions over all axes need no axes in any opset: omitted means all, as attribute and as input. */
function addProbe(
  model: Model,
  tensor: string,
  source: string,
  options: RangeOptions,
  names: FreshNames,
): Probe {
  const input = widened(model, tensor, source, options, names)
  const reduce = (opType: string): string => {
    const output = names.take(`${tensor}.${opType}`)
    const spec = { opType, name: output, inputs: [input], outputs: [output], attributes: { keepdims: 0 } }
    model.graph.nodes.push(makeNode(spec))
    model.graph.outputs.push({ name: output, elementType: DataType.FLOAT, shape: [] })
    return output
  }
  // A NaN can vanish in minimum and maximum, never in a sum.
  return { tensor, min: reduce('ReduceMin'), max: reduce('ReduceMax'), sum: reduce('ReduceSum') }
}

function probedModel(
  source: Model,
  tensors: readonly string[],
  options: RangeOptions,
): { model: Model; probes: Probe[] } {
  const model = cloneModel(source)
  const names = new FreshNames(model)
  model.graph.outputs = []
  const behindCast = widenFloat16Inputs(model, names)
  const probes = tensors.map((tensor) =>
    addProbe(model, tensor, behindCast.get(tensor) ?? tensor, options, names),
  )
  return { model, probes }
}

function readScalar(results: ort.InferenceSession.OnnxValueMapType, name: string): number {
  const value = results[name]
  if (!(value instanceof ort.Tensor)) throw new Error(`no output ${name}`)
  return Number((value.data as Float32Array)[0])
}

function updateRange(
  ranges: Map<string, TensorRange>,
  probe: Probe,
  results: ort.InferenceSession.OnnxValueMapType,
  sample: string,
  options: RangeOptions,
  onRun: RangeListener | undefined,
): void {
  const [min, max, sum] = [probe.min, probe.max, probe.sum].map((name) => readScalar(results, name))
  // A finite tensor may overflow to an infinite sum, but only NaN makes it NaN while both ends are finite.
  const bad =
    [min, max].find((value) => !Number.isFinite(value)) ?? (Number.isNaN(sum) ? Number.NaN : undefined)
  if (bad !== undefined) {
    const layer = options.layerOf?.(probe.tensor) ?? probe.tensor
    throw new AppError('E_ACTIVATION_NOT_FINITE', { layer, tensor: probe.tensor, value: String(bad), sample })
  }
  onRun?.(probe.tensor, { min: min as number, max: max as number })
  const range = ranges.get(probe.tensor)
  if (!range) ranges.set(probe.tensor, { min: min as number, max: max as number })
  else {
    range.min = Math.min(range.min, min as number)
    range.max = Math.max(range.max, max as number)
  }
}

/**
 * Runs the model over a data set and returns the range of every wanted tensor. Memory is bounded by one run of the
 * model: nothing of a sample is kept but its minima and maxima.
 * @throws E_ACTIVATION_NOT_FINITE naming the first layer that reads a NaN or infinity; E_CALIBRATION_RUN when ONNX
 * Runtime refuses the model or an input; E_CANCELLED; what loading a sample throws
 * @param onRun Is told every tensor's range in every run, in order.
 */
export async function collectRanges(
  source: string | Model,
  dataset: CalibrationDataset,
  tensors: readonly string[],
  options: RangeOptions = {},
  context: WorkContext = {},
  onRun?: RangeListener,
): Promise<Map<string, TensorRange>> {
  const model = typeof source === 'string' ? openModel(source) : source
  const label = model.path ?? 'the model'
  const ranges = new Map<string, TensorRange>()
  const passes = chunks(tensors, TENSORS_PER_PASS)
  const total = passes.length * dataset.count
  let done = 0
  for (const pass of passes) {
    const { model: probed, probes } = probedModel(model, pass, options)
    await runSamples(probed, label, dataset, options, context, ({ sample, results }) => {
      for (const probe of probes) updateRange(ranges, probe, results, sample, options, onRun)
      done++
      context.onProgress?.({ stage: 'calibrate', done, total, item: sample })
    })
  }
  return ranges
}
