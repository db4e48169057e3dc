// Models as exporters really write them: old IR versions, initializers among the inputs, dangling ones, control flow,
// recurrent layers, several outputs, open batches. They are quantized and their twin runs, or the reason is named.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QuantizationResult } from '../../../contract/quantization.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import {
  DataType,
  type Graph,
  makeNode,
  makeTensor,
  type Model,
  type NodeSpec,
  openModel,
  saveModel,
  type Tensor,
  validateModel,
} from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'
import { generate } from '../../unit/quantization/vectors.ts'
import { weights } from './models.ts'
import { sqnr } from './run.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'exporters-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const DIMS = [1, 4, 6, 6]

function graphOf(nodes: NodeSpec[], tensors: Tensor[], outputs: string[], batch: number | string = 1): Graph {
  return makeGraph({
    nodes: nodes.map(makeNode),
    initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    inputs: [valueInfo('x', DataType.FLOAT, [batch, 4, 6, 6])],
    outputs: outputs.map((name) => ({ name, elementType: DataType.FLOAT })),
  })
}

/** Lists the initializers among the inputs, as IR 3 demands. */
function withListedInitializers(model: Model): Model {
  const { graph } = model
  graph.initializerInputs = [...graph.initializers.values()].map((tensor) =>
    valueInfo(tensor.name, tensor.dataType, tensor.dims),
  )
  graph.inputOrder = [
    ...graph.initializerInputs.map(({ name }) => name),
    ...graph.inputs.map(({ name }) => name),
  ]
  return { ...model, irVersion: 3 }
}

async function quantize(model: Model, recipe: object = {}): Promise<QuantizationResult> {
  const modelPath = path.join(folder, 'model.onnx')
  saveModel(model, modelPath)
  const dataFolder = path.join(folder, 'data')
  mkdirSync(dataFolder)
  for (let sample = 0; sample < 3; sample++) {
    writeFileSync(path.join(dataFolder, `${sample}.bin`), generate(144, 1 + 0.1 * sample, 0.2))
  }
  return quantizeModel({
    modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: dataFolder },
    outputPrefix: path.join(folder, 'out'),
  })
}

async function run(file: string, batch = 1): Promise<Record<string, Float32Array>> {
  const session = await ort.InferenceSession.create(file)
  expect(session.inputNames).toEqual(['x'])
  const data = generate(144 * batch, 1.1, 0.2)
  const results = await session.run({ x: new ort.Tensor('float32', data, [batch, ...DIMS.slice(1)]) })
  await session.release()
  return Object.fromEntries(session.outputNames.map((name) => [name, results[name]?.data as Float32Array]))
}

/** Runs source and twin; every output of the twin is near the source's. Returns both. */
async function check(
  result: QuantizationResult,
  batch = 1,
): Promise<{ source: Record<string, Float32Array>; twin: Record<string, Float32Array> }> {
  validateModel(openModel(result.deployPath))
  validateModel(openModel(result.fakeQuantPath))
  const source = await run(path.join(folder, 'model.onnx'), batch)
  const twin = await run(result.fakeQuantPath, batch)
  expect(Object.keys(twin)).toEqual(Object.keys(source))
  for (const [name, values] of Object.entries(source)) expect(sqnr(values, twin[name]!)).toBeGreaterThan(25)
  return { source, twin }
}

const CONV: NodeSpec = { opType: 'Conv', name: 'conv', inputs: ['x', 'w', 'b'], outputs: ['c'] }
const CONV_WEIGHTS = [weights('w', [4, 4, 1, 1]), weights('b', [4])]

describe('old files', () => {
  function oldNetwork(opset: number): Model {
    const nodes: NodeSpec[] = [
      CONV,
      {
        opType: 'BatchNormalization',
        name: 'norm',
        inputs: ['c', 'gamma', 'beta', 'mean', 'var'],
        outputs: ['n'],
      },
      { opType: 'Relu', name: 'relu', inputs: ['n'], outputs: ['r'] },
      {
        opType: 'Upsample',
        name: 'up',
        inputs: ['r', 'factors'],
        outputs: ['u'],
        attributes: { mode: 'nearest' },
      },
      { opType: 'GlobalAveragePool', name: 'pool', inputs: ['u'], outputs: ['g'] },
      { opType: 'Reshape', name: 'flat', inputs: ['g', 'shape'], outputs: ['f'] },
      {
        opType: 'Gemm',
        name: 'fc',
        inputs: ['f', 'fc.w', 'fc.b'],
        outputs: ['y'],
        attributes: { transB: 1 },
      },
    ]
    const floats = (name: string, ...values: number[]): Tensor =>
      makeTensor(name, DataType.FLOAT, [values.length], values)
    const tensors = [
      ...CONV_WEIGHTS,
      floats('gamma', 1, 1.1, 0.9, 1),
      floats('beta', 0.1, 0, -0.1, 0),
      floats('mean', 0, 0.1, 0, 0),
      floats('var', 1, 1, 1.2, 1),
      floats('factors', 1, 1, 2, 2),
      makeTensor('shape', DataType.INT64, [2], [-1n, 4n]),
      weights('fc.w', [3, 4]),
      weights('fc.b', [3]),
    ]
    return makeModel(graphOf(nodes, tensors, ['y']), opset)
  }

  it('IR 3 and opset 9, every initializer among the inputs', async () => {
    const result = await quantize(withListedInitializers(oldNetwork(9)), {
      repair: { fold_batch_norm: false },
    })
    expect(result.layers.map(({ name, quantized }) => [name, quantized])).toEqual([
      ['conv', true],
      ['fc', true],
    ])
    await check(result)
    // The integers take the place of the floats: no input of the old type is left.
    const { graph } = openModel(result.deployPath)
    const listed = graph.initializerInputs.map(({ name }) => name)
    expect(listed).not.toContain('w')
    expect(listed).not.toContain('fc.w')
  })

  it('initializers that nothing reads, listed among the inputs or not', async () => {
    const model = oldNetwork(9)
    model.graph.initializers.set('left.over', weights('left.over', [64]))
    const result = await quantize(withListedInitializers(model))
    await check(result)
    const inputs = openModel(result.fakeQuantPath).graph.inputs.map(({ name }) => name)
    expect(inputs).toEqual(['x'])
  })
})

describe('control flow', () => {
  /** A branch that reads the weight, the bias and a layer's output of the graph around it. */
  function branch(output: string, addend: string): Graph {
    const inner: NodeSpec[] = [
      { opType: 'Conv', name: `${output}.conv`, inputs: ['c', 'w', 'b'], outputs: [`${output}.c`] },
      { opType: 'Add', name: `${output}.add`, inputs: [`${output}.c`, addend], outputs: [output] },
    ]
    return makeGraph({
      nodes: inner.map(makeNode),
      outputs: [{ name: output, elementType: DataType.FLOAT }],
    })
  }

  it('If: layers of the main graph become integer, the branches keep their floats', async () => {
    const nodes: NodeSpec[] = [
      CONV,
      {
        opType: 'If',
        name: 'choose',
        inputs: ['condition'],
        outputs: ['y'],
        attributes: { then_branch: branch('then', 'c'), else_branch: branch('else', 'x') },
      },
    ]
    const condition = makeTensor('condition', DataType.BOOL, [], [1])
    const result = await quantize(makeModel(graphOf(nodes, [...CONV_WEIGHTS, condition], ['y'])))
    expect(result.layers.map(({ name, quantized }) => [name, quantized])).toEqual([['conv', true]])
    expect(result.layersInBranches).toBe(2)
    await check(result)
    const { initializers } = openModel(result.deployPath).graph
    expect(initializers.get('w')?.dataType).toBe(DataType.FLOAT)
    expect(initializers.get('w.int8')?.dataType).toBe(DataType.INT8)
  })
})

describe('recurrent layers', () => {
  it('stay in floating point with the reason, the layers around them become integer', async () => {
    const nodes: NodeSpec[] = [
      CONV,
      { opType: 'Reshape', name: 'sequence', inputs: ['c', 'shape'], outputs: ['s'] },
      {
        opType: 'LSTM',
        name: 'lstm',
        inputs: ['s', 'lstm.w', 'lstm.r'],
        outputs: ['', 'h'],
        attributes: { hidden_size: 5 },
      },
      { opType: 'Squeeze', name: 'squeeze', inputs: ['h', 'axis'], outputs: ['q'] },
      { opType: 'MatMul', name: 'proj', inputs: ['q', 'p'], outputs: ['y'] },
    ]
    const tensors = [
      ...CONV_WEIGHTS,
      makeTensor('shape', DataType.INT64, [3], [12n, 1n, 12n]),
      makeTensor('axis', DataType.INT64, [1], [0n]),
      weights('lstm.w', [1, 20, 12], 0.2),
      weights('lstm.r', [1, 20, 5], 0.2),
      weights('p', [5, 3]),
    ]
    const result = await quantize(makeModel(graphOf(nodes, tensors, ['y'])))
    expect(result.layers.map(({ name, quantized, reason }) => [name, quantized, reason])).toEqual([
      ['conv', true, undefined],
      ['lstm', false, 'recurrent'],
      ['proj', true, undefined],
    ])
    await check(result)
  })
})

describe('several outputs', () => {
  it("a layer's own result, the product before its bias and the input of a layer may all be outputs", async () => {
    const nodes: NodeSpec[] = [
      CONV,
      { opType: 'Relu', name: 'relu', inputs: ['c'], outputs: ['r'] },
      { opType: 'MatMul', name: 'proj', inputs: ['r', 'p'], outputs: ['product'] },
      { opType: 'Add', name: 'add', inputs: ['product', 'pb'], outputs: ['y'] },
    ]
    const tensors = [...CONV_WEIGHTS, weights('p', [6, 5]), weights('pb', [5])]
    const result = await quantize(makeModel(graphOf(nodes, tensors, ['c', 'r', 'product', 'y'])))
    expect(result.layers.every((layer) => layer.quantized)).toBe(true)
    // The product is an output: the addition behind it is no bias of an integer layer.
    expect(result.layers[1]?.bias).toBeUndefined()
    const { source, twin } = await check(result)
    expect(Object.keys(source)).toEqual(['c', 'r', 'product', 'y'])
    expect(twin.product).toHaveLength(source.product!.length)
  })
})

describe('an open batch', () => {
  it.each([{}, { precision: 'w8a16' }, { precision: 'w4a8' }, { precision: 'w4a16' }])(
    'stays open: %o',
    async (recipe) => {
      const nodes: NodeSpec[] = [
        CONV,
        { opType: 'Reshape', name: 'tokens', inputs: ['c', 'shape'], outputs: ['t'] },
        { opType: 'MatMul', name: 'proj', inputs: ['t', 'p'], outputs: ['y'] },
      ]
      const tensors = [
        ...CONV_WEIGHTS,
        makeTensor('shape', DataType.INT64, [3], [0n, 4n, 36n]),
        weights('p', [36, 5]),
      ]
      const result = await quantize(makeModel(graphOf(nodes, tensors, ['y'], 'batch')), recipe)
      validateModel(openModel(result.deployPath))
      const source = await run(path.join(folder, 'model.onnx'), 3)
      const twin = await run(result.fakeQuantPath, 3)
      expect(twin.y).toHaveLength(3 * 4 * 5)
      expect(sqnr(source.y!, twin.y!)).toBeGreaterThan(
        'precision' in recipe && recipe.precision !== 'w8a16' ? 10 : 25,
      )
    },
  )
})
