// INT4 weights, weight-only layers and average pooling: the twin in ONNX Runtime against plain loops over the deploy model,
// and what the result says about each layer.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QuantizationResult } from '../../../contract/quantization.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../../engine/calibration/index.ts'
import {
  DataType,
  intAttribute,
  makeTensor,
  openModel,
  stringAttribute,
  tensorToNumbers,
} from '../../../engine/onnx/index.ts'
import { deployPrecision, parseRecords, quantizeModel } from '../../../engine/quantization/index.ts'
import { runDeployModel } from './deploy-interpreter.ts'
import { buildModel, type ModelSpec, weights, writeFixture } from './models.ts'
import { runOnnx, sqnr } from './run.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quantize-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

interface Outcome {
  result: QuantizationResult
  reference: Float32Array
  twin: Float32Array
  /** The deploy model by plain loops. */
  deploy: () => number[]
  /** The deploy model in ONNX Runtime: only where it has no Ascend operators. */
  deployInRuntime: () => Promise<Float32Array>
}

async function outcome(spec: ModelSpec & { dims: number[] }, recipe: object): Promise<Outcome> {
  const fixture = writeFixture(folder, buildModel(spec), spec.dims)
  const result = await quantizeModel({
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: fixture.dataFolder, inputShapes: { x: spec.dims } },
    outputPrefix: path.join(folder, 'out'),
  })
  const inputs = modelInputs(openModel(fixture.modelPath))
  const dataset = openDataset({ folder: fixture.dataFolder, inputShapes: { x: spec.dims } }, inputs)
  const data = dataset.load(2).x!.data as Float32Array
  const deploy = openModel(result.deployPath)
  return {
    result,
    reference: await runOnnx(fixture.modelPath, 'x', data, spec.dims),
    twin: await runOnnx(result.fakeQuantPath, 'x', data, spec.dims),
    deploy: () => runDeployModel(deploy, { x: { dims: spec.dims, data: [...data] } }).get('y')!.data,
    deployInRuntime: () => runOnnx(result.deployPath, 'x', data, spec.dims),
  }
}

const CONV: ModelSpec & { dims: number[] } = {
  dims: [1, 4, 6, 5],
  inputs: { x: ['N', 4, 6, 5] },
  outputs: ['y'],
  nodes: [
    {
      opType: 'Conv',
      name: 'conv',
      inputs: ['x', 'w', 'b'],
      outputs: ['y'],
      attributes: { pads: [1, 1, 1, 1] },
    },
  ],
  initializers: [weights('w', [5, 4, 3, 3]), weights('b', [5])],
}

const MATMUL: ModelSpec & { dims: number[] } = {
  dims: [1, 5, 8],
  inputs: { x: ['N', 5, 8] },
  outputs: ['y'],
  nodes: [
    { opType: 'MatMul', name: 'proj', inputs: ['x', 'w'], outputs: ['p'] },
    { opType: 'Add', name: 'bias', inputs: ['p', 'b'], outputs: ['y'] },
  ],
  initializers: [weights('w', [8, 6]), weights('b', [6])],
}

const GEMM: ModelSpec & { dims: number[] } = {
  dims: [1, 8],
  inputs: { x: ['N', 8] },
  outputs: ['y'],
  nodes: [{ opType: 'Gemm', name: 'fc', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: { transB: 1 } }],
  initializers: [weights('w', [6, 8]), weights('b', [6])],
}

const TRANSPOSED: ModelSpec & { dims: number[] } = {
  dims: [1, 4, 3, 3],
  inputs: { x: [1, 4, 3, 3] },
  outputs: ['y'],
  nodes: [
    {
      opType: 'ConvTranspose',
      name: 'up',
      inputs: ['x', 'w', 'b'],
      outputs: ['y'],
      attributes: { strides: [2, 2] },
    },
  ],
  initializers: [weights('w', [4, 3, 2, 2]), weights('b', [3])],
}

const CASES = { Conv: CONV, MatMul: MATMUL, Gemm: GEMM, ConvTranspose: TRANSPOSED }
type CaseName = keyof typeof CASES
const NAMES = Object.keys(CASES) as CaseName[]

describe('INT4 weights (w4a8)', () => {
  it.each(NAMES)('%s: packed for the device, the same integers in the twin', async (name) => {
    const { result, reference, twin, deploy } = await outcome(CASES[name], { precision: 'w4a8' })
    expect(sqnr(deploy(), twin)).toBeGreaterThan(90)
    expect(sqnr(reference, twin)).toBeGreaterThan(12)
    expect(result.layers[0]).toMatchObject({ quantized: true, precision: 'w4a8', weight: { bits: 4 } })
    expect(result.layers[0]?.fallback).toBeUndefined()
  })

  it('halves the input channels of the deploy weight and keeps everything else of the INT8 form', async () => {
    const shapes: unknown[] = []
    for (const name of NAMES) {
      const { result } = await outcome(CASES[name], { precision: 'w4a8' })
      const { nodes, initializers } = openModel(result.deployPath).graph
      const [quant] = nodes
      expect(stringAttribute(quant!, 'dst_type')).toBe('INT8')
      expect(initializers.get('b')?.dataType).toBe(DataType.INT32)
      const twin = openModel(result.fakeQuantPath).graph.initializers.get('w')!
      expect(tensorToNumbers(twin).every((q) => q >= -8 && q <= 7)).toBe(true)
      expect(initializers.get('w')?.dataType).toBe(DataType.INT8)
      shapes.push(initializers.get('w')?.dims)
    }
    expect(shapes).toEqual([
      [5, 2, 3, 3],
      [4, 6],
      [4, 6],
      [2, 3, 2, 2],
    ])
  })

  it('is packed for each layer of a weight that a Conv and a ConvTranspose share', async () => {
    const tied = {
      ...CONV,
      nodes: [
        { ...CONV.nodes[0]!, inputs: ['x', 'w'], outputs: ['code'] },
        {
          opType: 'ConvTranspose',
          name: 'back',
          inputs: ['code', 'w'],
          outputs: ['y'],
          attributes: { pads: [1, 1, 1, 1] },
        },
      ],
      initializers: [weights('w', [6, 4, 3, 3])],
    }
    const { deploy, twin } = await outcome(tied, { precision: 'w4a8', weight: { per_channel: false } })
    expect(sqnr(deploy(), twin)).toBeGreaterThan(90)
  })

  it('is named in the record', async () => {
    const { result } = await outcome(CONV, { precision: 'w4a8' })
    const [record] = parseRecords(readFileSync(result.recordPath, 'utf8'), 'record')
    expect(record).toMatchObject({ layer: 'conv', activationType: 'INT8', weightType: 'INT4' })
  })

  it.each([
    [
      'groups',
      { ...CONV, nodes: [{ ...CONV.nodes[0]!, attributes: { group: 2 } }] },
      [5, 2, 3, 3],
      'int4_groups',
    ],
    [
      'an odd number of input channels',
      { ...CONV, inputs: { x: ['N', 3, 6, 5] } },
      [5, 3, 3, 3],
      'int4_odd_channels',
    ],
  ] as const)('falls back to INT8 for %s, and says so', async (_case, spec, shape, reason) => {
    const outputs = reason === 'int4_groups' ? 6 : 5
    const dims = [outputs, ...shape.slice(1)]
    const model = {
      ...spec,
      inputs: { x: spec.inputs.x as (number | string)[] },
      dims: [1, spec.inputs.x![1] as number, 6, 5],
      nodes: [...spec.nodes],
      initializers: [weights('w', dims), weights('b', [outputs])],
    }
    const { result, reference, twin, deploy } = await outcome(model, { precision: 'w4a8' })
    expect(result.layers[0]).toMatchObject({
      precision: 'int8',
      fallback: { wanted: 'w4a8', reason },
      weight: { bits: 8 },
    })
    expect(sqnr(deploy(), twin)).toBeGreaterThan(90)
    expect(sqnr(reference, twin)).toBeGreaterThan(28)
  })
})

describe('weight-only layers', () => {
  it.each(['MatMul', 'Gemm'] as const)("w8a16: %s becomes CANN's weight-only product", async (name) => {
    const { result, reference, twin, deploy } = await outcome(CASES[name], { precision: 'w8a16' })
    const { nodes, initializers } = openModel(result.deployPath).graph
    const product = nodes.find((node) => node.opType === 'NPUWeightQuantBatchMatmulV2')!
    expect([product.domain, product.inputs.length]).toEqual(['', 3])
    expect([intAttribute(product, 'antiquant_group_size'), intAttribute(product, 'dtype')]).toEqual([0, 1])
    expect(initializers.get(product.inputs[1]!)).toMatchObject({ dataType: DataType.INT8, dims: [8, 6] })
    expect(initializers.get(product.inputs[2]!)).toMatchObject({ dataType: DataType.FLOAT16, dims: [6] })
    expect(nodes.some((node) => node.opType === 'AscendQuant')).toBe(false)
    // The device reads the input in FLOAT16.
    expect(sqnr(deploy(), twin)).toBeGreaterThan(60)
    expect(sqnr(reference, twin)).toBeGreaterThan(40)
    const [layer] = result.layers
    expect(layer).toMatchObject({ quantized: true, precision: 'w8a16', weight: { bits: 8 } })
    expect([layer?.activation, layer?.deployFloat, layer?.bias]).toEqual([undefined, undefined, undefined])
    expect(deployPrecision(result.layers)).toBe('int8')
    const [record] = parseRecords(readFileSync(result.recordPath, 'utf8'), 'record')
    expect(record).toMatchObject({ scaleW: layer?.weight?.scales, weightType: 'INT8' })
    expect(record?.scaleD).toBeUndefined()
  })

  it('restores the shape where more than one dimension is open', async () => {
    const spec = { ...MATMUL, inputs: { x: ['N', 'L', 8] } }
    const { twin, deploy } = await outcome(spec, { precision: 'w8a16' })
    expect(sqnr(deploy(), twin)).toBeGreaterThan(60)
  })

  it.each([
    ['Conv', 'w8a16', 'convolution'],
    ['ConvTranspose', 'w8a16', 'convolution'],
    ['Conv', 'w4a16', 'convolution'],
    ['MatMul', 'w4a16', 'int4'],
    ['Gemm', 'w4a16', 'int4'],
  ] as const)(
    '%s %s: the deploy model computes the same in floating point',
    async (name, precision, reason) => {
      const { result, reference, twin, deployInRuntime } = await outcome(CASES[name], { precision })
      expect(result.layers[0]).toMatchObject({ quantized: true, precision, deployFloat: reason })
      expect(deployPrecision(result.layers)).toBe('fp16')
      expect(sqnr(await deployInRuntime(), twin)).toBeGreaterThan(90)
      expect(sqnr(reference, twin)).toBeGreaterThan(precision === 'w8a16' ? 40 : 12)
    },
  )

  it('w4a16 has a scale per group of inputs', async () => {
    const spec: ModelSpec & { dims: number[] } = {
      dims: [1, 2, 192],
      inputs: { x: ['N', 2, 192] },
      outputs: ['y'],
      nodes: [{ opType: 'MatMul', name: 'proj', inputs: ['x', 'w'], outputs: ['y'] }],
      initializers: [weights('w', [192, 6])],
    }
    const grouped = await outcome(spec, { precision: 'w4a16' })
    expect(grouped.result.layers[0]?.weight).toMatchObject({ groupSize: 64, scales: [] })
    expect(sqnr(await grouped.deployInRuntime(), grouped.twin)).toBeGreaterThan(90)
    const whole = await outcome(spec, { precision: 'w4a16', weight: { per_channel: false } })
    expect(whole.result.layers[0]?.weight?.scales).toHaveLength(1)
    expect(sqnr(grouped.reference, grouped.twin)).toBeGreaterThan(sqnr(whole.reference, whole.twin))
  })

  it('needs no calibration of activations: an unused range is never asked for', async () => {
    const stages: string[] = []
    const fixture = writeFixture(folder, buildModel(MATMUL), MATMUL.dims)
    await quantizeModel(
      {
        modelPath: fixture.modelPath,
        recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, precision: 'w8a16' }),
        dataset: { folder: fixture.dataFolder },
        outputPrefix: path.join(folder, 'out'),
      },
      { onProgress: ({ stage }) => stages.push(stage) },
    )
    expect([...new Set(stages)]).toEqual(['quantize', 'write'])
  })

  it('follows a float16 model', async () => {
    const half = openModelInHalf()
    const { result, twin, reference } = await outcome(half, { precision: 'w8a16' })
    const { nodes } = openModel(result.deployPath).graph
    expect(nodes.map((node) => node.opType)).toEqual([
      'Cast',
      'Reshape',
      'NPUWeightQuantBatchMatmulV2',
      'Reshape',
      'Cast',
    ])
    expect(sqnr(reference, twin)).toBeGreaterThan(40)
  })
})

function openModelInHalf(): ModelSpec & { dims: number[] } {
  const [weight] = MATMUL.initializers
  return {
    ...MATMUL,
    nodes: [
      { opType: 'Cast', name: 'in', inputs: ['x'], outputs: ['h'], attributes: { to: DataType.FLOAT16 } },
      { opType: 'MatMul', name: 'proj', inputs: ['h', 'w'], outputs: ['p'] },
      { opType: 'Cast', name: 'out', inputs: ['p'], outputs: ['y'], attributes: { to: DataType.FLOAT } },
    ],
    initializers: [makeTensor('w', DataType.FLOAT16, weight!.dims, tensorToNumbers(weight!))],
  }
}

describe('average pooling', () => {
  const POOL: ModelSpec & { dims: number[] } = {
    dims: [1, 2, 6, 6],
    inputs: { x: ['N', 2, 6, 6] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'AveragePool',
        name: 'pool',
        inputs: ['x'],
        outputs: ['y'],
        attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      },
    ],
    initializers: [],
  }
  const INT8_POOLING = { op_types: [{ op_type: 'AveragePool', precision: 'int8' }] }
  const conv = { opType: 'Conv', name: 'conv', inputs: ['x', 'w'], outputs: ['c'] }

  it('is no candidate unless the recipe asks for it', async () => {
    const spec = {
      ...POOL,
      nodes: [conv, { ...POOL.nodes[0]!, inputs: ['c'] }],
      initializers: [weights('w', [2, 2, 1, 1])],
    }
    const { result } = await outcome(spec, {
      overrides: [{ layer: 'pool', activation: { method: 'max_abs' } }],
    })
    expect(result.layers.map((layer) => layer.opType)).toEqual(['Conv'])
  })

  it.each([0, 1])('computes the mean of integers, padding included: %i', async (included) => {
    const [pool] = POOL.nodes
    const attributes = { ...pool!.attributes, count_include_pad: included }
    const spec = { ...POOL, nodes: [{ ...pool!, attributes }] }
    const { result, reference, twin, deploy } = await outcome(spec, INT8_POOLING)
    expect(sqnr(deploy(), twin)).toBeGreaterThan(90)
    expect(sqnr(reference, twin)).toBeGreaterThan(35)
    const { nodes, initializers } = openModel(result.deployPath).graph
    expect(nodes.map((node) => node.name)).toEqual(['pool.quant', 'pool', 'pool.dequant'])
    expect(initializers.get('pool.dequant.param')?.dims).toEqual([1])
    expect(result.layers[0]).toMatchObject({ name: 'pool', quantized: true, precision: 'int8' })
    const [record] = parseRecords(readFileSync(result.recordPath, 'utf8'), 'record')
    expect(record?.scaleW).toEqual([1])
  })

  it.each([
    ['pool_pad', ['pool.quant', 'pool_pad', 'pool', 'pool.dequant']],
    ['other', ['other', 'pool.quant', 'pool', 'pool.dequant']],
  ])('stands before a Pad named %s when it belongs to it', async (padName, order) => {
    const pads = makeTensor('pads', DataType.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1].map(BigInt))
    const spec = {
      ...POOL,
      nodes: [
        { opType: 'Pad', name: padName, inputs: ['x', 'pads'], outputs: ['padded'] },
        { ...POOL.nodes[0]!, inputs: ['padded'], attributes: { kernel_shape: [2, 2] } },
      ],
      initializers: [pads],
    }
    const { result, twin, deploy } = await outcome(spec, INT8_POOLING)
    expect(openModel(result.deployPath).graph.nodes.map((node) => node.name)).toEqual(order)
    if (padName === 'pool_pad') expect(sqnr(deploy(), twin)).toBeGreaterThan(90)
  })

  it('shares the quantization of a tensor that a layer reads too, before the first of both', async () => {
    const spec = {
      ...POOL,
      outputs: ['y', 'c'],
      nodes: [POOL.nodes[0]!, conv],
      initializers: [weights('w', [2, 2, 1, 1])],
    }
    const { result, twin, deploy } = await outcome(spec, INT8_POOLING)
    const types = openModel(result.deployPath).graph.nodes.map((node) => node.opType)
    expect(types).toEqual(['AscendQuant', 'AveragePool', 'AscendDequant', 'Conv', 'AscendDequant'])
    expect(sqnr(deploy(), twin)).toBeGreaterThan(90)
  })

  it('stays in floating point in a float16 model, and has no weight to quantize', async () => {
    const half = {
      ...POOL,
      nodes: [
        { opType: 'Cast', name: 'in', inputs: ['x'], outputs: ['h'], attributes: { to: DataType.FLOAT16 } },
        { ...POOL.nodes[0]!, inputs: ['h'], outputs: ['p'] },
        { opType: 'Cast', name: 'out', inputs: ['p'], outputs: ['c'], attributes: { to: DataType.FLOAT } },
        { ...conv, inputs: ['c', 'w'], outputs: ['y'] },
      ],
      initializers: [weights('w', [2, 2, 1, 1])],
    }
    const { result } = await outcome(half, INT8_POOLING)
    expect(result.layers[0]).toMatchObject({ quantized: false, reason: 'pooling_float16' })
    const weightOnly = { ...half, nodes: [{ ...POOL.nodes[0]!, outputs: ['c'] }, half.nodes[3]!] }
    const other = await outcome(weightOnly, { op_types: [{ op_type: 'AveragePool', precision: 'w8a16' }] })
    expect(other.result.layers[0]).toMatchObject({ quantized: false, reason: 'pooling_has_no_weight' })
  })
})
