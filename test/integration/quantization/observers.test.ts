// Every range method through the whole quantizer, on the sample U-Net, and the values that observers see.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ActivationMethod,
  activationMethodSchema,
  RECIPE_SCHEMA,
  recipeSchema,
} from '../../../contract/recipe.ts'
import {
  modelInputs,
  type ObserverRequest,
  observeRanges,
  observerKey,
  observerSpec,
  openDataset,
} from '../../../engine/calibration/index.ts'
import { cloneModel, DataType, type Model, openModel, serializeModel } from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { buildModel, weights, writeFixture } from './models.ts'

const SAMPLE = path.resolve(import.meta.dirname, '../../../resources/samples/sprite-diffusion')
const MODEL = path.join(SAMPLE, 'unet.onnx')
const DATA = path.join(SAMPLE, 'calibration')
const METHODS = activationMethodSchema.options
const WAYS: [string, boolean][] = [
  ['natively', false],
  ['in TypeScript', true],
]

let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'observers-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function network(): Model {
  return buildModel({
    inputs: { x: ['N', 3, 8, 8] },
    outputs: ['y'],
    nodes: [
      { opType: 'Conv', name: 'one', inputs: ['x', 'w'], outputs: ['c'] },
      { opType: 'Relu', name: 'relu', inputs: ['c'], outputs: ['r'] },
      { opType: 'Conv', name: 'two', inputs: ['r', 'v'], outputs: ['y'] },
    ],
    initializers: [weights('w', [4, 3, 3, 3]), weights('v', [2, 4, 1, 1])],
  })
}

describe('observed values', () => {
  it.each(WAYS)(
    'are those of the tensors: percentiles of inputs and intermediate values, %s',
    async (_, script) => {
      const model = network()
      const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 5)
      const dataset = openDataset({ folder: dataFolder, batchSize: 2 }, modelInputs(model))
      const spec = observerSpec({ method: 'percentile', percentile: 90 })
      const plain = observerSpec({ method: 'min_max' })
      const tensors = ['x', 'r']
      const requests: ObserverRequest[] = tensors.flatMap((tensor) => [
        { tensor, spec },
        { tensor, spec: plain },
      ])
      const progress: [number, number][] = []
      const ranges = await observeRanges(
        model,
        dataset,
        [...requests, { tensor: 'c', spec: plain }],
        { script },
        {
          onProgress: ({ done, total }) => progress.push([done, total]),
        },
      )

      const exposed = cloneModel(model)
      exposed.graph.outputs = ['r', 'c'].map((name) => ({ name, elementType: DataType.FLOAT }))
      const session = await ort.InferenceSession.create(serializeModel(exposed))
      const seen: Record<string, number[]> = { x: [], r: [], c: [] }
      for (let index = 0; index < dataset.count; index++) {
        const feed = dataset.load(index).x!
        const x = new ort.Tensor('float32', feed.data as Float32Array, feed.dims)
        const results = { ...(await session.run({ x })), x }
        for (const [name, values] of Object.entries(seen)) {
          values.push(...((results as Record<string, ort.Tensor>)[name]!.data as Float32Array))
        }
      }
      for (const tensor of tensors) {
        const sorted = seen[tensor]!.toSorted((a, b) => a - b)
        const quantile = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!
        const range = ranges.get(observerKey(tensor, spec))!
        const width = (sorted.at(-1)! - sorted[0]!) / 2048
        expect(Math.abs(range.min - quantile(0.05))).toBeLessThan(width)
        expect(Math.abs(range.max - quantile(0.95))).toBeLessThan(width)
        const whole = ranges.get(observerKey(tensor, plain))!
        expect(whole.min).toBeCloseTo(sorted[0]!, 5)
        expect(whole.max).toBeCloseTo(sorted.at(-1)!, 5)
      }
      expect(ranges.get(observerKey('c', plain))!.max).toBeCloseTo(Math.max(...seen.c!), 5)
      // Three batches; in TypeScript three with reductions for "c", three with values for the others.
      const runs = script ? 6 : 3
      expect(progress).toEqual(Array.from({ length: runs }, (_, index) => [index + 1, runs]))
    },
  )

  it.each(WAYS)('may be float16, %s', async (_, script) => {
    const model = buildModel({
      inputs: { x: [1, 4] },
      inputType: DataType.FLOAT16,
      outputs: ['y'],
      nodes: [
        { opType: 'Identity', name: 'i', inputs: ['x'], outputs: ['h'] },
        { opType: 'Neg', name: 'n', inputs: ['h'], outputs: ['y'] },
      ],
      initializers: [],
    })
    const data = mkdtempSync(path.join(folder, 'half-'))
    // 1, -2, 0.5 and 65504 as binary16.
    writeFileSync(path.join(data, '0.bin'), Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x7bff))
    const dataset = openDataset({ folder: data }, modelInputs(model))
    const spec = observerSpec({ method: 'percentile', percentile: 100 })
    const tensors = ['x', 'y']
    const requests = tensors.map((tensor) => ({ tensor, spec }))
    const ranges = await observeRanges(model, dataset, requests, {
      float16Tensors: new Set(tensors),
      script,
    })
    expect(ranges.get(observerKey('x', spec))).toMatchObject({ min: -2, max: 65504 })
    expect(ranges.get(observerKey('y', spec))).toMatchObject({ min: -65504, max: 2 })
  })

  it.each(WAYS)('are refused when one is NaN, with the layer that reads it, %s', async (_, script) => {
    const model = network()
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 2)
    model.graph.nodes[1]!.opType = 'Sqrt'
    const dataset = openDataset({ folder: dataFolder }, modelInputs(model))
    const requests = [{ tensor: 'r', spec: observerSpec({ method: 'mse' }) }]
    const running = observeRanges(model, dataset, requests, { layerOf: () => 'two', script })
    await expect(running).rejects.toMatchObject({
      code: 'E_ACTIVATION_NOT_FINITE',
      details: { layer: 'two', value: 'NaN' },
    })
  })

  it.each(WAYS)('leave nothing behind when cancelled, %s', async (_, script) => {
    const model = network()
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 4)
    const dataset = openDataset({ folder: dataFolder }, modelInputs(model))
    const controller = new AbortController()
    const requests = [{ tensor: 'r', spec: observerSpec({ method: 'hfmg' }) }]
    const running = observeRanges(
      model,
      dataset,
      requests,
      { script },
      {
        signal: controller.signal,
        onProgress: () => controller.abort(),
      },
    )
    await expect(running).rejects.toMatchObject({ code: 'E_CANCELLED' })
  })
})

describe('a method chosen per layer', () => {
  it('gives readers of one tensor a quantization of their own', async () => {
    const model = buildModel({
      inputs: { x: [1, 3, 8, 8] },
      outputs: ['a', 'b'],
      nodes: [
        { opType: 'Conv', name: 'net.left', inputs: ['x', 'w'], outputs: ['a'] },
        { opType: 'Conv', name: 'net.right', inputs: ['x', 'v'], outputs: ['b'] },
      ],
      initializers: [weights('w', [4, 3, 3, 3]), weights('v', [2, 3, 1, 1])],
    })
    const { modelPath, dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 3)
    const result = await quantizeModel({
      modelPath,
      recipe: recipeSchema.parse({
        schema: RECIPE_SCHEMA,
        overrides: [{ layer: 'net.right', activation: { method: 'percentile', percentile: 80 } }],
      }),
      dataset: { folder: dataFolder },
      outputPrefix: path.join(folder, 'per-layer'),
    })
    const [left, right] = result.layers.map((layer) => layer.activation)
    expect(left?.method).toBe('min_max')
    expect(right?.method).toBe('percentile')
    expect(right?.scale).toBeLessThan(0.8 * left!.scale)
  })
})

async function outputs(modelPath: string): Promise<Float32Array[]> {
  const dataset = openDataset({ folder: DATA }, modelInputs(openModel(MODEL)))
  const session = await ort.InferenceSession.create(modelPath, { intraOpNumThreads: 1 })
  const results: Float32Array[] = []
  for (let index = 0; index < dataset.count; index++) {
    const feeds = Object.entries(dataset.load(index)).map(
      ([name, feed]) => [name, new ort.Tensor('float32', feed.data as Float32Array, feed.dims)] as const,
    )
    results.push((await session.run(Object.fromEntries(feeds))).noise_pred?.data as Float32Array)
  }
  await session.release()
  return results
}

function sqnr(reference: readonly Float32Array[], test: readonly Float32Array[]): number {
  let [signal, noise] = [0, 0]
  reference.forEach((values, sample) =>
    values.forEach((value, index) => {
      signal += value * value
      noise += (value - test[sample]![index]!) ** 2
    }),
  )
  return 10 * Math.log10(signal / noise)
}

async function quantizedSqnr(method: ActivationMethod, reference: readonly Float32Array[]): Promise<number> {
  const result = await quantizeModel({
    modelPath: MODEL,
    recipe: recipeSchema.parse({
      schema: RECIPE_SCHEMA,
      activation: { method },
      fp16_layers: ['*conv_shortcut*', '*samplers*', '*conv_in*', '*conv_out*'],
    }),
    dataset: { folder: DATA },
    outputPrefix: path.join(folder, method),
  })
  return sqnr(reference, await outputs(result.fakeQuantPath))
}

describe('the sample U-Net', () => {
  let reference: Float32Array[]
  let minMax: number

  beforeAll(async () => {
    reference = await outputs(MODEL)
    minMax = await quantizedSqnr('min_max', reference)
  })

  it.each(METHODS.filter((method) => method !== 'min_max'))('is quantized well by %s', async (method) => {
    const measured = await quantizedSqnr(method, reference)
    expect(measured).toBeGreaterThan(20)
    if (['mse', 'auto'].includes(method)) expect(measured).toBeGreaterThan(minMax + 1)
  })
})
