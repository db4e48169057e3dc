// Deploy models of every precision that the quantizer writes, compiled and run on the simulated device: INT4 weights,
// weight-only layers, pooling, and recurrent layers that stay in floating point.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../../engine/calibration/index.ts'
import { compileModel, inspectOm } from '../../../engine/compile/index.ts'
import { estimateGraph } from '../../../engine/cost/index.ts'
import { DataType, makeTensor, openModel, summarizeModel, type Tensor } from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { buildModel, type ModelSpec, weights, writeFixture } from '../quantization/models.ts'
import { runOnnx, sqnr } from '../quantization/run.ts'
import { runOm } from './kit.ts'
import { ScalarNpu } from './scalar-npu.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'precisions-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

type Case = ModelSpec & { dims: number[] }

function integers(name: string, values: number[]): Tensor {
  return makeTensor(name, DataType.INT64, [values.length], values.map(BigInt))
}

/** Quantizes, compiles and runs; `nearness` is the SQNR in dB of the device's output against the twin's. */
async function compiled(spec: Case, recipe: object, precision: 'int8' | 'fp16' | 'fp32' = 'int8') {
  const { dims, ...model } = spec
  const fixture = writeFixture(folder, buildModel(model), dims)
  const result = await quantizeModel({
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: fixture.dataFolder },
    outputPrefix: path.join(folder, 'out'),
  })
  const inputs = modelInputs(openModel(fixture.modelPath))
  const data = openDataset({ folder: fixture.dataFolder }, inputs).load(1).x!.data as Float32Array
  const om = path.join(folder, `${precision}.om`)
  const { manifest } = await compileModel({
    modelPath: result.deployPath,
    soc: 'Ascend310P3',
    precision,
    outputPath: om,
  })
  const { y } = await runOm(om, { x: data })
  const twin = await runOnnx(result.fakeQuantPath, 'x', data, dims)
  return { om, manifest, deployPath: result.deployPath, nearness: sqnr(twin, y!.data), data, device: y!.data }
}

const CONV: Case = {
  dims: [1, 32, 9, 8],
  inputs: { x: [1, 32, 9, 8] },
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
  initializers: [weights('w', [48, 32, 3, 3], 0.1), weights('b', [48])],
}
const MATMUL: Case = {
  dims: [2, 20, 64],
  inputs: { x: [2, 20, 64] },
  outputs: ['y'],
  nodes: [
    { opType: 'MatMul', name: 'proj', inputs: ['x', 'w'], outputs: ['p'] },
    { opType: 'Add', name: 'bias', inputs: ['p', 'b'], outputs: ['y'] },
  ],
  initializers: [weights('w', [64, 96], 0.1), weights('b', [96])],
}

/** Device arithmetic is binary16 around the same integers: about 2^-11 of noise. */
const BINARY16_DB = 55

describe('INT4 weights', () => {
  it.each([
    ['Conv', CONV, 48 * 32 * 9],
    ['MatMul', MATMUL, 64 * 96],
  ] as const)('%s: two per byte in the file, unpacked to the same numbers', async (_name, spec, elements) => {
    const packed = await compiled(spec, { precision: 'w4a8' })
    const scalar = new ScalarNpu(openModel(packed.deployPath), { half: true, halfQuant: true })
    const expected = scalar.run({ x: { dims: spec.dims, data: [...packed.data] } }).get('y')!
    expect([...packed.device]).toEqual(expected.data)
    const whole = await compiled(spec, { precision: 'int8' })
    expect(whole.manifest.weightBytes - packed.manifest.weightBytes).toBeGreaterThan(0.49 * elements)
    expect(whole.manifest.weightBytes - packed.manifest.weightBytes).toBeLessThan(0.51 * elements)
  })

  it('cost half the bytes of INT8 ones, at the same rate of the cube', async () => {
    const cost = async (precision: string) => {
      const { deployPath } = await compiled(CONV, { precision })
      const table = estimateGraph(openModel(deployPath), { soc: 'Ascend310P3', precision: 'int8' })
      return table.kernels.find((kernel) => kernel.opType === 'Conv2D')!
    }
    const [int4, int8] = [await cost('w4a8'), await cost('int8')]
    expect(int4.terms.cube).toBe(int8.terms.cube)
    expect(int4.terms.memory).toBeLessThan(int8.terms.memory)
    expect(int4.precision).toBe('int8')
  })

  it('are named by the inspectors', async () => {
    const { om, deployPath } = await compiled(CONV, { precision: 'w4a8' })
    expect(summarizeModel(openModel(deployPath)).layers[0]).toMatchObject({
      dataTypes: ['int4', 'int32'],
      parameters: 48 * 32 * 9 + 48,
      bytes: (48 * 32 * 9) / 2 + 4 * 48,
    })
    expect(inspectOm(om).sizes.weightTypes).toContainEqual({
      dataType: 'int4',
      count: 1,
      bytes: (48 * 32 * 9) / 2,
    })
  })
})

describe('weight-only layers', () => {
  it.each([
    ['w8a16', MATMUL, 'int8'],
    ['w4a16', MATMUL, 'fp16'],
    ['w8a16', CONV, 'fp16'],
  ] as const)('%s', async (precision, spec, expected) => {
    const { nearness, manifest } = await compiled(spec, { precision }, 'fp16')
    expect(nearness).toBeGreaterThan(BINARY16_DB)
    expect(manifest.precision).toBe(expected)
  })

  it('keep INT8 bytes in the file and read them at one byte each', async () => {
    const { manifest, deployPath } = await compiled(MATMUL, { precision: 'w8a16' }, 'fp16')
    expect(manifest.weightBytes).toBeLessThan(64 * 96 * 1.2)
    const options = { soc: 'Ascend310P3', precision: 'fp16' } as const
    const kernel = (file: string) =>
      estimateGraph(openModel(file), options).kernels.find(({ opType }) => /MatMul|Matmul/.test(opType))!
    const [integer, float] = [kernel(deployPath), kernel(path.join(folder, 'model.onnx'))]
    expect(integer.opType).toBe('WeightQuantBatchMatmulV2')
    expect(integer.precision).toBe('fp16')
    expect(integer.bytes).toBeLessThan(float.bytes)
  })

  it('compile in FP32, too', async () => {
    const { nearness } = await compiled(MATMUL, { precision: 'w8a16' }, 'fp32')
    expect(nearness).toBeGreaterThan(100)
  })
})

describe('what surrounds quantized layers', () => {
  it('average pooling on integers, behind its own Pad', async () => {
    const { nearness } = await compiled(
      {
        dims: [1, 6, 8, 8],
        inputs: { x: [1, 6, 8, 8] },
        outputs: ['y'],
        nodes: [
          { opType: 'Pad', name: 'pool_pad', inputs: ['x', 'pads'], outputs: ['padded'] },
          {
            opType: 'AveragePool',
            name: 'pool',
            inputs: ['padded'],
            outputs: ['y'],
            attributes: { kernel_shape: [3, 3], strides: [2, 2] },
          },
        ],
        initializers: [integers('pads', [0, 0, 1, 1, 0, 0, 1, 1])],
      },
      { op_types: [{ op_type: 'AveragePool', precision: 'int8' }] },
    )
    expect(nearness).toBeGreaterThan(BINARY16_DB)
  })

  it.each(['LSTM', 'GRU'])('a %s that stays in floating point', async (opType) => {
    const gates = opType === 'LSTM' ? 4 : 3
    const { nearness } = await compiled(
      {
        dims: [5, 1, 16],
        inputs: { x: [5, 1, 16] },
        outputs: ['y'],
        nodes: [
          {
            opType,
            name: 'rnn',
            inputs: ['x', 'wx', 'wh'],
            outputs: ['h'],
            attributes: { hidden_size: 12, ...(opType === 'GRU' && { linear_before_reset: 1 }) },
          },
          { opType: 'Squeeze', name: 'squeeze', inputs: ['h', 'axis'], outputs: ['s'] },
          { opType: 'MatMul', name: 'proj', inputs: ['s', 'w'], outputs: ['y'] },
        ],
        initializers: [
          weights('wx', [1, gates * 12, 16]),
          weights('wh', [1, gates * 12, 12]),
          weights('w', [12, 10]),
          integers('axis', [1]),
        ],
      },
      {},
    )
    expect(nearness).toBeGreaterThan(45)
  })
})
