// Rounding of weights by what it does to a layer's output, instead of each to its nearest integer: AdaRound and GPTQ.
// The scales stay those of the recipe's weight method.
import type { LayerRounding } from '../../../contract/quantization.ts'
import type { Recipe, RoundingSettings } from '../../../contract/recipe.ts'
import type { WorkContext } from '../../../contract/work.ts'
import {
  type CalibrationDataset,
  type ObservedRange,
  observerKey,
  type RangeOptions,
} from '../../calibration/index.ts'
import { tensorBytes as activationBytes } from '../../calibration/values.ts'
import { DataType, type Model, type Node, type TensorData, tensorBytes } from '../../onnx/index.ts'
import { PatternMatcher } from '../patterns.ts'
import { type ChosenLayer, weightVariant } from '../plan.ts'
import { activationScaleOffset, type ScaleOffset } from '../rules.ts'
import type { WeightSpill } from '../weight-spill.ts'
import { weightValues, type WeightValues } from '../weights.ts'
import { adaroundIntegers } from './adaround.ts'
import { gptqIntegers } from './gptq.ts'
import { collectHessians, type HessianRequest } from './hessians.ts'
import { groupElements, groupScales, layerMatrix, putGroup } from './layer-matrix.ts'
import { MatrixProducts } from './matrix-products.ts'
import { settle } from './settle.ts'
import { betterRows, type RoundingChoice, type RoundingProblem, rowPowers } from './problem.ts'

type Reconstruction = Exclude<RoundingSettings, { method: 'nearest' }>

/** Inputs of one output above which a layer is rounded to the nearest: its Hessian takes 170 MB, its factor as much. */
export const MOST_COLUMNS = 4608
/** Hessians, and activations of one run, that are in memory together; a single larger layer gets a pass of its own. */
const HESSIAN_BYTES = 512 * 1024 * 1024
const ACTIVATION_BYTES = 256 * 1024 * 1024

export interface RoundedWeights {
  /** For the plan's hook: integers of a layer in the order of its weight, or undefined for rounding to the nearest. */
  rounded: (layer: string) => Int8Array | undefined
  /** What came of every layer that was to be rounded so, by name. */
  facts: ReadonlyMap<string, LayerRounding>
}

interface Candidate {
  layer: ChosenLayer
  request: HessianRequest
  hessianBytes: number
}

export interface RoundingOptions extends RangeOptions {
  /** Takes the integers until they are asked for. */
  spill: WeightSpill
  /** The model before weight repair: layers that only it has may be named. */
  original?: Model
}

/** How the layer's input is quantized; undefined when it stays in floating point. */
function inputQuantization(
  layer: ChosenLayer,
  ranges: ReadonlyMap<string, ObservedRange>,
): ScaleOffset | undefined {
  if (layer.precision === 'w8a16' || layer.precision === 'w4a16') return undefined
  const range = ranges.get(observerKey(layer.anatomy.activation, layer.observer))
  return range && activationScaleOffset(range.min, range.max, layer.observer.symmetric)
}

function candidateOf(
  model: Model,
  layer: ChosenLayer,
  ranges: ReadonlyMap<string, ObservedRange>,
): Candidate {
  const { name, anatomy } = layer
  const node = model.graph.nodes[anatomy.nodeIndex] as Node
  const matrix = layerMatrix(anatomy, node)
  const request = { name, anatomy, node, matrix, quantization: inputQuantization(layer, ranges) }
  return { layer, request, hessianBytes: 8 * matrix.groups * matrix.columns.length ** 2 }
}

/** Layers in their order, split so that what a pass holds stays within bounds. */
function passes(candidates: readonly Candidate[], bytesOf: (tensor: string) => number): Candidate[][] {
  const result: Candidate[][] = []
  let [hessians, activations] = [0, 0]
  let tensors = new Set<string>()
  for (const candidate of candidates) {
    const tensor = candidate.request.anatomy.activation
    const added = tensors.has(tensor) ? 0 : bytesOf(tensor)
    const current = result.at(-1)
    const fits = hessians + candidate.hessianBytes <= HESSIAN_BYTES && activations + added <= ACTIVATION_BYTES
    if (current && fits) {
      current.push(candidate)
      hessians += candidate.hessianBytes
      activations += added
      tensors.add(tensor)
    } else {
      result.push([candidate])
      hessians = candidate.hessianBytes
      activations = bytesOf(tensor)
      tensors = new Set([tensor])
    }
  }
  return result
}

function roundedIntegers(
  problem: RoundingProblem,
  settings: Reconstruction,
  products: MatrixProducts,
  context: WorkContext,
): Int8Array | Promise<Int8Array> {
  if (settings.method === 'gptq') {
    const { dampening, block_size: blockSize } = settings
    return gptqIntegers(problem, { dampening, blockSize }, context)
  }
  const { rows, columns } = problem
  const hessian = Float32Array.from(problem.hessian)
  const { iterations, regularization, beta_range: betaRange, warm_start: warmStart } = settings
  return adaroundIntegers(
    problem,
    { iterations, regularization, betaRange, warmStart },
    (vectors) => products.product(vectors, hessian, [rows, columns, columns]),
    context,
  )
}

async function roundGroup(
  problem: RoundingProblem,
  settings: Reconstruction,
  products: MatrixProducts,
  context: WorkContext,
): Promise<RoundingChoice> {
  const integers = await roundedIntegers(problem, settings, products, context)
  settle(problem, integers, context)
  return betterRows(problem, integers)
}

/** Rounds one layer, group by group; the Hessians are given up as they are used. */
async function roundLayer(
  { layer, request }: Candidate,
  hessians: Float64Array[],
  settings: Reconstruction,
  products: MatrixProducts,
  context: WorkContext,
): Promise<{ integers: Int8Array; facts: LayerRounding }> {
  const { matrix } = request
  const { values, layout, scales }: WeightValues = weightValues(layer)
  const integers = new Int8Array(values.length)
  let [power, before, after] = [0, 0, 0]
  for (let group = 0; group < matrix.groups; group++) {
    const problem: RoundingProblem = {
      rows: matrix.rows,
      columns: matrix.columns.length,
      bits: layer.weightBits,
      weights: groupElements(matrix, group, values),
      scales: groupScales(matrix, group, layout, scales),
      hessian: hessians[group] as Float64Array,
    }
    const choice = await roundGroup(problem, settings, products, context)
    putGroup(matrix, group, choice.integers, integers)
    before += choice.nearestError
    after += choice.error
    power += rowPowers(problem).reduce((total, value) => total + value, 0)
  }
  const { method } = settings
  // An output of zeros has no error either.
  const share = (error: number): number => (power > 0 ? Math.max(0, error) / power : 0)
  return { integers, facts: { method, errorBefore: share(before), errorAfter: share(after) } }
}

/** Splits off the layers that are not worked on, with the reason. */
function select(
  model: Model,
  chosen: readonly ChosenLayer[],
  ranges: ReadonlyMap<string, ObservedRange>,
  settings: Reconstruction,
  original: Model | undefined,
  facts: Map<string, LayerRounding>,
): Candidate[] {
  const { method, layers } = settings
  const wanted = layers && new PatternMatcher(model, original).union(layers, 'repair.rounding.layers')
  const weights = new Set<string>()
  return chosen.flatMap((layer) => {
    const candidate = candidateOf(model, layer, ranges)
    if (wanted && !wanted.has(candidate.request.node)) return []
    const key = weightVariant(layer)
    const columns = candidate.request.matrix.columns.length
    if (columns > MOST_COLUMNS) {
      facts.set(layer.name, { method, skipped: 'too_many_inputs', columns, limit: MOST_COLUMNS })
      return []
    }
    if (weights.has(key)) {
      facts.set(layer.name, { method, skipped: 'shares_weight' })
      return []
    }
    weights.add(key)
    return [candidate]
  })
}

/**
 * Rounds the weights of the chosen layers as `recipe.repair.rounding` says, in a few passes over the calibration data.
 * A layer's output error on that data, its input being quantized and its output linear, is never above that of rounding
 * to the nearest, output channel by output channel.
 * @param ranges Ranges of the layers' inputs, by observerKey.
 * @throws E_LAYER_UNKNOWN, E_WEIGHT_NOT_FINITE, E_CANCELLED, E_FILE_WRITE, what running the model throws
 */
export async function roundWeights(
  model: Model,
  chosen: readonly ChosenLayer[],
  ranges: ReadonlyMap<string, ObservedRange>,
  dataset: CalibrationDataset,
  recipe: Recipe,
  { spill, original, ...options }: RoundingOptions,
  context: WorkContext = {},
): Promise<RoundedWeights> {
  const facts = new Map<string, LayerRounding>()
  const stored = new Map<string, TensorData>()
  const settings = recipe.repair.rounding
  const rounded = (layer: string): Int8Array | undefined => {
    const data = stored.get(layer)
    if (!data) return undefined
    const bytes = tensorBytes({ name: layer, dataType: DataType.INT8, dims: [], data })
    return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }
  if (settings.method === 'nearest') return { rounded, facts }

  const candidates = select(model, chosen, ranges, settings, original, facts)
  await using products = new MatrixProducts(options.threads)
  const { onProgress, ...quiet } = context
  let done = 0
  const report = (item: string): void =>
    onProgress?.({ stage: 'round', done, total: candidates.length, item })
  for (const pass of passes(candidates, activationBytes(model, dataset))) {
    report(pass[0]?.layer.name ?? '')
    const requests = pass.map(({ request }) => request)
    const hessians = await collectHessians(model, requests, dataset, products, options, quiet)
    for (const candidate of pass) {
      const { name } = candidate.layer
      report(name)
      const ofLayer = hessians.get(name)
      hessians.delete(name)
      if (ofLayer) {
        const result = await roundLayer(candidate, ofLayer, settings, products, quiet)
        stored.set(name, spill.put(result.integers))
        facts.set(name, result.facts)
      } else {
        facts.set(name, { method: settings.method, skipped: 'no_data' })
      }
      done++
    }
  }
  onProgress?.({ stage: 'round', done, total: candidates.length })
  return { rounded, facts }
}
