// The model for the host CPU: the same numbers as the runnable twin, computed as integer products where that pays.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Recipe, RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../../engine/calibration/index.ts'
import { DataType, openModel, validateModel, type NodeSpec, type Tensor } from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { buildModel, type ModelSpec, weights, writeFixture } from './models.ts'
import { runOnnx, sqnr } from './run.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'host-cpu-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

type Case = ModelSpec & { dims: number[]; recipe?: object }

/** What processors without VNNI run with (engine/device/cpu-backend.ts); it rewrites integer weights. */
async function runExact(model: string, data: Float32Array, dims: number[]): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(model, { extra: { session: { x64quantprecision: '1' } } })
  const { y } = await session.run({ x: new ort.Tensor('float32', data, dims) })
  await session.release()
  return y?.data as Float32Array
}

async function quantized({ dims, recipe, ...spec }: Case) {
  const fixture = writeFixture(folder, buildModel(spec), dims)
  const result = await quantizeModel({
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }) as Recipe,
    dataset: { folder: fixture.dataFolder, inputShapes: { x: dims } },
    outputPrefix: path.join(folder, 'out'),
    hostCpuModel: true,
  })
  const inputs = modelInputs(openModel(fixture.modelPath))
  const dataset = openDataset({ folder: fixture.dataFolder, inputShapes: { x: dims } }, inputs)
  return { result, data: dataset.load(1).x!.data as Float32Array, host: result.hostCpuPath ?? '' }
}

async function check(spec: Case, nearness = 90): Promise<string[]> {
  const { result, data, host } = await quantized(spec)
  const model = openModel(host)
  validateModel(model)
  const twin = await runOnnx(result.fakeQuantPath, 'x', data, spec.dims)
  expect(sqnr(twin, await runOnnx(host, 'x', data, spec.dims))).toBeGreaterThan(nearness)
  expect(sqnr(twin, await runExact(host, data, spec.dims))).toBeGreaterThan(nearness)
  return model.graph.nodes.map((node) => node.opType)
}

function layer(opType: string, attributes: NodeSpec['attributes'] = {}, inputs = ['x', 'w', 'b']): NodeSpec {
  return { opType, name: 'layer', inputs, outputs: ['y'], attributes }
}

function single(dims: number[], node: NodeSpec, initializers: Tensor[], recipe?: object): Case {
  return { dims, inputs: { x: dims }, outputs: ['y'], nodes: [node], initializers, ...(recipe && { recipe }) }
}

const convolution = (
  spatial: number[],
  weight: number[],
  attributes: NodeSpec['attributes'] = {},
  channels = weight[1] ?? 1,
): Case =>
  single([1, channels, ...spatial], layer('Conv', attributes), [
    weights('w', weight),
    weights('b', [weight[0]!]),
  ])

describe('convolutions as integer products', () => {
  it.each<[string, Case]>([
    ['3 x 3 with padding', convolution([7, 6], [24, 24, 3, 3], { pads: [1, 1, 1, 1] })],
    ['1 x 1', convolution([5, 4], [32, 40, 1, 1])],
    ['1 x 1 with strides', convolution([5, 6], [32, 40, 1, 1], { strides: [2, 2] })],
    [
      'strides, dilation and uneven padding',
      convolution([11, 9], [20, 32, 3, 2], { strides: [2, 1], dilations: [2, 3], pads: [2, 0, 1, 3] }),
    ],
    [
      'many channels',
      convolution([9, 8], [16, 64, 3, 3], { strides: [2, 1], dilations: [1, 2], pads: [1, 2, 1, 2] }),
    ],
    [
      'many channels, copied pixel by pixel',
      convolution([9, 8], [16, 128, 3, 2], { strides: [2, 1], dilations: [1, 2], pads: [1, 2, 0, 2] }),
    ],
    ['many channels in one dimension', convolution([9], [16, 130, 3], { strides: [2] })],
    ['one dimension', convolution([13], [24, 96, 5], { pads: [2, 2], strides: [2] })],
    ['three dimensions', convolution([4, 5, 3], [16, 24, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1] })],
    ['padding by auto_pad VALID', convolution([6, 6], [24, 24, 3, 3], { auto_pad: 'VALID' })],
  ])('%s', async (_name, spec) => {
    const ops = await check(spec)
    expect(ops).toContain('MatMulIntegerToFloat')
    expect(ops).not.toContain('Conv')
  })

  it('shares patches and weights between layers that read the same values', async () => {
    const attributes = { pads: [1, 1, 1, 1] }
    const ops = await check({
      dims: [1, 24, 6, 6],
      inputs: { x: ['N', 24, 'H', 'W'] },
      outputs: ['y'],
      nodes: [
        { opType: 'Conv', name: 'a', inputs: ['x', 'w', 'b'], outputs: ['p'], attributes },
        { opType: 'Conv', name: 'b', inputs: ['x', 'w'], outputs: ['q'], attributes },
        { opType: 'Conv', name: 'c', inputs: ['x', 'v'], outputs: ['r'], attributes },
        { opType: 'Sum', name: 'sum', inputs: ['p', 'q', 'r'], outputs: ['y'] },
      ],
      initializers: [weights('w', [24, 24, 3, 3]), weights('v', [24, 24, 3, 3], 0.1), weights('b', [24])],
    })
    expect(ops.filter((op) => op === 'MatMulIntegerToFloat')).toHaveLength(3)
    expect(ops.filter((op) => op === 'Concat')).toHaveLength(2)
  })
})

describe('matrix products', () => {
  it.each<[string, Case]>([
    ['Gemm', single([3, 24], layer('Gemm', { transB: 1 }), [weights('w', [16, 24]), weights('b', [16])])],
    ['MatMul', single([2, 5, 24], layer('MatMul', {}, ['x', 'w']), [weights('w', [24, 16])])],
    [
      'MatMul with a bias behind it',
      {
        dims: [2, 5, 24],
        inputs: { x: [2, 5, 24] },
        outputs: ['y'],
        nodes: [
          { opType: 'MatMul', name: 'layer', inputs: ['x', 'w'], outputs: ['p'] },
          { opType: 'Add', name: 'bias', inputs: ['b', 'p'], outputs: ['y'] },
        ],
        initializers: [weights('w', [24, 16]), weights('b', [16])],
      },
    ],
  ])('%s', async (_name, spec) => {
    expect(await check(spec)).toContain('MatMulIntegerToFloat')
  })
})

describe('layers without a gain compute in float32 on the quantized values', () => {
  it.each<[string, Case]>([
    ['few channels', convolution([6, 6], [8, 3, 3, 3], { pads: [1, 1, 1, 1] })],
    ['groups', convolution([6, 6], [32, 24, 3, 3], { group: 2, pads: [1, 1, 1, 1] }, 48)],
    ['depthwise', convolution([6, 6], [32, 1, 3, 3], { group: 32, pads: [1, 1, 1, 1] }, 32)],
    ['padding by auto_pad SAME_UPPER', convolution([6, 6], [32, 32, 3, 3], { auto_pad: 'SAME_UPPER' })],
    [
      'grouped ConvTranspose',
      single([1, 6, 4, 4], layer('ConvTranspose', { group: 2, strides: [2, 2] }), [
        weights('w', [6, 5, 3, 3]),
        weights('b', [10]),
      ]),
    ],
    [
      'AveragePool',
      single([1, 4, 6, 6], layer('AveragePool', { kernel_shape: [2, 2], strides: [2, 2] }, ['x']), [], {
        op_types: [{ op_type: 'AveragePool', precision: 'int8' }],
      }),
    ],
  ])('%s', async (_name, spec) => {
    const ops = await check(spec)
    expect(ops).not.toContain('MatMulIntegerToFloat')
    expect(ops).toContain('QuantizeLinear')
  })
})

describe('other precisions', () => {
  const w4a8 = { precision: 'w4a8' }
  it.each<[string, Case]>([
    ['Conv', { ...convolution([6, 6], [24, 24, 3, 3], { pads: [1, 1, 1, 1] }), recipe: w4a8 }],
    ['small Conv', { ...convolution([6, 6], [4, 6, 3, 3]), recipe: w4a8 }],
    ['MatMul', single([2, 5, 24], layer('MatMul', {}, ['x', 'w']), [weights('w', [24, 16])], w4a8)],
    [
      'ConvTranspose',
      single([1, 6, 4, 4], layer('ConvTranspose', {}), [weights('w', [6, 5, 3, 3]), weights('b', [5])], w4a8),
    ],
  ])('INT4 weights: %s', async (_name, spec) => {
    await check(spec)
  })

  it('weight-only product', async () => {
    const spec = single([2, 5, 24], layer('MatMul', {}, ['x', 'w']), [weights('w', [24, 16])], {
      precision: 'w8a16',
    })
    const { result, data, host } = await quantized(spec)
    const twin = await runOnnx(result.fakeQuantPath, 'x', data, spec.dims)
    // Input and result pass through FLOAT16, as on the device.
    expect(sqnr(twin, await runOnnx(host, 'x', data, spec.dims))).toBeGreaterThan(60)
  })

  it('FLOAT16 models', async () => {
    const spec = convolution([6, 6], [24, 24, 3, 3], { pads: [1, 1, 1, 1] })
    const cast = (input: string, output: string, to: DataType): NodeSpec => ({
      opType: 'Cast',
      name: output,
      inputs: [input],
      outputs: [output],
      attributes: { to },
    })
    const [node] = spec.nodes as [NodeSpec]
    const nodes = [
      cast('x', 'x16', DataType.FLOAT16),
      cast('w', 'w16', DataType.FLOAT16),
      cast('b', 'b16', DataType.FLOAT16),
      { ...node, inputs: ['x16', 'w16', 'b16'], outputs: ['y16'] },
      cast('y16', 'y', DataType.FLOAT),
    ]
    // The result is rounded to FLOAT16.
    expect(await check({ ...spec, nodes }, 70)).toContain('MatMulIntegerToFloat')
  })
})

it('is written on request only, with its size, and all files or none', async () => {
  const spec = convolution([6, 6], [24, 24, 3, 3])
  const { result } = await quantized(spec)
  expect(
    readdirSync(folder)
      .filter((name) => name.startsWith('out_'))
      .sort(),
  ).toEqual([
    'out_deploy_model.onnx',
    'out_fake_quant_model.onnx',
    'out_host_cpu_model.onnx',
    'out_quant.json',
    'out_record.txt',
  ])
  expect(result.sizes.hostCpu).toBeLessThan(result.sizes.source)
  const again = await quantizeModel({
    modelPath: path.join(folder, 'model.onnx'),
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA }),
    dataset: { folder: path.join(folder, 'data') },
    outputPrefix: path.join(folder, 'plain'),
  })
  expect(again.hostCpuPath).toBeUndefined()
  expect(readdirSync(folder)).not.toContain('plain_host_cpu_model.onnx')
})
