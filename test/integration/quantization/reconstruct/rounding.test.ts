// Rounding by reconstruction against ONNX Runtime: the errors it reports are those of the layer's output, for every form
// of layer; it does not depend on the order of the samples; and whole INT4 models gain by it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LayerRounding } from '../../../../contract/quantization.ts'
import { RECIPE_SCHEMA, type Recipe, recipeSchema } from '../../../../contract/recipe.ts'
import type { Progress } from '../../../../contract/work.ts'
import {
  type CalibrationDataset,
  modelInputs,
  type ObservedRange,
  observerKey,
  openDataset,
} from '../../../../engine/calibration/index.ts'
import { DataType, makeTensor, type Model, saveModel } from '../../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../../engine/quantization/index.ts'
import type { ChosenLayer } from '../../../../engine/quantization/plan.ts'
import {
  MOST_COLUMNS,
  roundWeights,
  type RoundedWeights,
} from '../../../../engine/quantization/reconstruct/index.ts'
import { quantizeWeight, scaleCount } from '../../../../engine/quantization/rules.ts'
import { selectLayers } from '../../../../engine/quantization/selection.ts'
import { WeightSpill } from '../../../../engine/quantization/weight-spill.ts'
import { weightValues } from '../../../../engine/quantization/weights.ts'
import { generate } from '../../../unit/quantization/vectors.ts'
import { buildModel, type ModelSpec, weights } from '../models.ts'
import { runOnnx, sqnr } from '../run.ts'

const SAMPLES = path.resolve(import.meta.dirname, '../../../../resources/samples')
const RUNS = 3

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'rounding-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function recipeOf(rounding: object, rest: object = {}): Recipe {
  return recipeSchema.parse({
    schema: RECIPE_SCHEMA,
    precision: 'w4a8',
    activation: { method: 'min_max', symmetric: true },
    repair: { rounding },
    ...rest,
  })
}

/** Whole numbers with the largest magnitude 127: the symmetric grid of the range holds them exactly. */
function gridData(count: number, run: number): Float32Array {
  const values = generate(count + 31 * run, 30, 8)
    .subarray(31 * run)
    .map(Math.round)
  values[run] = -127
  values[run + 1] = 127
  return values.map((value) => Math.max(-127, Math.min(127, value)))
}

function dataset(model: Model, dims: number[], order: number[] = [0, 1, 2]): CalibrationDataset {
  const data = path.join(folder, 'data')
  mkdirSync(data, { recursive: true })
  const count = dims.reduce((product, dim) => product * dim, 1)
  for (let run = 0; run < RUNS; run++) writeFileSync(path.join(data, `${run}.bin`), gridData(count, run))
  const list = path.join(folder, 'list.txt')
  writeFileSync(list, order.map((run) => `${run}.bin`).join('\n'))
  return openDataset({ folder: data, listFile: list, inputShapes: { x: dims } }, modelInputs(model))
}

interface Rounding extends RoundedWeights {
  layer: ChosenLayer
}

async function round(
  model: Model,
  data: CalibrationDataset,
  recipe: Recipe,
  context: { signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {},
): Promise<Rounding & { integers: Int8Array }> {
  const { chosen, weightOnly } = selectLayers(model, recipe)
  const layers = [...chosen, ...weightOnly]
  const layer = layers[0] as ChosenLayer
  const range: ObservedRange = { min: -127, max: 127, method: 'min_max' }
  const ranges = new Map([[observerKey(layer.anatomy.activation, layer.observer), range]])
  using spill = new WeightSpill(path.join(folder, 'spill'))
  const result = await roundWeights(model, layers, ranges, data, recipe, { spill }, context)
  return { ...result, layer, integers: result.rounded(layer.name)?.slice() ?? new Int8Array() }
}

/** The output for every sample, with other weights in place of the model's. */
async function outputs(spec: ModelSpec, dims: number[], values?: Float32Array): Promise<Float32Array> {
  const initializers = spec.initializers.map((tensor) =>
    tensor.name === 'w' && values ? makeTensor('w', DataType.FLOAT, tensor.dims, values) : tensor,
  )
  const file = path.join(folder, 'layer.onnx')
  saveModel(buildModel({ ...spec, initializers }), file)
  const count = dims.reduce((product, dim) => product * dim, 1)
  const all: number[] = []
  for (let run = 0; run < RUNS; run++) all.push(...(await runOnnx(file, 'x', gridData(count, run), dims)))
  return Float32Array.from(all)
}

function dequantized(layer: ChosenLayer, integers: Int8Array): Float32Array {
  const { layout, scales } = weightValues(layer)
  const unit = new Float32Array(integers.length).fill(1)
  // The scale of an element is what one unit there quantizes to, on scales of their own numbers.
  const index = quantizeWeight(
    unit,
    layout,
    Float32Array.from({ length: scaleCount(layout) }, (_, channel) => 1 / (channel + 1)),
  )
  return Float32Array.from(integers, (q, place) => q * scales[index[place]! - 1]!)
}

interface LayerCase {
  name: string
  opType: string
  x: number[]
  w: number[]
  attributes?: Record<string, number | string | number[]>
  bits?: 'int8' | 'w4a16'
}

const CASES: LayerCase[] = [
  { name: 'Conv', opType: 'Conv', x: [2, 4, 9, 8], w: [6, 4, 3, 3], attributes: { pads: [1, 1, 1, 1] } },
  {
    name: 'Conv with strides, dilations and uneven padding',
    opType: 'Conv',
    x: [1, 4, 11, 13],
    w: [4, 4, 3, 2],
    attributes: { strides: [2, 3], dilations: [2, 1], pads: [0, 2, 3, 1] },
  },
  {
    name: 'Conv, SAME_UPPER',
    opType: 'Conv',
    x: [1, 2, 7, 9],
    w: [4, 2, 4, 3],
    attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] },
  },
  {
    name: 'Conv, SAME_LOWER',
    opType: 'Conv',
    x: [1, 2, 7, 10],
    w: [4, 2, 4, 2],
    attributes: { auto_pad: 'SAME_LOWER', strides: [1, 2] },
  },
  {
    name: 'Conv in one dimension',
    opType: 'Conv',
    x: [3, 4, 20],
    w: [5, 4, 5],
    attributes: { pads: [2, 2] },
  },
  {
    name: 'Conv in three dimensions',
    opType: 'Conv',
    x: [1, 2, 4, 5, 6],
    w: [3, 2, 2, 3, 1],
    attributes: { pads: [0, 1, 0, 1, 1, 0] },
  },
  {
    name: 'grouped Conv',
    opType: 'Conv',
    x: [1, 6, 8, 8],
    w: [9, 2, 3, 3],
    attributes: { group: 3 },
    bits: 'int8',
  },
  {
    name: 'depthwise Conv',
    opType: 'Conv',
    x: [1, 5, 8, 8],
    w: [5, 1, 3, 3],
    attributes: { group: 5, pads: [1, 1, 1, 1] },
    bits: 'int8',
  },
  {
    name: 'ConvTranspose',
    opType: 'ConvTranspose',
    x: [1, 4, 5, 6],
    w: [4, 3, 3, 4],
    attributes: { strides: [2, 3], pads: [1, 0, 0, 2], output_padding: [1, 0] },
  },
  {
    name: 'ConvTranspose of a given size, dilated',
    opType: 'ConvTranspose',
    x: [1, 2, 5, 5],
    w: [2, 3, 3, 3],
    attributes: { strides: [2, 2], dilations: [2, 1], output_shape: [11, 9] },
  },
  {
    name: 'grouped ConvTranspose',
    opType: 'ConvTranspose',
    x: [1, 6, 7],
    w: [6, 2, 4],
    attributes: { group: 2, strides: [2] },
    bits: 'int8',
  },
  { name: 'MatMul', opType: 'MatMul', x: [2, 7, 12], w: [12, 5] },
  { name: 'Gemm, transposed', opType: 'Gemm', x: [30, 12], w: [5, 12], attributes: { transB: 1 } },
  { name: 'MatMul with scales of groups', opType: 'MatMul', x: [40, 64], w: [64, 5], bits: 'w4a16' },
]

function caseSpec({ opType, x, w, attributes }: LayerCase): ModelSpec {
  return {
    inputs: { x },
    outputs: ['y'],
    nodes: [{ opType, name: 'layer', inputs: ['x', 'w'], outputs: ['y'], attributes: attributes ?? {} }],
    initializers: [weights('w', w, 0.3, 0.05)],
  }
}

function relativeError(reference: Float32Array, test: Float32Array): number {
  return 10 ** (-sqnr(reference, test) / 10)
}

describe('errors of a layer', () => {
  it.each(CASES)('$name: as ONNX Runtime computes them, and below rounding to the nearest', async (given) => {
    const spec = caseSpec(given)
    const model = buildModel(spec)
    const data = dataset(model, given.x)
    const precision = given.bits ?? 'w4a8'
    const exact = await outputs(spec, given.x)
    for (const rounding of [{ method: 'gptq' }, { method: 'adaround', iterations: 200 }]) {
      const recipe = recipeOf(rounding, { precision })
      const { layer, integers, facts } = await round(model, data, recipe)
      const found = facts.get(layer.name) as Extract<LayerRounding, { errorBefore: number }>
      const { values, layout, scales } = weightValues(layer)
      const nearest = quantizeWeight(values, layout, scales, layer.weightBits)
      // Gemm's weight is stored transposed; the integers are in the order of the product.
      const inOrder = (floats: Float32Array): Float32Array =>
        given.opType === 'Gemm' ? transposed(floats, given.w[1]!, given.w[0]!) : floats
      const before = await outputs(spec, given.x, inOrder(dequantized(layer, nearest)))
      const after = await outputs(spec, given.x, inOrder(dequantized(layer, integers)))
      expect(found.errorBefore / relativeError(exact, before)).toBeCloseTo(1, 3)
      expect(found.errorAfter / relativeError(exact, after)).toBeCloseTo(1, 3)
      expect(found.errorAfter).toBeLessThan(found.errorBefore)
      expect(Math.max(...integers.map(Math.abs))).toBeLessThanOrEqual(2 ** (layer.weightBits - 1))
    }
  })
})

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(values, (_, place) => values[(place % rows) * columns + Math.floor(place / rows)]!)
}

describe('rounding', () => {
  const given: LayerCase = { name: 'Conv', opType: 'Conv', x: [1, 8, 40, 40], w: [8, 8, 3, 3] }

  it('does not depend on the order of the samples, also where only some places are used', async () => {
    const model = buildModel(caseSpec(given))
    for (const rounding of [{ method: 'gptq' }, { method: 'adaround', iterations: 100 }]) {
      const recipe = recipeOf(rounding)
      const forward = await round(model, dataset(model, given.x), recipe)
      const backward = await round(model, dataset(model, given.x, [2, 0, 1]), recipe)
      expect(backward.integers).toEqual(forward.integers)
    }
  })

  it('nearest: nothing is done', async () => {
    const model = buildModel(caseSpec(given))
    const { integers, facts } = await round(model, dataset(model, given.x), recipeOf({ method: 'nearest' }))
    expect([integers.length, facts.size]).toEqual([0, 0])
  })

  it('reports its progress layer by layer and stops when asked', async () => {
    const model = buildModel(caseSpec(given))
    const seen: Progress[] = []
    const data = dataset(model, given.x)
    await round(model, data, recipeOf({ method: 'gptq' }), { onProgress: (step) => seen.push(step) })
    expect(seen).toContainEqual({ stage: 'round', done: 0, total: 1, item: 'layer' })
    expect(seen.at(-1)).toEqual({ stage: 'round', done: 1, total: 1 })

    const abort = new AbortController()
    const onProgress = (): void => abort.abort()
    const stopped = round(model, data, recipeOf({ method: 'adaround' }), { signal: abort.signal, onProgress })
    await expect(stopped).rejects.toMatchObject({ code: 'E_CANCELLED' })
  })

  it('a list names the layers; a name that matches nothing is an error', async () => {
    const model = buildModel(caseSpec(given))
    const data = dataset(model, given.x)
    const named = await round(model, data, recipeOf({ method: 'gptq', layers: ['lay*'] }))
    expect(named.facts.size).toBe(1)
    await expect(round(model, data, recipeOf({ method: 'gptq', layers: ['lair'] }))).rejects.toMatchObject({
      code: 'E_LAYER_UNKNOWN',
      details: { list: 'repair.rounding.layers', layer: 'lair' },
    })
  })

  it('a layer with too many inputs is rounded to the nearest, and says so', async () => {
    const columns = MOST_COLUMNS + 1
    const wide: LayerCase = { name: 'MatMul', opType: 'MatMul', x: [1, columns], w: [columns, 2] }
    const model = buildModel(caseSpec(wide))
    const { integers, facts } = await round(model, dataset(model, wide.x), recipeOf({ method: 'gptq' }))
    expect(integers).toHaveLength(0)
    expect(facts.get('layer')).toEqual({
      method: 'gptq',
      skipped: 'too_many_inputs',
      columns,
      limit: MOST_COLUMNS,
    })
  })

  it('layers that share a weight are rounded once', async () => {
    const model = buildModel({
      inputs: { x: [10, 6] },
      outputs: ['y'],
      nodes: [
        { opType: 'MatMul', name: 'first', inputs: ['x', 'w'], outputs: ['a'] },
        { opType: 'MatMul', name: 'second', inputs: ['a', 'w'], outputs: ['y'] },
      ],
      initializers: [weights('w', [6, 6])],
    })
    const { facts } = await round(model, dataset(model, [10, 6]), recipeOf({ method: 'gptq' }))
    expect(facts.get('first')).toHaveProperty('errorAfter')
    expect(facts.get('second')).toEqual({ method: 'gptq', skipped: 'shares_weight' })
  })
})

/** The sample language model: six recorded sequences calibrate, two others evaluate. */
async function languageModel(rounding: object): Promise<{ decibels: number; roundings: LayerRounding[] }> {
  const modelPath = path.join(SAMPLES, 'tiny-lm/lm.onnx')
  const { sequences } = JSON.parse(readFileSync(path.join(SAMPLES, 'tiny-lm/calibration.json'), 'utf8')) as {
    sequences: number[][]
  }
  const data = path.join(folder, 'sequences')
  mkdirSync(data, { recursive: true })
  const bins = sequences.slice(0, 8).map((ids) => BigInt64Array.from(ids, BigInt))
  bins.slice(0, 6).forEach((ids, index) => writeFileSync(path.join(data, `${index}.bin`), ids))
  const result = await quantizeModel({
    modelPath,
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      precision: 'w4a8',
      weight: { method: 'mse' },
      repair: { rounding },
    }),
    dataset: { folder: data },
    outputPrefix: path.join(folder, 'lm'),
  })
  const logits = async (file: string): Promise<number[]> => {
    const session = await ort.InferenceSession.create(file)
    const all: number[] = []
    for (const ids of bins.slice(6)) {
      const results = await session.run({ input_ids: new ort.Tensor('int64', ids, [1, ids.length]) })
      all.push(...(results['logits']?.data as Float32Array))
    }
    await session.release()
    return all
  }
  const decibels = sqnr(await logits(modelPath), await logits(result.fakeQuantPath))
  return { decibels, roundings: result.layers.flatMap(({ rounding: facts }) => facts ?? []) }
}

describe('INT4 weights of the sample language model', () => {
  it('lose less on text that calibration has not seen', async () => {
    const nearest = await languageModel({ method: 'nearest' })
    expect(nearest.roundings).toEqual([])
    const gptq = await languageModel({ method: 'gptq' })
    expect(gptq.roundings).toHaveLength(29)
    expect(gptq.decibels).toBeGreaterThan(nearest.decibels + 2)
    const adaround = await languageModel({ method: 'adaround', iterations: 20 })
    expect(adaround.decibels).toBeGreaterThan(nearest.decibels + 1)
  })
})
