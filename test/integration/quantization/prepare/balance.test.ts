// Balance: the same results whether the division is taken in or inserted, factors by AMCT's rule, more accurate integers.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
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
import { parseRecords } from '../../../../engine/quantization/index.ts'
import { dmqFactors } from '../../../../engine/quantization/prepare/balance-factors.ts'
import { buildModel } from '../models.ts'
import { agreementDb, countOf, feed, gaussian, prepare, quantizedDb, run } from './support.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'balance-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Two of eight channels far larger than the others. */
const OUTLIERS = [1, 0.5, 40, 1, 2, 0.1, 80, 1]

function tensor(name: string, dims: number[], seed: number, amplitudes = [1], axis = 0): Tensor {
  return makeTensor(name, DataType.FLOAT, dims, gaussian(dims, seed, amplitudes, axis))
}

const node = (opType: string, name: string, inputs: string[], output: string, attributes = {}): NodeSpec => ({
  opType,
  name,
  inputs,
  outputs: [output],
  attributes,
})

interface Case {
  input: number[]
  nodes: NodeSpec[]
  initializers: Tensor[]
  outputs?: string[]
  /** Nodes that take the divisions in, by the layer that is balanced; undefined: a Mul is inserted. */
  folded: Record<string, string | undefined>
  opset?: number
}

const build = ({ input, nodes, initializers, outputs = ['y'], opset = 17 }: Case): Model =>
  buildModel({ inputs: { x: input }, outputs, nodes, initializers, opset })

const gamma = tensor('gamma', [8], 1, OUTLIERS)
const beta = tensor('beta', [8], 2)

const CASES: Record<string, Case> = {
  'LayerNormalization read by q, k and v': {
    input: [1, 5, 8],
    nodes: [
      node('LayerNormalization', 'norm', ['x', 'gamma', 'beta'], 'n'),
      node('MatMul', 'q', ['n', 'wq'], 'a'),
      node('MatMul', 'k', ['n', 'wk'], 'b'),
      node('MatMul', 'v', ['n', 'wv'], 'c'),
      node('Sum', 'sum', ['a', 'b', 'c'], 'y'),
    ],
    initializers: [gamma, beta, tensor('wq', [8, 4], 3), tensor('wk', [8, 4], 4), tensor('wv', [8, 4], 5)],
    folded: { q: 'norm' },
  },
  'a normalization written out, Mul and Add by constants behind Unsqueeze': {
    input: [1, 8, 4, 4],
    nodes: [
      node('Unsqueeze', 'u1', ['gamma', 'axes'], 'g'),
      node('Unsqueeze', 'u2', ['beta', 'axes'], 'h'),
      node('Mul', 'scale', ['x', 'g'], 's'),
      node('Add', 'shift', ['h', 's'], 'n'),
      node('Conv', 'conv', ['n', 'w'], 'y', { pads: [1, 1, 1, 1], group: 2 }),
    ],
    initializers: [
      gamma,
      beta,
      makeTensor('axes', DataType.INT64, [2], [1n, 2n]),
      tensor('w', [6, 4, 3, 3], 3),
    ],
    folded: { conv: 'scale' },
  },
  'the layer before, through Relu, Transpose and Reshape': {
    input: [1, 3, 4, 4],
    nodes: [
      node('Conv', 'one', ['x', 'w1', 'b1'], 'c'),
      node('Relu', 'relu', ['c'], 'r'),
      node('Reshape', 'flat', ['r', 'dims'], 'f'),
      node('Transpose', 'turn', ['f'], 't', { perm: [0, 2, 1] }),
      node('MatMul', 'two', ['t', 'w2'], 'y'),
    ],
    initializers: [
      tensor('w1', [8, 3, 1, 1], 1, OUTLIERS),
      tensor('b1', [8], 2, OUTLIERS),
      makeTensor('dims', DataType.INT64, [3], [1n, 8n, 16n]),
      tensor('w2', [8, 6], 3),
    ],
    // The first layer's own input is the model's: nothing to fold into.
    folded: { two: 'one', one: undefined },
  },
  'a gated unit: the half that is not activated takes the division': {
    input: [1, 5, 6],
    nodes: [
      node('MatMul', 'up', ['x', 'w1'], 'p'),
      node('Add', 'bias', ['p', 'b1'], 'u'),
      {
        opType: 'Split',
        name: 'chunk',
        inputs: ['u', 'sizes'],
        outputs: ['gate', 'h'],
        attributes: { axis: -1 },
      },
      node('Sigmoid', 'sigmoid', ['gate'], 's'),
      node('Mul', 'silu', ['gate', 's'], 'a'),
      node('Mul', 'product', ['a', 'h'], 'g'),
      node('MatMul', 'down', ['g', 'w2'], 'y'),
    ],
    initializers: [
      tensor('w1', [6, 16], 1, OUTLIERS, 1),
      tensor('b1', [16], 2),
      makeTensor('sizes', DataType.INT64, [2], [8n, 8n]),
      tensor('w2', [8, 6], 3),
    ],
    folded: { down: 'up', up: undefined },
  },
  'an activation that is not homogeneous': {
    input: [1, 8, 4, 4],
    nodes: [
      node('Sigmoid', 'gate', ['x'], 's'),
      node('Mul', 'silu', ['x', 's'], 'm'),
      node('Conv', 'conv', ['m', 'w'], 'y'),
    ],
    initializers: [tensor('w', [4, 8, 1, 1], 3)],
    folded: { conv: undefined },
  },
  'one number for all channels stays one': {
    input: [1, 3, 8],
    nodes: [
      node('Erf', 'erf', ['x'], 'e'),
      node('Mul', 'half', ['e', 'two'], 'h'),
      node('MatMul', 'fc', ['h', 'w'], 'y'),
    ],
    initializers: [makeTensor('two', DataType.FLOAT, [], [0.5]), tensor('w', [8, 4], 3)],
    folded: { fc: undefined },
  },
  'a value that something else reads too': {
    input: [1, 3, 8],
    nodes: [
      node('LayerNormalization', 'norm', ['x', 'gamma', 'beta'], 'n'),
      node('MatMul', 'fc', ['n', 'w'], 'p'),
      node('Add', 'residual', ['n', 'p'], 'y'),
    ],
    initializers: [gamma, beta, tensor('w', [8, 8], 3)],
    folded: { fc: undefined },
  },
  'a value that is an output': {
    input: [1, 3, 8],
    nodes: [
      node('LayerNormalization', 'norm', ['x', 'gamma', 'beta'], 'n'),
      node('MatMul', 'fc', ['n', 'w'], 'y'),
    ],
    initializers: [gamma, beta, tensor('w', [8, 8], 3)],
    outputs: ['y', 'n'],
    folded: { fc: undefined },
  },
  'a division by a constant, and Gemm with transB': {
    input: [2, 8],
    nodes: [node('Div', 'divide', ['x', 'gamma'], 'n'), node('Gemm', 'fc', ['n', 'w'], 'y', { transB: 1 })],
    initializers: [gamma, tensor('w', [4, 8], 3)],
    folded: { fc: 'divide' },
  },
}

describe('balance', () => {
  it.each(Object.entries(CASES))('%s', async (_, spec) => {
    const model = build(spec)
    const samples = [1, 2].map((seed) => ({ x: feed(spec.input, gaussian(spec.input, seed, OUTLIERS, 1)) }))
    const { model: balanced, notes } = await prepare(model, { balance: {} }, samples)
    const folded = Object.fromEntries(
      notes.map((note) => (note.kind === 'balance' ? [note.layer, note.foldedInto] : [])),
    )
    expect(folded).toEqual(spec.folded)
    const inserted = Object.values(spec.folded).filter((target) => target === undefined).length
    expect(countOf(balanced, 'Mul')).toBe(countOf(model, 'Mul') + inserted)
    expect(await agreementDb(model, balanced, samples)).toBeGreaterThan(100)
  })

  it("computes AMCT's factors from the largest magnitudes, and inserts what AMCT inserts", async () => {
    const spec = CASES['an activation that is not homogeneous']!
    const model = build(spec)
    const samples = [1, 2, 3].map((seed) => ({ x: feed(spec.input, gaussian(spec.input, seed, OUTLIERS)) }))
    const { model: balanced, balanceFactors } = await prepare(model, { balance: { strength: 0.7 } }, samples)
    const values = samples.flatMap((sample) => [...(sample.x.data as Float32Array)])
    const activation = new Float32Array(8)
    values.forEach((value, index) => {
      const channel = Math.floor(index / 16) % 8
      const silu = Math.abs(value / (1 + Math.exp(-value)))
      activation[channel] = Math.max(activation[channel]!, silu)
    })
    const weights = tensorToFloat32(spec.initializers[0]!)
    const weight = Float32Array.from({ length: 8 }, (_, input) =>
      Math.max(...[0, 1, 2, 3].map((output) => Math.abs(weights[output * 8 + input]!))),
    )
    const expected = dmqFactors('conv', activation, weight, 0.7)
    const factors = balanceFactors.get('conv')!
    expected.forEach((factor, channel) => expect(factors[channel]! / factor).toBeCloseTo(1, 5))

    const mul = balanced.graph.nodes.find(({ name }) => name === 'conv.balance')!
    expect(mul.opType).toBe('Mul')
    const constant = balanced.graph.initializers.get(mul.inputs[1]!)!
    expect(constant.dims).toEqual([1, 8, 1, 1])
    tensorToFloat32(constant).forEach((value, channel) => expect(value * factors[channel]!).toBeCloseTo(1, 5))
  })

  it('takes SmoothQuant factors, only for the layers named', async () => {
    const spec = CASES['LayerNormalization read by q, k and v']!
    const model = build(spec)
    const samples = [{ x: feed(spec.input, gaussian(spec.input, 1)) }]
    const {
      model: balanced,
      notes,
      balanceFactors,
    } = await prepare(model, { balance: { method: 'smoothquant', layers: ['k'] } }, samples)
    // q and v read the same tensor without a division: it cannot be taken in.
    expect(notes).toMatchObject([{ kind: 'balance', layer: 'k', layers: ['k'], channels: 8 }])
    expect([...balanceFactors.keys()]).toEqual(['k'])
    expect(await agreementDb(model, balanced, samples)).toBeGreaterThan(100)
    await expect(prepare(model, { balance: { layers: ['kk'] } }, samples)).rejects.toMatchObject({
      code: 'E_LAYER_UNKNOWN',
      details: { list: 'repair.balance.layers' },
    })
  })

  it('balances the other channels when one is never used', async () => {
    const spec = CASES['an activation that is not homogeneous']!
    const model = build(spec)
    const samples = [{ x: feed(spec.input, gaussian(spec.input, 1, [1, 0, 3, 1e-30, 1, 1, 50, 1])) }]
    const { model: balanced, notes } = await prepare(model, { balance: {} }, samples)
    expect(notes).toHaveLength(1)
    expect(await agreementDb(model, balanced, samples)).toBeGreaterThan(100)
  })

  it('works in float16, with a float16 factor', async () => {
    const half = (name: string, dims: number[], seed: number): Tensor =>
      makeTensor(name, DataType.FLOAT16, dims, [...gaussian(dims, seed)])
    const model = buildModel({
      inputs: { x: [1, 8, 4, 4] },
      outputs: ['y'],
      nodes: [
        node('Cast', 'half', ['x'], 'h', { to: DataType.FLOAT16 }),
        node('Sigmoid', 'gate', ['h'], 's'),
        node('Mul', 'silu', ['h', 's'], 'm'),
        node('Conv', 'conv', ['m', 'w'], 'c'),
        node('Cast', 'wide', ['c'], 'y', { to: DataType.FLOAT }),
      ],
      initializers: [half('w', [4, 8, 1, 1], 3)],
    })
    const samples = [{ x: feed([1, 8, 4, 4], gaussian([1, 8, 4, 4], 1, OUTLIERS)) }]
    const { model: balanced, notes } = await prepare(model, { balance: {} }, samples)
    expect(notes).toHaveLength(1)
    expect(balanced.graph.initializers.get('conv.balance.factor')?.dataType).toBe(DataType.FLOAT16)
    expect(await agreementDb(model, balanced, samples)).toBeGreaterThan(50)
  })

  it('goes through quantization: into the record, the deploy model and the mapping', async () => {
    const spec = CASES['the layer before, through Relu, Transpose and Reshape']!
    const model = build(spec)
    const samples = [1, 2].map((seed) => ({ x: feed(spec.input, gaussian(spec.input, seed)) }))
    await quantizedDb(folder, model, model, samples, { repair: { balance: {} } })
    const records = parseRecords(readFileSync(path.join(folder, 'out_record.txt'), 'utf8'), 'record.txt')
    const { balanceFactors } = await prepare(model, { balance: {} }, samples)
    expect(records.map(({ layer }) => layer).toSorted()).toEqual(['one', 'two'])
    for (const { layer, balanceFactors: written } of records) {
      expect(written).toEqual([...balanceFactors.get(layer)!])
    }
  })

  it('gains more than 10 dB on planted outlier channels', async () => {
    const dims = [1, 16, 16]
    const amplitudes = Array.from({ length: 16 }, (_, channel) => (channel % 8 === 3 ? 60 : 1))
    const model = buildModel({
      inputs: { x: dims },
      outputs: ['y'],
      nodes: [
        node('Tanh', 'bounded', ['x'], 't'),
        node('Mul', 'scale', ['t', 'g'], 'n'),
        node('MatMul', 'fc', ['n', 'w'], 'y'),
      ],
      initializers: [
        makeTensor('g', DataType.FLOAT, [16], amplitudes),
        tensor(
          'w',
          [16, 16],
          3,
          amplitudes.map((amplitude) => 1 / amplitude),
          0,
        ),
      ],
    })
    const samples = [1, 2, 3, 4].map((seed) => ({ x: feed(dims, gaussian(dims, seed)) }))
    const before = await quantizedDb(folder, model, model, samples)
    const after = await quantizedDb(folder, model, model, samples, { repair: { balance: {} } })
    expect(after).toBeGreaterThan(before + 10)
    // The reference is not constant.
    expect(Math.max(...(await run(model, samples)))).toBeGreaterThan(1)
  })
})
