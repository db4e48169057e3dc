// Cross-layer equalization: the same results, evened-out ranges, more accurate integers.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  DataType,
  makeTensor,
  type Model,
  type NodeSpec,
  type Tensor,
  tensorToFloat32,
} from '../../../../engine/onnx/index.ts'
import { buildModel } from '../models.ts'
import { agreementDb, feed, gaussian, prepare, quantizedDb } from './support.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'equalize-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Channel amplitudes over four orders of magnitude. */
const SPREAD = [0.01, 1, 30, 0.2, 5, 0.05]

function tensor(name: string, dims: number[], seed: number, amplitudes = [1], axis = 0): Tensor {
  return makeTensor(name, DataType.FLOAT, dims, gaussian(dims, seed, amplitudes, axis))
}

interface Case {
  input: number[]
  nodes: NodeSpec[]
  initializers: Tensor[]
  outputs?: string[]
}

const build = ({ input, nodes, initializers, outputs = ['y'] }: Case): Model =>
  buildModel({ inputs: { x: input }, outputs, nodes, initializers })

const node = (opType: string, name: string, inputs: string[], output: string, attributes = {}): NodeSpec => ({
  opType,
  name,
  inputs,
  outputs: [output],
  attributes,
})

const first = node('Conv', 'one', ['x', 'w', 'b'], 'c', { pads: [1, 1, 1, 1] })
const firstWeights = [tensor('w', [6, 3, 3, 3], 1, SPREAD), tensor('b', [6], 2, SPREAD)]
const secondWeights = [tensor('v', [4, 6, 3, 3], 3), tensor('d', [4], 4)]

const CASES: Record<string, Case & { pairs: [string, string][] }> = {
  'two convolutions with a Relu between': {
    input: [1, 3, 6, 6],
    nodes: [first, node('Relu', 'relu', ['c'], 'r'), node('Conv', 'two', ['r', 'v', 'd'], 'y')],
    initializers: [...firstWeights, ...secondWeights],
    pairs: [['one', 'two']],
  },
  'nothing between': {
    input: [1, 3, 6, 6],
    nodes: [first, node('Conv', 'two', ['c', 'v', 'd'], 'y')],
    initializers: [...firstWeights, ...secondWeights],
    pairs: [['one', 'two']],
  },
  'a depthwise convolution in the middle, LeakyRelu and MaxPool': {
    input: [1, 3, 6, 6],
    nodes: [
      first,
      node('LeakyRelu', 'leaky', ['c'], 'r', { alpha: { float: 0.2 } }),
      node('Conv', 'depthwise', ['r', 'u'], 'e', { group: 6 }),
      node('MaxPool', 'pool', ['e'], 'p', { kernel_shape: [2, 2] }),
      node('Conv', 'two', ['p', 'v', 'd'], 'y'),
    ],
    initializers: [...firstWeights, tensor('u', [6, 1, 1, 1], 9, [3, 0.1]), ...secondWeights],
    pairs: [
      ['one', 'depthwise'],
      ['depthwise', 'two'],
    ],
  },
  'a classifier behind global pooling': {
    input: [2, 3, 6, 6],
    nodes: [
      first,
      node('Relu', 'relu', ['c'], 'r'),
      node('GlobalAveragePool', 'pool', ['r'], 'p'),
      node('Flatten', 'flat', ['p'], 'f'),
      node('Gemm', 'fc', ['f', 'v', 'd'], 'y', { transB: 1 }),
    ],
    initializers: [...firstWeights, tensor('v', [4, 6], 3), tensor('d', [4], 4)],
    pairs: [['one', 'fc']],
  },
  'products, grouped ConvTranspose, Transpose and Reshape': {
    input: [1, 4, 4],
    nodes: [
      node('MatMul', 'one', ['x', 'w'], 'm'),
      node('Add', 'bias', ['m', 'b'], 'c'),
      node('Relu', 'relu', ['c'], 'r'),
      node('Transpose', 'turn', ['r'], 't', { perm: [0, 2, 1] }),
      node('Reshape', 'shape', ['t', 'dims'], 's'),
      node('ConvTranspose', 'two', ['s', 'v'], 'y', { group: 2 }),
    ],
    initializers: [
      tensor('w', [4, 6], 1, SPREAD, 1),
      tensor('b', [6], 2, SPREAD),
      makeTensor('dims', DataType.INT64, [4], [1n, 6n, 2n, 2n]),
      tensor('v', [6, 2, 3, 3], 3),
    ],
    pairs: [['one', 'two']],
  },
}

/** Largest magnitudes over all dimensions but one. */
function ranges(weight: Tensor, axis: number): number[] {
  const values = tensorToFloat32(weight)
  const inner = weight.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const maxima = Array<number>(weight.dims[axis]!).fill(0)
  values.forEach((value, index) => {
    const channel = Math.floor(index / inner) % maxima.length
    maxima[channel] = Math.max(maxima[channel]!, Math.abs(value))
  })
  return maxima
}

describe('cross-layer equalization', () => {
  it.each(Object.entries(CASES))('%s', async (_, spec) => {
    const model = build(spec)
    const samples = [{ x: feed(spec.input, gaussian(spec.input, 11)) }]
    const { model: equalized, notes } = await prepare(model, { equalize: true }, samples)
    expect(notes.map((note) => note.kind === 'equalize' && [note.layer, note.next])).toEqual(spec.pairs)
    expect(await agreementDb(model, equalized, samples)).toBeGreaterThan(100)
  })

  it('evens out the ranges of both sides', async () => {
    const { model } = await prepare(build(CASES['two convolutions with a Relu between']!), { equalize: true })
    const { initializers } = model.graph
    const [outputs, inputs] = [ranges(initializers.get('w')!, 0), ranges(initializers.get('v')!, 1)]
    outputs.forEach((range, channel) => expect(range / inputs[channel]!).toBeCloseTo(1, 4))
  })

  it('settles over a chain, so that a second time changes nothing', async () => {
    const model = build(CASES['a depthwise convolution in the middle, LeakyRelu and MaxPool']!)
    const once = await prepare(model, { equalize: true })
    const twice = await prepare(once.model, { equalize: true })
    for (const note of twice.notes) {
      if (note.kind !== 'equalize') throw new Error('no pair')
      expect(note.smallest).toBeGreaterThan(0.99)
      expect(note.largest).toBeLessThan(1.01)
    }
  })

  const relu = node('Relu', 'relu', ['c'], 'r')
  it.each<[string, Partial<Case>]>([
    [
      'a Sigmoid',
      { nodes: [first, node('Sigmoid', 's', ['c'], 'r'), node('Conv', 'two', ['r', 'v', 'd'], 'y')] },
    ],
    [
      'a value that is also an output',
      { nodes: [first, relu, node('Conv', 'two', ['r', 'v', 'd'], 'y')], outputs: ['y', 'r'] },
    ],
    [
      'a value that something else reads',
      {
        nodes: [first, relu, node('Conv', 'two', ['r', 'v', 'd'], 'y'), node('Exp', 'e', ['r'], 'z')],
        outputs: ['y', 'z'],
      },
    ],
    [
      'a reshape that mixes channels',
      {
        nodes: [first, node('Reshape', 'mix', ['c', 'dims'], 'r'), node('Conv', 'two', ['r', 'v', 'd'], 'y')],
        // 6 channels of 6 x 6 values seen as 4 pictures of 6 channels.
        initializers: [
          ...firstWeights,
          ...secondWeights,
          makeTensor('dims', DataType.INT64, [4], [4n, 6n, 3n, 3n]),
        ],
      },
    ],
  ])('stops at %s', async (_, change) => {
    const spec = {
      input: [1, 3, 6, 6],
      nodes: [],
      initializers: [...firstWeights, ...secondWeights],
      ...change,
    }
    const model = build(spec)
    const samples = [{ x: feed([1, 3, 6, 6], gaussian([1, 3, 6, 6], 5)) }]
    const { model: same, notes } = await prepare(model, { equalize: true }, samples)
    expect(notes).toEqual([])
    expect(same).toBe(model)
  })

  it('leaves layers that the recipe keeps in floating point', async () => {
    const model = build(CASES['nothing between']!)
    const { notes } = await prepare(model, { equalize: true }, [], { skip_layers: ['two'] })
    expect(notes).toEqual([])
  })

  it('gains more than 15 dB where channels of one scale are planted out of balance', async () => {
    const spread = Array.from({ length: 24 }, (_, channel) => 10 ** (((channel * 7) % 24) / 8 - 1.5))
    const model = build({
      input: [8, 16],
      nodes: [
        node('Gemm', 'one', ['x', 'w', 'b'], 'c'),
        node('Relu', 'relu', ['c'], 'r'),
        node('Gemm', 'two', ['r', 'v'], 'y'),
      ],
      initializers: [
        tensor('w', [16, 24], 1, spread, 1),
        tensor('b', [24], 2, spread),
        tensor(
          'v',
          [24, 8],
          3,
          spread.map((amplitude) => 1 / amplitude),
          0,
        ),
      ],
    })
    const samples = Array.from({ length: 4 }, (_, index) => ({
      x: feed([8, 16], gaussian([8, 16], 20 + index)),
    }))
    const { model: equalized } = await prepare(model, { equalize: true }, samples)
    const before = await quantizedDb(folder, model, model, samples)
    const after = await quantizedDb(folder, equalized, model, samples)
    expect(after).toBeGreaterThan(before + 15)
  })
})
