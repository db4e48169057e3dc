// BatchNormalization folding: the folded model computes what ONNX Runtime computes of the source.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DataType,
  makeTensor,
  type Model,
  type NodeSpec,
  type Tensor,
} from '../../../../engine/onnx/index.ts'
import { buildModel, weights } from '../models.ts'
import { agreementDb, countOf, feed, gaussian, prepare } from './support.ts'

function normalization(channels: number, seed: number, dataType: DataType = DataType.FLOAT): Tensor[] {
  const values = gaussian([4, channels], seed)
  const row = (index: number): number[] => [...values.subarray(index * channels, (index + 1) * channels)]
  const vector = (name: string, data: number[]): Tensor => makeTensor(name, dataType, [channels], data)
  return [
    // Negative and zero factors are part of it.
    vector(
      'gamma',
      row(0).map((value, index) => (index === 0 ? 0 : value)),
    ),
    vector('beta', row(1)),
    vector('mean', row(2)),
    vector(
      'variance',
      row(3).map((value) => value * value + 0.01),
    ),
  ]
}

function normalized(node: NodeSpec, initializers: Tensor[], input: number[], channels: number): Model {
  return buildModel({
    inputs: { x: input },
    outputs: ['y'],
    nodes: [
      node,
      {
        opType: 'BatchNormalization',
        name: 'bn',
        inputs: ['c', 'gamma', 'beta', 'mean', 'variance'],
        outputs: ['y'],
        attributes: { epsilon: { float: 0.001 } },
      },
    ],
    initializers: [...initializers, ...normalization(channels, 3)],
  })
}

const conv = (inputs: string[], attributes = {}): NodeSpec => ({
  opType: 'Conv',
  name: 'layer',
  inputs,
  outputs: ['c'],
  attributes: { pads: [1, 1, 1, 1], ...attributes },
})

const CASES: Record<string, { model: Model; dims: number[]; adds?: number }> = {
  'Conv with a bias': {
    model: normalized(
      conv(['x', 'w', 'b']),
      [weights('w', [6, 4, 3, 3]), weights('b', [6])],
      [2, 4, 5, 5],
      6,
    ),
    dims: [2, 4, 5, 5],
  },
  'Conv without a bias, grouped': {
    model: normalized(conv(['x', 'w'], { group: 2 }), [weights('w', [6, 2, 3, 3])], [1, 4, 5, 5], 6),
    dims: [1, 4, 5, 5],
  },
  'ConvTranspose, grouped': {
    model: normalized(
      { ...conv(['x', 'w', 'b'], { group: 2, strides: [2, 2] }), opType: 'ConvTranspose' },
      [weights('w', [4, 3, 3, 3]), weights('b', [6])],
      [1, 4, 5, 5],
      6,
    ),
    dims: [1, 4, 5, 5],
  },
  'Gemm with transB and without a bias': {
    model: normalized(
      {
        opType: 'Gemm',
        name: 'layer',
        inputs: ['x', 'w'],
        outputs: ['c'],
        attributes: { transB: 1, beta: { float: 3 } },
      },
      [weights('w', [6, 4])],
      [3, 4],
      6,
    ),
    dims: [3, 4],
  },
  'MatMul, which gets a bias behind it': {
    model: normalized(
      { opType: 'MatMul', name: 'layer', inputs: ['x', 'w'], outputs: ['c'] },
      [weights('w', [4, 6])],
      [3, 4],
      6,
    ),
    dims: [3, 4],
    adds: 1,
  },
}

describe('BatchNormalization folding', () => {
  it.each(Object.entries(CASES))('%s', async (_, { model, dims, adds = 0 }) => {
    const samples = [{ x: feed(dims, gaussian(dims, 7)) }]
    const { model: folded, notes } = await prepare(model, {}, samples)
    expect(notes).toEqual([{ kind: 'fold_batch_norm', layer: 'layer', normalization: 'bn' }])
    expect([countOf(folded, 'BatchNormalization'), countOf(folded, 'Add')]).toEqual([0, adds])
    expect(folded.graph.initializers.has('variance')).toBe(false)
    expect(await agreementDb(model, folded, samples)).toBeGreaterThan(100)
    // The source is as it was.
    expect(countOf(model, 'BatchNormalization')).toBe(1)
  })

  it('MatMul whose bias stands behind it', async () => {
    const model = buildModel({
      inputs: { x: [3, 4] },
      outputs: ['y'],
      nodes: [
        { opType: 'MatMul', name: 'layer', inputs: ['x', 'w'], outputs: ['p'] },
        { opType: 'Add', name: 'add', inputs: ['p', 'b'], outputs: ['c'] },
        {
          opType: 'BatchNormalization',
          name: 'bn',
          inputs: ['c', 'gamma', 'beta', 'mean', 'variance'],
          outputs: ['y'],
        },
      ],
      initializers: [weights('w', [4, 6]), weights('b', [6]), ...normalization(6, 5)],
    })
    const samples = [{ x: feed([3, 4], gaussian([3, 4], 2)) }]
    const { model: folded } = await prepare(model, {}, samples)
    expect(folded.graph.nodes.map((node) => node.opType)).toEqual(['MatMul', 'Add'])
    expect(await agreementDb(model, folded, samples)).toBeGreaterThan(100)
  })

  it('folds one behind the other, and weights that another layer shares only for the one', async () => {
    const bn = (name: string, input: string, output: string): NodeSpec => ({
      opType: 'BatchNormalization',
      name,
      inputs: [input, 'gamma', 'beta', 'mean', 'variance'],
      outputs: [output],
    })
    const model = buildModel({
      inputs: { x: [1, 4, 4, 4] },
      outputs: ['y', 'z'],
      nodes: [
        { opType: 'Conv', name: 'one', inputs: ['x', 'w', 'b'], outputs: ['c'] },
        bn('bn1', 'c', 'd'),
        bn('bn2', 'd', 'y'),
        { opType: 'Conv', name: 'two', inputs: ['x', 'w', 'b'], outputs: ['z'] },
      ],
      initializers: [weights('w', [6, 4, 1, 1]), weights('b', [6]), ...normalization(6, 8)],
    })
    const samples = [{ x: feed([1, 4, 4, 4], gaussian([1, 4, 4, 4], 4)) }]
    const { model: folded, notes } = await prepare(model, {}, samples)
    expect(notes.map((note) => note.kind === 'fold_batch_norm' && note.normalization)).toEqual(['bn1', 'bn2'])
    expect(await agreementDb(model, folded, samples)).toBeGreaterThan(100)
  })

  it('computes float16 weights in double precision', async () => {
    const half = (name: string, dims: number[], seed: number): Tensor =>
      makeTensor(name, DataType.FLOAT16, dims, [...gaussian(dims, seed)])
    const model = buildModel({
      inputs: { x: [1, 4, 5, 5] },
      outputs: ['y'],
      nodes: [
        { opType: 'Cast', name: 'half', inputs: ['x'], outputs: ['h'], attributes: { to: DataType.FLOAT16 } },
        { opType: 'Conv', name: 'layer', inputs: ['h', 'w', 'b'], outputs: ['c'] },
        {
          opType: 'BatchNormalization',
          name: 'bn',
          inputs: ['c', 'gamma', 'beta', 'mean', 'variance'],
          outputs: ['n'],
        },
        { opType: 'Cast', name: 'wide', inputs: ['n'], outputs: ['y'], attributes: { to: DataType.FLOAT } },
      ],
      initializers: [half('w', [6, 4, 1, 1], 1), half('b', [6], 2), ...normalization(6, 3, DataType.FLOAT16)],
    })
    const samples = [{ x: feed([1, 4, 5, 5], gaussian([1, 4, 5, 5], 9)) }]
    const { model: folded, notes } = await prepare(model, {}, samples)
    expect(notes).toHaveLength(1)
    expect(folded.graph.initializers.get('w')?.dataType).toBe(DataType.FLOAT16)
    // float16 rounds to 11 bits: some 66 dB for each of a few operations.
    expect(await agreementDb(model, folded, samples)).toBeGreaterThan(50)
  })

  it.each([
    ['when told to', { fold_batch_norm: false }, {}],
    ['of a layer that is named', { skip_fold_layers: ['layer'] }, {}],
    ['that is named itself', { skip_fold_layers: ['bn'] }, {}],
    ['whose input is an output of the model', {}, { outputs: ['y', 'c'] }],
    ['that trains', {}, { attributes: { training_mode: 1 } }],
  ])('leaves a normalization %s', async (_, repair, change: { outputs?: string[]; attributes?: object }) => {
    const { model } = CASES['Conv with a bias']!
    const source = buildModel({
      inputs: { x: [2, 4, 5, 5] },
      outputs: change.outputs ?? ['y'],
      nodes: [
        conv(['x', 'w', 'b']),
        {
          opType: 'BatchNormalization',
          name: 'bn',
          inputs: ['c', 'gamma', 'beta', 'mean', 'variance'],
          outputs: ['y'],
          attributes: { ...change.attributes },
        },
      ],
      initializers: [...model.graph.initializers.values()],
    })
    const { model: same, notes } = await prepare(source, repair, [])
    expect(notes).toEqual([])
    expect(same).toBe(source)
  })

  it('refuses a name that nothing has, with the nearest one', async () => {
    const { model } = CASES['Conv with a bias']!
    await expect(prepare(model, { skip_fold_layers: ['layr'] })).rejects.toMatchObject({
      code: 'E_LAYER_UNKNOWN',
      details: {
        layer: 'layr',
        list: 'repair.skip_fold_layers',
        suggestions: expect.arrayContaining(['layer']),
      },
    })
  })

  it.each([
    ['repair.skip_fold_layers', { fold_batch_norm: false, skip_fold_layers: ['layr'] }],
    ['repair.balance.layers', { balance: { layers: ['layr'] } }],
    ['repair.rounding.layers', { rounding: { method: 'gptq', layers: ['layr'] } }],
  ])('refuses an unknown name of %s before any work', async (list, repair) => {
    const { model } = CASES['Conv with a bias']!
    await expect(prepare(model, repair)).rejects.toMatchObject({ code: 'E_LAYER_UNKNOWN', details: { list } })
  })

  it('holds for any shapes and parameters', async () => {
    const shapes = fc.record({
      groups: fc.constantFrom(1, 2, 3),
      inputs: fc.integer({ min: 1, max: 3 }),
      outputs: fc.integer({ min: 1, max: 3 }),
      kernel: fc.constantFrom(1, 2, 3),
      stride: fc.constantFrom(1, 2),
      biased: fc.boolean(),
      transposed: fc.boolean(),
      seed: fc.integer({ min: 1, max: 1000 }),
    })
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { groups, kernel, transposed, seed, biased, stride } = shape
        const [inputs, outputs] = [groups * shape.inputs, groups * shape.outputs]
        const dims = transposed
          ? [inputs, shape.outputs, kernel, kernel]
          : [outputs, shape.inputs, kernel, kernel]
        const vector = makeTensor('b', DataType.FLOAT, [outputs], gaussian([outputs], seed + 1))
        const model = buildModel({
          inputs: { x: [1, inputs, 5, 5] },
          outputs: ['y'],
          nodes: [
            {
              opType: transposed ? 'ConvTranspose' : 'Conv',
              name: 'layer',
              inputs: ['x', 'w', ...(biased ? ['b'] : [])],
              outputs: ['c'],
              attributes: { group: groups, strides: [stride, stride] },
            },
            {
              opType: 'BatchNormalization',
              name: 'bn',
              inputs: ['c', 'gamma', 'beta', 'mean', 'variance'],
              outputs: ['y'],
            },
          ],
          initializers: [
            makeTensor('w', DataType.FLOAT, dims, gaussian(dims, seed)),
            ...(biased ? [vector] : []),
            ...normalization(outputs, seed + 2),
          ],
        })
        const samples = [{ x: feed([1, inputs, 5, 5], gaussian([1, inputs, 5, 5], seed + 3)) }]
        const { model: folded } = await prepare(model, {}, samples)
        expect(countOf(folded, 'BatchNormalization')).toBe(0)
        expect(await agreementDb(model, folded, samples)).toBeGreaterThan(100)
      }),
      { numRuns: 40 },
    )
  })
})
