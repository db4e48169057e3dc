// H = E[x x^T] of layer inputs over calibration data, x being what a row of the layer's weights is multiplied with:
// quantized as the layer will see it. Nothing of a run is kept but the sums.
import type { WorkContext } from '../../../contract/work.ts'
import type { CalibrationDataset } from '../../calibration/index.ts'
import { type RangeOptions, runSamples } from '../../calibration/session.ts'
import { capturedTensor, capturingModel } from '../../calibration/values.ts'
import type { Model, Node } from '../../onnx/index.ts'
import type { LayerAnatomy } from '../layers.ts'
import { quantizeToInt8, type ScaleOffset } from '../rules.ts'
import type { LayerMatrix } from './layer-matrix.ts'
import type { MatrixProducts } from './matrix-products.ts'
import { type LayerInput, type PatchSource, patchSource } from './patches.ts'
import { spreadChoice, textSeed } from './sampling.ts'

export interface HessianRequest {
  name: string
  anatomy: LayerAnatomy
  node: Node
  matrix: LayerMatrix
  /** How the layer's input is quantized; undefined when it stays in floating point. */
  quantization: ScaleOffset | undefined
}

/**
 * Places that a Hessian is made from, over all runs: eight for every column, 8192 at least; as many from every run. The
 * choice depends on the names of layer and sample only.
 */
const PLACES_PER_COLUMN = 8
const LEAST_PLACES = 8192
/** Values that go into one product. */
const VALUES_PER_PRODUCT = 8 * 1024 * 1024

/** Sums of x x^T, one matrix per group. */
class HessianSum {
  readonly request: HessianRequest
  readonly #sums: Float64Array[]
  readonly #wanted: number
  #places = 0

  constructor(request: HessianRequest, runs: number) {
    this.request = request
    const { groups, columns } = request.matrix
    this.#sums = Array.from({ length: groups }, () => new Float64Array(columns.length ** 2))
    const total = Math.max(LEAST_PLACES, PLACES_PER_COLUMN * columns.length)
    this.#wanted = Math.ceil(total / Math.max(1, runs))
  }

  async add(input: LayerInput, sample: string, products: MatrixProducts): Promise<void> {
    const { name, anatomy, node, matrix } = this.request
    const source = patchSource(anatomy, node, input)
    const chosen = spreadChoice(source.count, this.#wanted, textSeed(`${name}\0${sample}`))
    const size = Math.max(1, Math.floor(VALUES_PER_PRODUCT / matrix.columns.length))
    for (let start = 0; start < chosen.length; start += size) {
      const places = chosen.subarray(start, start + size)
      for (let group = 0; group < matrix.groups; group++)
        await this.#addPlaces(source, places, group, products)
    }
    this.#places += chosen.length
  }

  async #addPlaces(
    source: PatchSource,
    places: Uint32Array,
    group: number,
    products: MatrixProducts,
  ): Promise<void> {
    const columns = this.request.matrix.columns.length
    const patches = new Float32Array(places.length * columns)
    places.forEach((place, row) => source.fill(place, group, patches, row * columns))
    const gram = await products.gram(patches, places.length, columns)
    const sum = this.#sums[group] as Float64Array
    for (let index = 0; index < sum.length; index++) {
      sum[index] = (sum[index] as number) + (gram[index] as number)
    }
  }

  /** The mean, in place of the sum; undefined when nothing was added. */
  hessians(): Float64Array[] | undefined {
    if (this.#places === 0) return undefined
    const share = 1 / this.#places
    for (const sum of this.#sums) {
      for (let index = 0; index < sum.length; index++) sum[index] = (sum[index] as number) * share
    }
    return this.#sums
  }
}

function quantizedInput(input: LayerInput, quantization: ScaleOffset | undefined): LayerInput {
  if (!quantization) return input
  const { scale, offset } = quantization
  return { ...input, data: input.data.map((x) => (quantizeToInt8(x, scale, offset) - offset) * scale) }
}

/**
 * Runs the model over a data set and returns the Hessians of the wanted layers by name, one per group. All are in memory
 * at once; the caller bounds them by what it asks for. Layers whose input is empty in every run are left out.
 * @throws what runSamples throws
 */
export async function collectHessians(
  model: Model,
  requests: readonly HessianRequest[],
  dataset: CalibrationDataset,
  products: MatrixProducts,
  options: RangeOptions,
  context: WorkContext,
): Promise<Map<string, Float64Array[]>> {
  const sums = requests.map((request) => new HessianSum(request, dataset.count))
  const readers = Map.groupBy(sums, ({ request }) => request.anatomy.activation)
  const prepared = capturingModel(model, [...readers.keys()], options)
  const label = model.path ?? 'the model'
  await runSamples(prepared.model, label, dataset, options, context, async (run) => {
    for (const capture of prepared.captures) {
      const input = capturedTensor(capture, run)
      const quantized = new Map<string, LayerInput>()
      for (const sum of readers.get(capture.tensor) ?? []) {
        const { quantization } = sum.request
        const key = JSON.stringify(quantization ?? null)
        const seen = quantized.get(key) ?? quantizedInput(input, quantization)
        quantized.set(key, seen)
        await sum.add(seen, run.sample, products)
      }
    }
  })
  return new Map(
    sums.flatMap((sum) => {
      const hessians = sum.hessians()
      return hessians ? [[sum.request.name, hessians] as const] : []
    }),
  )
}
