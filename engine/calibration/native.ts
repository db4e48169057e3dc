// Observation in the native library: one pass over the data, no values leave ONNX Runtime.
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import {
  NativeObserver,
  type OpenOptions,
  OPTIMIZATION,
  type ProbeOptions,
  type ProbeStatistics,
} from '../../native/observer/index.ts'
import { reasonOf } from '../common/hashing.ts'
import { type Model, WeightReader } from '../onnx/index.ts'
import type { CalibrationDataset, Feed } from './dataset.ts'
import { type ObservedModel, observedModel } from './observed-model.ts'
import type { ObserverState } from './observers/index.ts'
import { PREPACKED_BYTES, type RangeOptions, runFailure, weightBytes } from './session.ts'

/**
 * Optimizers of ONNX Runtime 1.30 that calibration does without: they take longer than they save in a few dozen runs.
 * What stays: folding of normalization, fused activations, and convolutions over blocks of channels.
 */
const SKIPPED_OPTIMIZERS = [
  'AttentionFusion',
  'BiasDropoutFusion',
  'BiasGeluFusion',
  'BiasSkipLayerNormFusion',
  'BiasSoftmaxFusion',
  'CommonSubexpressionElimination',
  'ConstantFolding',
  'ConstantSharing',
  'DoubleQDQPairsRemover',
  'DynamicQuantizeMatMulFusion',
  'EmbedLayerNormFusion',
  'EnsureUniqueDQForNodeUnit',
  'FastGeluFusion',
  'FreeDimensionOverrideTransformer',
  'GatherSliceToSplitFusion',
  'GatherToSliceFusion',
  'GemmActivationFusion',
  'GroupQueryAttentionFusion',
  'GroupQueryAttentionPreNormFusion',
  'Level2_RuleBasedTransformer',
  'MatMulActivationFusion',
  'MatMulAddFusion',
  'MatMulIntegerToFloatFusion',
  'MatMulNBitsFusion',
  'MatMulScaleFusion',
  'MatmulTransposeFusion',
  'NhwcTransformer',
  'QDQFinalCleanupTransformer',
  'QDQPropagationTransformer',
  'QDQS8ToU8Transformer',
  'QDQSelectorActionTransformer',
  'ReshapeFusion',
  'SimplifiedLayerNormFusion',
  'SkipLayerNormFusion',
  'SliceConcatToSpaceToDepthFusion',
  'TransposeOptimizer',
  'TransposeOptimizer_CPUExecutionProvider',
  'WeightBiasQuantization',
  'WhereDummyDq',
]

/** What is to be collected of a tensor. */
export interface Probe extends ProbeOptions {
  tensor: string
}

function bytesOf({ data }: Feed): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** @throws E_ONNX_FILE_CHANGED, E_FILE_READ */
function addWeights(observer: NativeObserver, { filed, given }: ObservedModel): void {
  const reader = new WeightReader()
  try {
    for (const tensor of [...filed, ...given]) reader.check(tensor)
    for (const tensor of given) {
      const { data } = tensor
      if (data.kind === 'file') observer.addWeightFile(tensor, data)
      else if (data.kind === 'bytes') observer.addWeight({ ...tensor, bytes: data.bytes })
    }
  } finally {
    reader.close()
  }
}

function stateOf({ runs, histogram, glutton, values }: ProbeStatistics): ObserverState {
  return {
    runs,
    ...(histogram && { histogram }),
    ...(glutton && { hfmg: glutton }),
    ...(values && { values }),
  }
}

/** Runs one sample after the other; shapes are fixed in the loaded model, other ones load it anew. */
class Runner {
  readonly #observer: NativeObserver
  readonly #model: ObservedModel
  readonly #options: OpenOptions
  #shapes = ''

  constructor(observer: NativeObserver, source: Model, model: ObservedModel, options: RangeOptions) {
    this.#observer = observer
    this.#model = model
    // Convolutions over blocks of channels need the weights in that order: a second copy.
    const frugal = weightBytes(source) > PREPACKED_BYTES
    this.#options = {
      threads: options.threads ?? 0,
      optimization: frugal ? OPTIMIZATION.extended : OPTIMIZATION.all,
      // Loading a large model is little next to running it.
      skippedOptimizers: frugal ? [] : SKIPPED_OPTIMIZERS,
      weightsFolder: model.weightsFolder,
      frugal,
    }
  }

  async run(feeds: Record<string, Feed>): Promise<void> {
    const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]))
    const key = JSON.stringify(shapes)
    if (key !== this.#shapes) await this.#observer.open(this.#model.bytesFor(shapes), this.#options)
    this.#shapes = key
    for (const [name, feed] of Object.entries(feeds)) {
      this.#observer.setInput({ ...feed, name: this.#model.inputName(name), bytes: bytesOf(feed) })
    }
    await this.#observer.run()
  }
}

/** @throws E_ACTIVATION_NOT_FINITE */
function checkFinite(
  observer: NativeObserver,
  probes: readonly Probe[],
  sample: string,
  options: RangeOptions,
): void {
  const bad = observer.firstBad()
  if (!bad) return
  const tensor = probes[bad.probe]?.tensor ?? ''
  const layer = options.layerOf?.(tensor) ?? tensor
  throw new AppError('E_ACTIVATION_NOT_FINITE', { layer, tensor, value: String(bad.value), sample })
}

/**
 * Runs the model over a data set and returns what was collected of every probe, by position; undefined where there is no
 * native observer. Memory is bounded by one run of the model and the statistics; the weights are not copied.
 * @throws E_ACTIVATION_NOT_FINITE naming the first layer that reads a NaN or infinity; E_CALIBRATION_RUN when ONNX
 * Runtime refuses the model or an input; E_CANCELLED; what loading a sample throws
 */
export async function observeNatively(
  source: Model,
  dataset: CalibrationDataset,
  probes: readonly Probe[],
  options: RangeOptions,
  context: WorkContext,
): Promise<ObserverState[] | undefined> {
  const observer = NativeObserver.create()
  if (!observer) return undefined
  const label = source.path ?? 'the model'
  const cancelled = (): boolean => context.signal?.aborted === true
  const stop = (): void => observer.terminate()
  context.signal?.addEventListener('abort', stop)
  const model = observedModel(
    source,
    probes.map(({ tensor }) => tensor),
  )
  try {
    for (const probe of probes) observer.addProbe(probe)
    addWeights(observer, model)
    const runner = new Runner(observer, source, model, options)
    for (let index = 0; index < dataset.count; index++) {
      if (cancelled()) throw new AppError('E_CANCELLED')
      const sample = dataset.sampleName(index)
      await runner.run(dataset.load(index))
      checkFinite(observer, probes, sample, options)
      context.onProgress?.({ stage: 'calibrate', done: index + 1, total: dataset.count, item: sample })
    }
    if (cancelled()) throw new AppError('E_CANCELLED')
    return probes.map((_, probe) => stateOf(observer.statistics(probe)))
  } catch (error) {
    if (cancelled()) throw new AppError('E_CANCELLED', {}, { cause: error })
    throw error instanceof AppError
      ? error
      : runFailure(new Error(model.withSourceNames(reasonOf(error)), { cause: error }), label)
  } finally {
    context.signal?.removeEventListener('abort', stop)
    observer.close()
  }
}
