// The native observer against the TypeScript one: the same extremes, the same counts, the same ranges; and what it does
// with models that are large, odd or wrong.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { activationMethodSchema } from '../../../contract/recipe.ts'
import {
  type CalibrationDataset,
  modelInputs,
  type ObserveOptions,
  type ObserverRequest,
  observeRanges,
  type ObservedRange,
  observerKey,
  observerSpec,
  openDataset,
  type TensorDetails,
} from '../../../engine/calibration/index.ts'
import type { Bins } from '../../../engine/calibration/observers/index.ts'
import { observedModel } from '../../../engine/calibration/observed-model.ts'
import {
  DataType,
  makeNode,
  makeTensor,
  type Model,
  openModel,
  saveModel,
  tensorBytes,
} from '../../../engine/onnx/index.ts'
import { NativeObserver, OPTIMIZATION } from '../../../native/observer/index.ts'
import { buildNative, findCompiler } from '../../../scripts/build-native.mjs'
import { generate } from '../../unit/quantization/vectors.ts'
import { buildModel, weights, writeFixture } from '../quantization/models.ts'

const SAMPLE = path.resolve(import.meta.dirname, '../../../resources/samples/sprite-diffusion')
const METHODS = activationMethodSchema.options
const MISSING = '/nonexistent/libaqw_observer.so'

let folder: string

beforeAll(async () => {
  expect(findCompiler(), 'a C++ compiler').not.toBeNull()
  expect((await buildNative({ quiet: true })).status).toMatch(/built|current/)
})

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'native-observer-'))
})

afterEach(() => {
  delete process.env['AQW_OBSERVER_LIBRARY']
  rmSync(folder, { recursive: true })
})

/** Elementwise operators: every kernel and every optimization gives the same values. */
function elementwise(): Model {
  return buildModel({
    inputs: { x: ['N', 40, 60] },
    outputs: ['y'],
    nodes: [
      { opType: 'Neg', name: 'neg', inputs: ['x'], outputs: ['n'] },
      { opType: 'Relu', name: 'relu', inputs: ['n'], outputs: ['r'] },
      { opType: 'Mul', name: 'square', inputs: ['r', 'x'], outputs: ['s'] },
      { opType: 'Identity', name: 'end', inputs: ['s'], outputs: ['y'] },
    ],
    initializers: [],
  })
}

function network(): Model {
  return buildModel({
    inputs: { x: ['N', 3, 16, 16] },
    outputs: ['y'],
    nodes: [
      { opType: 'Conv', name: 'net.one', inputs: ['x', 'w'], outputs: ['c'] },
      { opType: 'Relu', name: 'net.relu', inputs: ['c'], outputs: ['r'] },
      { opType: 'Conv', name: 'net.two', inputs: ['r', 'v'], outputs: ['y'] },
    ],
    initializers: [weights('w', [32, 3, 3, 3]), weights('v', [64, 32, 3, 3])],
  })
}

function dataFor(model: Model, dims: number[], samples: number, batchSize = 1): CalibrationDataset {
  const { dataFolder } = writeFixture(folder, model, dims, samples)
  return openDataset({ folder: dataFolder, batchSize }, modelInputs(model))
}

interface Observation {
  ranges: Map<string, ObservedRange>
  details: Map<string, TensorDetails>
}

async function observe(
  model: Model,
  dataset: CalibrationDataset,
  requests: readonly ObserverRequest[],
  options: ObserveOptions = {},
): Promise<Observation> {
  const details = new Map<string, TensorDetails>()
  const ranges = await observeRanges(model, dataset, requests, {
    ...options,
    onTensor: ({ tensor, spec }, found) => details.set(observerKey(tensor, spec), found),
  })
  return { ranges, details }
}

/** Zero without a sign: which of the two is found as an extreme is left open. */
const unsigned = ({ min, max }: { min: number; max: number }): number[] => [min + 0, max + 0]

/** What both ways see must be equal, number for number. */
async function expectBothEqual(
  model: Model,
  dataset: CalibrationDataset,
  requests: readonly ObserverRequest[],
  options: ObserveOptions = {},
): Promise<void> {
  const native = await observe(model, dataset, requests, options)
  const script = await observe(model, dataset, requests, { ...options, script: true })
  expect([...native.ranges.keys()]).toEqual([...script.ranges.keys()])
  for (const [key, { bins, runs, candidates }] of script.details) {
    const found = native.details.get(key)!
    expect(found.runs.map(unsigned)).toEqual(runs.map(unsigned))
    const shape = ({ low, width, total }: Bins): number[] => [low + 0, width, total]
    expect([shape(found.bins), unsigned(found.bins)]).toEqual([shape(bins), unsigned(bins)])
    expect([...found.bins.counts]).toEqual([...bins.counts])
    expect(found.candidates?.map(({ method }) => method)).toEqual(candidates?.map(({ method }) => method))
  }
  for (const [key, { min, max, method }] of script.ranges) {
    const found = native.ranges.get(key)!
    expect(found.method).toBe(method)
    const step = 1e-6 * (max - min)
    expect(Math.abs(found.min - min)).toBeLessThanOrEqual(step)
    expect(Math.abs(found.max - max)).toBeLessThanOrEqual(step)
  }
}

const all = (tensors: readonly string[]): ObserverRequest[] =>
  tensors.flatMap((tensor) => METHODS.map((method) => ({ tensor, spec: observerSpec({ method }) })))

describe('the native observer', () => {
  it('sees what the TypeScript observers see, by every method, with a smaller last batch', async () => {
    const model = elementwise()
    await expectBothEqual(model, dataFor(model, [1, 40, 60], 7, 3), all(['x', 'r', 's']))
  })

  it('counts large tensors on several threads as well', async () => {
    const model = elementwise()
    const dataset = dataFor(model, [1, 40, 60], 60, 60)
    const spec = observerSpec({ method: 'percentile' })
    await expectBothEqual(model, dataset, [{ tensor: 's', spec }], { threads: 3 })
  })

  it('reads float16', async () => {
    const model = buildModel({
      inputs: { x: [1, 300] },
      inputType: DataType.FLOAT16,
      outputs: ['y'],
      nodes: [
        { opType: 'Relu', name: 'a', inputs: ['x'], outputs: ['r'] },
        { opType: 'Neg', name: 'b', inputs: ['r'], outputs: ['y'] },
      ],
      initializers: [],
    })
    for (let sample = 0; sample < 3; sample++) {
      const bits = Uint16Array.from(
        { length: 300 },
        (_, index) => ((index * 7919 + sample * 104729) % 0x7c00) | ((index % 2) << 15),
      )
      writeFileSync(path.join(folder, `${sample}.bin`), bits)
    }
    const dataset = openDataset({ folder }, modelInputs(model))
    await expectBothEqual(model, dataset, all(['x', 'r', 'y']), { float16Tensors: new Set(['x', 'r', 'y']) })
  })

  it('gives way to TypeScript where it is not built', async () => {
    process.env['AQW_OBSERVER_LIBRARY'] = MISSING
    const model = elementwise()
    const dataset = dataFor(model, [1, 40, 60], 2)
    const progress: number[] = []
    const requests = [{ tensor: 's', spec: observerSpec({ method: 'auto' }) }]
    const ranges = await observeRanges(
      model,
      dataset,
      requests,
      {},
      { onProgress: ({ done }) => progress.push(done) },
    )
    expect(progress).toEqual([1, 2])
    delete process.env['AQW_OBSERVER_LIBRARY']
    expect(await observeRanges(model, dataset, requests)).toEqual(ranges)
  })

  it('changes nothing in the model it is given', async () => {
    const model = network()
    const before = structuredClone(model)
    await observeRanges(model, dataFor(model, [1, 3, 16, 16], 2), all(['x', 'r']))
    expect(model).toEqual(before)
  })
})

describe('weights', () => {
  it.each(['inline', 'single-file', 'per-tensor'] as const)(
    'are read where they are: %s',
    async (external) => {
      const model = network()
      const dataset = dataFor(model, [1, 3, 16, 16], 3)
      const requests = [{ tensor: 'r', spec: observerSpec({ method: 'min_max' }) }]
      const expected = await observeRanges(model, dataset, requests)
      const file = path.join(folder, 'saved', 'model.onnx')
      mkdirSync(path.dirname(file))
      saveModel(model, file, { external })
      const opened = openModel(file)
      const tensor = opened.graph.initializers.get('v')!
      expect(observedModel(opened, ['y']).filed.map(({ dims }) => dims)).toEqual([tensor.dims])
      expect(await observeRanges(opened, dataset, requests)).toEqual(expected)
    },
  )

  it('may lie in two folders and in memory', async () => {
    const model = network()
    model.graph.nodes[2]!.outputs = ['d']
    model.graph.nodes.push(
      makeNode({ opType: 'Conv', name: 'net.three', inputs: ['d', 'u'], outputs: ['y'] }),
    )
    model.graph.initializers.set('u', weights('u', [64, 64, 1, 1]))
    const dataset = dataFor(model, [1, 3, 16, 16], 2)
    const requests = ['d', 'y'].map((tensor) => ({ tensor, spec: observerSpec({ method: 'min_max' }) }))
    const expected = await observeRanges(model, dataset, requests)
    const opened = openModel(path.join(folder, 'model.onnx'))
    const elsewhere = path.join(folder, 'elsewhere.bin')
    const other = path.join(folder, 'data', 'v.weights')
    const [u, v] = ['u', 'v'].map((name) => opened.graph.initializers.get(name)!)
    writeFileSync(elsewhere, tensorBytes(u!))
    u!.data = { kind: 'file', path: elsewhere, offset: 0, length: 4 * 64 * 64 }
    writeFileSync(other, new Uint8Array([0, ...tensorBytes(v!)]))
    v!.data = { kind: 'file', path: other, offset: 1, length: 4 * 64 * 32 * 9 }
    expect(observedModel(opened, ['y'])).toMatchObject({
      filed: [{ dims: v!.dims }],
      given: [{ dims: u!.dims }],
    })
    expect(await observeRanges(opened, dataset, requests)).toEqual(expected)
  })

  it('in a file that changed since are refused', async () => {
    const model = network()
    const dataset = dataFor(model, [1, 3, 16, 16], 1)
    const opened = openModel(path.join(folder, 'model.onnx'))
    writeFileSync(path.join(folder, 'model.onnx'), 'something else')
    const running = observeRanges(opened, dataset, [{ tensor: 'y', spec: observerSpec({ method: 'mse' }) }])
    await expect(running).rejects.toMatchObject({ code: 'E_ONNX_FILE_CHANGED' })
  })

  it('may be constants, under other dimensions, or among the inputs of an old model', async () => {
    const bias = makeTensor('b', DataType.FLOAT, [60], generate(60))
    const large = makeTensor('', DataType.FLOAT, [40, 60], generate(2400))
    const model = buildModel({
      opset: 11,
      inputs: { x: ['N', 40, 60] },
      outputs: ['y'],
      nodes: [
        { opType: 'Unsqueeze', name: 'u', inputs: ['b'], outputs: ['bu'], attributes: { axes: [0, -2] } },
        { opType: 'Add', name: 'add', inputs: ['x', 'bu'], outputs: ['a'] },
        { opType: 'Constant', name: 'k', inputs: [], outputs: ['c'] },
        { opType: 'Mul', name: 'mul', inputs: ['a', 'c'], outputs: ['y'] },
      ],
      initializers: [bias],
    })
    model.irVersion = 3
    model.graph.initializerInputs = [{ name: 'b', elementType: DataType.FLOAT, shape: [{ value: 60 }] }]
    model.graph.nodes[2]!.attributes = [{ name: 'value', type: 'tensor', value: large }]
    const dataset = dataFor(model, [1, 40, 60], 2)
    await expectBothEqual(model, dataset, all(['a', 'y']))
    expect(observedModel(model, ['y'])).toMatchObject({ filed: [], given: [] })
  })
})

describe('odd models', () => {
  it('may have branches', async () => {
    const branch = (opType: string, output: string): Model['graph'] => ({
      ...buildModel({
        inputs: {},
        outputs: [output],
        nodes: [{ opType, name: `${opType}.inner`, inputs: ['x'], outputs: [output] }],
        initializers: [],
      }).graph,
      name: opType,
    })
    const model = buildModel({
      inputs: { x: [1, 8] },
      outputs: ['y'],
      nodes: [
        { opType: 'ReduceSum', name: 'sum', inputs: ['x'], outputs: ['t'], attributes: { keepdims: 0 } },
        { opType: 'Greater', name: 'more', inputs: ['t', 'zero'], outputs: ['cond'] },
        { opType: 'If', name: 'if', inputs: ['cond'], outputs: ['z'] },
        { opType: 'Neg', name: 'neg', inputs: ['z'], outputs: ['y'] },
      ],
      initializers: [makeTensor('zero', DataType.FLOAT, [], [0])],
    })
    model.graph.nodes[2]!.attributes = [
      { name: 'then_branch', type: 'graph', value: branch('Relu', 'p') },
      { name: 'else_branch', type: 'graph', value: branch('Identity', 'q') },
    ]
    await expectBothEqual(model, dataFor(model, [1, 8], 5), all(['z', 'y']))
  })

  it('are told apart from ours: what ONNX Runtime refuses is named as in the source', async () => {
    const model = buildModel({
      inputs: { x: [1, 8] },
      outputs: ['y'],
      nodes: [{ opType: 'MatMul', name: 'net.product', inputs: ['x', 'm'], outputs: ['y'] }],
      initializers: [weights('m', [7, 8])],
    })
    const dataset = dataFor(model, [1, 8], 1)
    const running = observeRanges(model, dataset, [
      { tensor: 'y', spec: observerSpec({ method: 'min_max' }) },
    ])
    await expect(running).rejects.toMatchObject({ code: 'E_CALIBRATION_RUN' })
    await expect(running).rejects.toThrow(/net\.product/)
  })

  it('with an empty tensor observe nothing of it', async () => {
    const model = buildModel({
      inputs: { x: [1, 8] },
      outputs: ['y'],
      nodes: [{ opType: 'Slice', name: 'none', inputs: ['x', 'from', 'from', 'axes'], outputs: ['y'] }],
      initializers: [
        makeTensor('from', DataType.INT64, [1], [4]),
        makeTensor('axes', DataType.INT64, [1], [1]),
      ],
    })
    const dataset = dataFor(model, [1, 8], 2)
    const { ranges, details } = await observe(model, dataset, [
      { tensor: 'y', spec: observerSpec({ method: 'mse' }) },
    ])
    expect([...ranges.values()]).toEqual([{ method: 'mse', min: 0, max: 0 }])
    expect([...details.values()][0]?.runs).toEqual([])
  })
})

describe('the sample U-Net', () => {
  const model = openModel(path.join(SAMPLE, 'unet.onnx'))
  const dataset = openDataset({ folder: path.join(SAMPLE, 'calibration'), count: 2 }, modelInputs(model))
  const { initializers, nodes } = model.graph
  const tensors = [
    ...new Set(
      nodes
        .filter(
          ({ opType, inputs }) => /^(Conv|MatMul|Gemm)$/.test(opType) && initializers.has(inputs[1] ?? ''),
        )
        .map(({ inputs }) => inputs[0] ?? ''),
    ),
  ]

  it('is observed tensor by tensor as soon as each is there', async () => {
    const observer = NativeObserver.create()!
    try {
      const { weightsFolder, given, bytesFor, inputName } = observedModel(model, tensors.toReversed())
      expect(given).toEqual([])
      for (const _ of tensors) observer.addProbe({ bins: 0, gluttonBins: 0, keep: 0 })
      const feeds = Object.entries(dataset.load(0))
      const options = {
        threads: 1,
        optimization: OPTIMIZATION.all,
        skippedOptimizers: [],
        weightsFolder,
        frugal: false,
      }
      await observer.open(
        bytesFor(Object.fromEntries(feeds.map(([name, { dims }]) => [name, dims]))),
        options,
      )
      for (const [name, feed] of feeds) {
        const { buffer, byteOffset, byteLength } = feed.data
        observer.setInput({
          ...feed,
          name: inputName(name),
          bytes: new Uint8Array(buffer, byteOffset, byteLength),
        })
      }
      await observer.run()
      const place = new Map(nodes.flatMap(({ outputs }, index) => outputs.map((name) => [name, index])))
      const order = observer.order().map((probe) => place.get(tensors.toReversed()[probe] ?? '') ?? -1)
      expect(order).toHaveLength(tensors.length)
      // Leaves run from the last to the first: a tensor is counted before the next layers need memory.
      expect(order).toEqual(order.toSorted((left, right) => left - right))
    } finally {
      observer.close()
    }
  })

  it.each(['min_max', 'kl', 'ifmr', 'hfmg', 'auto'] as const)(
    'has the ranges of the TypeScript observers by %s',
    async (method) => {
      const requests = tensors.map((tensor) => ({ tensor, spec: observerSpec({ method }) }))
      const native = await observeRanges(model, dataset, requests)
      const script = await observeRanges(model, dataset, requests, { script: true })
      for (const [key, { min, max }] of script) {
        const found = native.get(key)!
        // Optimized differently, the same layers differ by some float32 steps; a search may then end a step away.
        const tolerance = 0.02 * (max - min)
        expect(Math.abs(found.min - min)).toBeLessThanOrEqual(tolerance)
        expect(Math.abs(found.max - max)).toBeLessThanOrEqual(tolerance)
      }
    },
  )

  it('stops in the middle of a run, and lets the event loop turn meanwhile', async () => {
    const controller = new AbortController()
    const spec = observerSpec({ method: 'min_max' })
    const requests = tensors.map((tensor) => ({ tensor, spec }))
    let turns = 0
    const counting = setInterval(() => turns++, 1)
    const context = {
      signal: controller.signal,
      onProgress: () => setImmediate(() => controller.abort()),
    }
    await expect(observeRanges(model, dataset, requests, {}, context)).rejects.toMatchObject({
      code: 'E_CANCELLED',
    })
    clearInterval(counting)
    expect(turns).toBeGreaterThan(0)
  })
})
