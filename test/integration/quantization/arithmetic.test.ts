// The two written models against each other and against plain integer loops: the twin in ONNX Runtime must give what
// the deploy model means.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QuantizationResult } from '../../../contract/quantization.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../../engine/calibration/index.ts'
import { openModel } from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { runDeployModel } from './deploy-interpreter.ts'
import { buildModel, type Fixture, type ModelSpec, weights, writeFixture } from './models.ts'
import { runOnnx, sqnr } from './run.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quantize-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

async function quantize(fixture: Fixture, recipe: object): Promise<QuantizationResult> {
  return quantizeModel({
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: fixture.dataFolder },
    outputPrefix: path.join(folder, 'out'),
  })
}

const CASES: Record<string, ModelSpec & { dims: number[] }> = {
  'Conv 2d, padded, strided, biased': {
    dims: [1, 3, 7, 6],
    inputs: { x: ['N', 3, 7, 6] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Conv',
        name: 'conv',
        inputs: ['x', 'w', 'b'],
        outputs: ['y'],
        attributes: { pads: [1, 1, 1, 1], strides: [2, 1] },
      },
    ],
    initializers: [weights('w', [5, 3, 3, 3]), weights('b', [5], 0.5)],
  },
  'Conv 1d, dilated, depthwise': {
    dims: [1, 4, 12],
    inputs: { x: [1, 4, 12] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Conv',
        name: 'conv',
        inputs: ['x', 'w'],
        outputs: ['y'],
        attributes: { group: 4, dilations: [2], pads: [2, 2] },
      },
    ],
    initializers: [weights('w', [4, 1, 3])],
  },
  'Conv 3d, symmetric by rule': {
    dims: [1, 2, 4, 4, 4],
    inputs: { x: [1, 2, 4, 4, 4] },
    outputs: ['y'],
    nodes: [{ opType: 'Conv', name: 'conv', inputs: ['x', 'w', 'b'], outputs: ['y'] }],
    initializers: [weights('w', [3, 2, 2, 2, 2]), weights('b', [3])],
  },
  ConvTranspose: {
    dims: [1, 3, 4, 4],
    inputs: { x: [1, 3, 4, 4] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'ConvTranspose',
        name: 'up',
        inputs: ['x', 'w', 'b'],
        outputs: ['y'],
        attributes: { strides: [2, 2], pads: [1, 1, 1, 1] },
      },
    ],
    initializers: [weights('w', [3, 4, 3, 3]), weights('b', [4])],
  },
  'ConvTranspose, two groups': {
    dims: [1, 4, 3, 3],
    inputs: { x: [1, 4, 3, 3] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'ConvTranspose',
        name: 'up',
        inputs: ['x', 'w', 'b'],
        outputs: ['y'],
        attributes: { strides: [2, 2], group: 2 },
      },
    ],
    initializers: [weights('w', [4, 3, 2, 2], 0.3, 0.1), weights('b', [6])],
  },
  'Gemm with transB': {
    dims: [1, 10],
    inputs: { x: ['N', 10] },
    outputs: ['y'],
    nodes: [
      { opType: 'Gemm', name: 'fc', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: { transB: 1 } },
    ],
    initializers: [weights('w', [6, 10]), weights('b', [6])],
  },
  'MatMul with its bias behind': {
    dims: [1, 5, 8],
    inputs: { x: ['N', 5, 8] },
    outputs: ['y'],
    nodes: [
      { opType: 'MatMul', name: 'proj', inputs: ['x', 'w'], outputs: ['p'] },
      { opType: 'Add', name: 'bias', inputs: ['b', 'p'], outputs: ['y'] },
    ],
    initializers: [weights('w', [8, 6]), weights('b', [6])],
  },
  'Conv 1d, grouped, biased': {
    dims: [1, 6, 10],
    inputs: { x: ['N', 6, 10] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Conv',
        name: 'conv',
        inputs: ['x', 'w', 'b'],
        outputs: ['y'],
        attributes: { group: 3, strides: [2], pads: [1, 0] },
      },
    ],
    initializers: [weights('w', [9, 2, 3]), weights('b', [9])],
  },
  'Conv 3d, grouped, padded': {
    dims: [1, 4, 3, 4, 3],
    inputs: { x: [1, 4, 3, 4, 3] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Conv',
        name: 'conv',
        inputs: ['x', 'w'],
        outputs: ['y'],
        attributes: { group: 2, pads: [1, 1, 1, 1, 1, 1] },
      },
    ],
    initializers: [weights('w', [4, 2, 3, 3, 3])],
  },
  'ConvTranspose 1d, grouped, padded': {
    dims: [1, 4, 5],
    inputs: { x: [1, 4, 5] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'ConvTranspose',
        name: 'up',
        inputs: ['x', 'w', 'b'],
        outputs: ['y'],
        attributes: { strides: [2], pads: [1, 1], group: 2 },
      },
    ],
    initializers: [weights('w', [4, 2, 4]), weights('b', [4])],
  },
  'Gemm on plain weights': {
    dims: [3, 8],
    inputs: { x: [3, 8] },
    outputs: ['y'],
    nodes: [{ opType: 'Gemm', name: 'fc', inputs: ['x', 'w', 'b'], outputs: ['y'] }],
    initializers: [weights('w', [8, 6]), weights('b', [1, 6])],
  },
  'two layers in a row': {
    dims: [1, 3, 6, 6],
    inputs: { x: [1, 3, 6, 6] },
    outputs: ['y'],
    nodes: [
      { opType: 'Conv', name: 'one', inputs: ['x', 'w1', 'b1'], outputs: ['c'] },
      { opType: 'Relu', name: 'relu', inputs: ['c'], outputs: ['r'] },
      { opType: 'Conv', name: 'two', inputs: ['r', 'w2'], outputs: ['y'] },
    ],
    initializers: [weights('w1', [4, 3, 3, 3]), weights('b1', [4]), weights('w2', [2, 4, 1, 1])],
  },
}

const RECIPES = {
  asymmetric: {},
  symmetric: { activation: { method: 'max_abs' } },
  'one scale per weight': { weight: { per_channel: false } },
}

describe.each(Object.keys(RECIPES) as (keyof typeof RECIPES)[])('%s', (recipe) => {
  it.each(Object.keys(CASES))('%s', async (name) => {
    const spec = CASES[name]!
    const fixture = writeFixture(folder, buildModel(spec), spec.dims)
    const result = await quantize(fixture, RECIPES[recipe])
    expect(result.layers.every((layer) => layer.quantized)).toBe(true)
    const dataset = openDataset({ folder: fixture.dataFolder }, modelInputs(openModel(fixture.modelPath)))
    const data = dataset.load(2).x!.data as Float32Array

    const reference = await runOnnx(fixture.modelPath, 'x', data, spec.dims)
    const twin = await runOnnx(result.fakeQuantPath, 'x', data, spec.dims)
    const deploy = runDeployModel(openModel(result.deployPath), { x: { dims: spec.dims, data: [...data] } })
    const simulated = deploy.get('y')!.data

    expect(twin).toHaveLength(simulated.length)
    // The same integers; only the order of float additions differs.
    expect(sqnr(simulated, twin)).toBeGreaterThan(90)
    expect(sqnr(reference, twin)).toBeGreaterThan(28)
  })
})
