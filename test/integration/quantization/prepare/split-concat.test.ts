// Splits at joints: the same results, a scale for each half, and more accurate integers where ranges differ.
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
  upgradeOpset,
} from '../../../../engine/onnx/index.ts'
import { selectLayers } from '../../../../engine/quantization/selection.ts'
import { buildModel } from '../models.ts'
import {
  agreementDb,
  countOf,
  feed,
  type Feeds,
  gaussian,
  prepare,
  quantizedDb,
  recipeWith,
} from './support.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'split-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function tensor(name: string, dims: number[], seed: number): Tensor {
  return makeTensor(name, DataType.FLOAT, dims, gaussian(dims, seed))
}

const node = (opType: string, name: string, inputs: string[], output: string, attributes = {}): NodeSpec => ({
  opType,
  name,
  inputs,
  outputs: [output],
  attributes,
})

interface Case {
  inputs: Record<string, number[]>
  nodes: NodeSpec[]
  initializers: Tensor[]
  parts: number[]
  /** Operators of the result that the case is about. */
  counts: Record<string, number>
}

const PICTURES = { a: [1, 3, 5, 5], b: [1, 5, 5, 5] }
const joint = node('Concat', 'join', ['a', 'b'], 'x', { axis: 1 })

const CASES: Record<string, Case> = {
  'a convolution with a bias': {
    inputs: PICTURES,
    nodes: [joint, node('Conv', 'conv', ['x', 'w', 'd'], 'y', { pads: [1, 1, 1, 1] })],
    initializers: [tensor('w', [4, 8, 3, 3], 1), tensor('d', [4], 2)],
    parts: [3, 5],
    counts: { Concat: 0, Conv: 2, Add: 1, Split: 0 },
  },
  'a ConvTranspose, joined from the back': {
    inputs: PICTURES,
    nodes: [
      node('Concat', 'join', ['a', 'b'], 'x', { axis: -3 }),
      node('ConvTranspose', 'conv', ['x', 'w', 'd'], 'y', { strides: [2, 2] }),
    ],
    initializers: [tensor('w', [8, 4, 3, 3], 1), tensor('d', [4], 2)],
    parts: [3, 5],
    counts: { Concat: 0, ConvTranspose: 2, Add: 1 },
  },
  'behind a normalization and an activation': {
    inputs: PICTURES,
    nodes: [
      joint,
      node('InstanceNormalization', 'norm', ['x', 'gamma', 'beta'], 'n'),
      node('Sigmoid', 'gate', ['n'], 's'),
      node('Mul', 'silu', ['n', 's'], 'm'),
      node('Conv', 'conv', ['m', 'w'], 'y'),
    ],
    initializers: [tensor('w', [4, 8, 1, 1], 1), tensor('gamma', [8], 3), tensor('beta', [8], 4)],
    parts: [3, 5],
    counts: { Concat: 1, Conv: 2, Add: 1, Split: 1 },
  },
  'three tensors': {
    inputs: { a: [1, 2, 4, 4], b: [1, 3, 4, 4], c: [1, 3, 4, 4] },
    nodes: [
      node('Concat', 'join', ['a', 'b', 'c'], 'x', { axis: 1 }),
      node('Conv', 'conv', ['x', 'w', 'd'], 'y'),
    ],
    initializers: [tensor('w', [4, 8, 1, 1], 1), tensor('d', [4], 2)],
    parts: [2, 3, 3],
    counts: { Conv: 3, Add: 2 },
  },
  'a product with its bias behind': {
    inputs: { a: [1, 5, 3], b: [1, 5, 5] },
    nodes: [
      node('Concat', 'join', ['a', 'b'], 'x', { axis: -1 }),
      node('MatMul', 'conv', ['x', 'w'], 'p'),
      node('Cast', 'bias', ['half'], 'd', { to: DataType.FLOAT }),
      node('Add', 'add', ['d', 'p'], 'y'),
    ],
    initializers: [tensor('w', [8, 4], 1), makeTensor('half', DataType.FLOAT16, [4], [0.5, -1, 2, 3])],
    parts: [3, 5],
    counts: { Concat: 0, MatMul: 2, Add: 2 },
  },
  'Gemm with transB': {
    inputs: { a: [2, 3], b: [2, 5] },
    nodes: [
      node('Concat', 'join', ['a', 'b'], 'x', { axis: 1 }),
      node('Gemm', 'conv', ['x', 'w', 'd'], 'y', { transB: 1 }),
    ],
    initializers: [tensor('w', [4, 8], 1), tensor('d', [4], 2)],
    parts: [3, 5],
    counts: { Concat: 0, Gemm: 2, Add: 1 },
  },
}

const build = ({ inputs, nodes, initializers }: Pick<Case, 'inputs' | 'nodes' | 'initializers'>): Model =>
  buildModel({ inputs, outputs: ['y'], nodes, initializers })

function samplesOf(
  inputs: Record<string, number[]>,
  scales: Record<string, number> = {},
  count = 2,
): Feeds[] {
  return Array.from({ length: count }, (_, index) =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, dims], at) => [
        name,
        feed(dims, gaussian(dims, 10 * index + at, [scales[name] ?? 1])),
      ]),
    ),
  )
}

const ALL = { split_concat: { mode: 'all' } }
const AUTO = { split_concat: { mode: 'auto' } }

describe('splits at joints', () => {
  it.each(Object.entries(CASES))('%s', async (_, spec) => {
    const model = build(spec)
    const samples = samplesOf(spec.inputs)
    const { model: split, notes } = await prepare(model, ALL, samples)
    expect(notes).toHaveLength(1)
    const [note] = notes
    if (note?.kind !== 'split_concat') throw new Error('not split')
    expect(note.parts.map(({ layer }) => layer)).toEqual(
      spec.parts.map((_part, index) => `conv.split${index}`),
    )
    expect(note.parts.map(({ channels }) => channels)).toEqual(spec.parts)
    for (const [opType, count] of Object.entries(spec.counts))
      expect([opType, countOf(split, opType)]).toEqual([opType, count])
    expect(await agreementDb(model, split, samples)).toBeGreaterThan(100)
  })

  it('reports the ranges of the halves and the gain that their steps promise', async () => {
    const spec = CASES['a convolution with a bias']!
    // Constant weights: the energies of both halves are as their channels.
    const model = build({
      ...spec,
      initializers: [
        makeTensor('w', DataType.FLOAT, [4, 8, 3, 3], Array<number>(288).fill(1)),
        tensor('d', [4], 2),
      ],
    })
    const samples = samplesOf(spec.inputs, { b: 20 })
    const { notes } = await prepare(model, ALL, samples)
    const values = (name: string): number[] =>
      samples.flatMap((sample) => [...(sample[name]!.data as Float32Array)])
    const ranges = ['a', 'b'].map((name) => [Math.min(...values(name)), Math.max(...values(name))] as const)
    const steps = ranges.map(([min, max]) => (max - min) / 255)
    const whole = Math.max(...steps) ** 2 * 8
    const parts = steps[0]! ** 2 * 3 + steps[1]! ** 2 * 5
    expect(notes).toMatchObject([
      {
        kind: 'split_concat',
        layer: 'conv',
        gainDb: expect.closeTo(10 * Math.log10(whole / parts), 3),
        parts: ranges.map(([min, max]) => ({ min: expect.closeTo(min, 4), max: expect.closeTo(max, 4) })),
      },
    ])
  })

  it('takes only what gains enough, in auto mode', async () => {
    const spec = CASES['a convolution with a bias']!
    const model = build(spec)
    const alike = samplesOf(spec.inputs)
    expect((await prepare(model, AUTO, alike)).model).toBe(model)
    // A tensor of small values keeps most of the channels: that is where a step of its own pays.
    const apart = samplesOf(spec.inputs, { a: 50 })
    const gain = async (minimum: number): Promise<number> =>
      (await prepare(model, { split_concat: { mode: 'auto', minimum_gain_db: minimum } }, apart)).notes.length
    expect([await gain(3), await gain(60)]).toEqual([1, 0])
  })

  it('keeps together what is alike, of three tensors', async () => {
    const spec = CASES['three tensors']!
    const model = build(spec)
    const samples = samplesOf(spec.inputs, { a: 100 })
    const { model: split, notes } = await prepare(model, AUTO, samples)
    expect(notes).toMatchObject([{ parts: [{ channels: 2 }, { channels: 6 }] }])
    expect(countOf(split, 'Conv')).toBe(2)
    expect(await agreementDb(model, split, samples)).toBeGreaterThan(100)
  })

  it('leaves grouped convolutions, joints along other dimensions, and other numbers of channels', async () => {
    const same = { a: [1, 4, 5, 5], b: [1, 4, 5, 5] }
    const others = [
      build({
        inputs: same,
        nodes: [joint, node('Conv', 'conv', ['x', 'w'], 'y', { group: 2 })],
        initializers: [tensor('w', [4, 4, 1, 1], 1)],
      }),
      build({
        inputs: same,
        nodes: [node('Concat', 'join', ['a', 'b'], 'x', { axis: 2 }), node('Conv', 'conv', ['x', 'w'], 'y')],
        initializers: [tensor('w', [4, 4, 1, 1], 1)],
      }),
      build({
        inputs: same,
        nodes: [joint, node('Reshape', 'mix', ['x', 'dims'], 'm'), node('Conv', 'conv', ['m', 'w'], 'y')],
        initializers: [
          tensor('w', [4, 2, 1, 1], 1),
          makeTensor('dims', DataType.INT64, [4], [4n, 2n, 5n, 5n]),
        ],
      }),
    ]
    for (const model of others) expect((await prepare(model, ALL, samplesOf(same))).model).toBe(model)
  })

  it('shares the slices of layers that read the same tensor', async () => {
    const spec = CASES['behind a normalization and an activation']!
    const model = build({
      ...spec,
      nodes: [
        ...spec.nodes.slice(0, 4),
        node('Conv', 'one', ['m', 'w'], 'p'),
        node('Conv', 'two', ['m', 'w'], 'q'),
        node('Relu', 'relu', ['q'], 'r'),
        node('Sub', 'sub', ['p', 'r'], 'y'),
      ],
    })
    const samples = samplesOf(spec.inputs)
    const { model: split } = await prepare(model, ALL, samples)
    expect([countOf(split, 'Split'), countOf(split, 'Conv')]).toEqual([1, 4])
    expect(await agreementDb(model, split, samples)).toBeGreaterThan(100)
  })

  it('lets both halves answer to the names of the layer', async () => {
    const spec = CASES['a convolution with a bias']!
    const model = upgradeOpset(build(spec), 13)
    const { model: split } = await prepare(model, ALL, samplesOf(spec.inputs))
    for (const name of ['conv', 'w', 'con*']) {
      const recipe = recipeWith(ALL, { overrides: [{ layer: name, activation: { method: 'max_abs' } }] })
      const observers = selectLayers(split, recipe, model).chosen.map(({ observer }) => observer.method)
      expect(observers).toEqual(['max_abs', 'max_abs'])
    }
  })

  it('balances the halves from the same pass over the data', async () => {
    const spec = CASES['a convolution with a bias']!
    const model = build(spec)
    const samples = samplesOf(spec.inputs, { b: 20 })
    const { model: both, notes, balanceFactors } = await prepare(model, { ...ALL, balance: {} }, samples)
    expect(notes.map(({ kind }) => kind)).toEqual(['split_concat', 'balance', 'balance'])
    expect([...balanceFactors].map(([name, factors]) => [name, factors.length])).toEqual(
      expect.arrayContaining([
        ['conv.split0', 3],
        ['conv.split1', 5],
      ]),
    )
    expect(await agreementDb(model, both, samples)).toBeGreaterThan(100)
  })

  it('gains more than 10 dB on a planted bimodal joint, and says what came from what', async () => {
    const inputs = { a: [1, 8, 6, 6], b: [1, 8, 6, 6] }
    // The weights even out what the ranges do not: both halves matter alike.
    const weight = gaussian(
      [8, 16, 1, 1],
      1,
      [...Array<number>(8).fill(1), ...Array<number>(8).fill(0.01)],
      1,
    )
    const model = build({
      inputs,
      nodes: [joint, node('Conv', 'conv', ['x', 'w'], 'y')],
      initializers: [makeTensor('w', DataType.FLOAT, [8, 16, 1, 1], weight)],
    })
    const samples = samplesOf(inputs, { b: 100 }, 4)
    const before = await quantizedDb(folder, model, model, samples)
    const after = await quantizedDb(folder, model, model, samples, { repair: AUTO })
    expect(after).toBeGreaterThan(before + 10)

    const mapping = JSON.parse(readFileSync(path.join(folder, 'out_quant.json'), 'utf8')) as {
      graph: { op: { name: string; attr: { value: { list: { s: string[] } } }[] }[] }[]
    }
    const origins = Object.fromEntries(
      mapping.graph[0]!.op.map(({ name, attr }) => [name, attr[0]!.value.list.s]),
    )
    expect(origins).toMatchObject({
      'conv.split_add0': ['conv'],
      'conv.split0.dequant': [],
      'conv.split1.dequant': [],
    })
  })
})
