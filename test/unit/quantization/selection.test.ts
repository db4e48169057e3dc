// What a recipe's settings come to for each layer: precedence, precisions, fallbacks, names of repaired models.
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { type Recipe, RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { DataType, makeNode, makeTensor, type Model, type NodeSpec } from '../../../engine/onnx/index.ts'
import { type Selection, selectLayers } from '../../../engine/quantization/selection.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'

function model(nodes: NodeSpec[], weights: Record<string, number[]>, input = [1, 4, 8, 8]): Model {
  const initializers = new Map(
    Object.entries(weights).map(([name, dims]) => {
      const count = dims.reduce((product, dim) => product * dim, 1)
      return [name, makeTensor(name, DataType.FLOAT, dims, new Float32Array(count).fill(0.5))] as const
    }),
  )
  const inputs = [valueInfo('x', DataType.FLOAT, input)]
  const outputs = [{ name: 'y', elementType: DataType.FLOAT }]
  return makeModel(makeGraph({ nodes: nodes.map(makeNode), initializers, inputs, outputs }))
}

function recipe(parts: object): Recipe {
  return recipeSchema.parse({ schema: RECIPE_SCHEMA, ...parts })
}

/** Two convolutions, a product and a pooling. */
function network(): Model {
  return model(
    [
      { opType: 'Conv', name: '/net/a/Conv', inputs: ['x', 'net.a.weight'], outputs: ['a'] },
      { opType: 'Conv', name: '/net/b/Conv', inputs: ['a', 'net.b.weight'], outputs: ['b'] },
      {
        opType: 'AveragePool',
        name: '/net/pool/AveragePool',
        inputs: ['b'],
        outputs: ['p'],
        attributes: { kernel_shape: [2, 2] },
      },
      { opType: 'MatMul', name: '/net/c/MatMul', inputs: ['p', 'net.c.weight'], outputs: ['y'] },
    ],
    { 'net.a.weight': [4, 4, 1, 1], 'net.b.weight': [4, 4, 1, 1], 'net.c.weight': [7, 6] },
  )
}

/** Precision of every layer, as it would be reported. */
function precisions(selection: Selection): Record<string, string> {
  const integer = [...selection.chosen, ...selection.weightOnly].map(({ name, precision }) => [
    name,
    precision,
  ])
  const pools = selection.pools.map(({ name }) => [name, 'int8'])
  const kept = [...selection.kept.values()].map(({ name, precision, reason }) => [
    name,
    `${precision}: ${reason}`,
  ])
  return Object.fromEntries([...integer, ...pools, ...kept])
}

function select(parts: object): Record<string, string> {
  return precisions(selectLayers(network(), recipe(parts)))
}

describe('precedence', () => {
  it('the layer wins over its type, its type over what holds for all', () => {
    expect(
      select({
        precision: 'w8a16',
        op_types: [{ op_type: 'Conv', precision: 'w4a8' }],
        overrides: [{ layer: 'net.b', precision: 'int8' }],
      }),
    ).toEqual({ '/net/a/Conv': 'w4a8', '/net/b/Conv': 'int8', '/net/c/MatMul': 'w8a16' })
  })

  it('rules by type win over skipped types, skipped layers over both, overrides over all', () => {
    expect(
      select({
        skip_op_types: ['Conv', 'MatMul'],
        op_types: [{ op_type: 'Conv', precision: 'int8' }],
        skip_layers: ['net.b', 'net.c'],
        overrides: [{ layer: '*c*', precision: 'fp16' }],
      }),
    ).toEqual({
      '/net/a/Conv': 'int8',
      '/net/b/Conv': 'float: skipped_by_recipe',
      '/net/c/MatMul': 'fp16: fp16_by_recipe',
    })
  })

  it('a later rule wins over an earlier one of its kind', () => {
    expect(
      select({
        op_types: [
          { op_type: 'Conv', precision: 'fp16' },
          { op_type: 'Conv', precision: 'int8' },
        ],
        overrides: [
          { layer: 'net.c', precision: 'w4a16' },
          { layer: 'net.c', precision: 'w8a16' },
        ],
      }),
    ).toEqual({ '/net/a/Conv': 'int8', '/net/b/Conv': 'int8', '/net/c/MatMul': 'w8a16' })
  })

  it('what a rule leaves out stays as the wider rule said it', () => {
    const { chosen } = selectLayers(
      network(),
      recipe({
        weight: { method: 'kl' },
        op_types: [{ op_type: 'Conv', activation: { method: 'mse' }, weight: { per_channel: false } }],
        overrides: [{ layer: 'net.b', weight: { method: 'mse' } }],
      }),
    )
    const settings = chosen.map(({ weightMethod, perChannelWeight, observer }) => [
      weightMethod,
      perChannelWeight,
      observer.method,
    ])
    expect(settings).toEqual([
      ['kl', false, 'mse'],
      ['mse', false, 'mse'],
      ['kl', true, 'min_max'],
    ])
  })

  it.each([
    ['fp16', 'fp16: fp16_by_recipe'],
    ['float', 'float: float_by_recipe'],
  ])('%s for all leaves what the overrides bring back', (precision, kept) => {
    expect(select({ precision, overrides: [{ layer: 'net.a', precision: 'int8' }] })).toEqual({
      '/net/a/Conv': 'int8',
      '/net/b/Conv': kept,
      '/net/c/MatMul': kept,
    })
  })
})

describe('names', () => {
  it.each([
    ['op_types', { op_types: [{ op_type: 'Convv' }] }, 'Convv', 'Conv'],
    ['skip_op_types', { skip_op_types: ['Convv'] }, 'Convv', 'Conv'],
    ['overrides', { overrides: [{ layer: 'net.aa' }] }, 'net.aa', 'net.a'],
  ])('an unknown one in %s is an error with the nearest', (list, parts, layer, nearest) => {
    expect.assertions(1)
    try {
      select(parts)
    } catch (error) {
      const { code, details } = error as AppError
      expect([
        code,
        details.list,
        details.layer,
        (details.suggestions as string[]).includes(nearest),
      ]).toEqual(['E_LAYER_UNKNOWN', list, layer, true])
    }
  })

  it('both halves of a split layer answer to its name, and folded nodes are remembered', () => {
    const original = model(
      [
        { opType: 'Conv', name: '/net/a/Conv', inputs: ['x', 'net.a.weight'], outputs: ['a'] },
        {
          opType: 'BatchNormalization',
          name: '/net/n/BN',
          inputs: ['a', 's', 's', 's', 's'],
          outputs: ['y'],
        },
      ],
      { 'net.a.weight': [4, 4, 1, 1], s: [4] },
    )
    const repaired = model(
      [
        { opType: 'Conv', name: '/net/a/Conv.split0', inputs: ['x', 'net.a.weight.split0'], outputs: ['h'] },
        { opType: 'Conv', name: '/net/a/Conv.split1', inputs: ['x', 'net.a.weight.split1'], outputs: ['i'] },
        { opType: 'Add', name: '/net/a/Conv.sum', inputs: ['h', 'i'], outputs: ['y'] },
      ],
      { 'net.a.weight.split0': [4, 4, 1, 1], 'net.a.weight.split1': [4, 4, 1, 1] },
    )
    const parts = recipe({
      overrides: [
        { layer: '/net/a/Conv', precision: 'w4a8' },
        { layer: '/net/n/BN', precision: 'fp16' },
      ],
      skip_op_types: ['BatchNormalization'],
    })
    expect(precisions(selectLayers(repaired, parts, original))).toEqual({
      '/net/a/Conv.split0': 'w4a8',
      '/net/a/Conv.split1': 'w4a8',
    })
    const byWeight = recipe({ overrides: [{ layer: 'net.a.weight', precision: 'w4a8' }] })
    expect(selectLayers(repaired, byWeight, original).chosen.map(({ weightBits }) => weightBits)).toEqual([
      4, 4,
    ])
    expect(() => selectLayers(repaired, parts)).toThrow(AppError)
  })
})

describe('what a layer cannot have', () => {
  it('INT4 with groups or an odd number of input channels becomes INT8, with the reason', () => {
    const { chosen } = selectLayers(network(), recipe({ precision: 'w4a8' }))
    expect(chosen.map(({ precision, fallback }) => [precision, fallback])).toEqual([
      ['w4a8', undefined],
      ['w4a8', undefined],
      ['int8', { wanted: 'w4a8', reason: 'int4_odd_channels' }],
    ])
  })

  it('recurrent layers are listed, in floating point', () => {
    const recurrent = model(
      [
        {
          opType: 'LSTM',
          name: 'lstm',
          inputs: ['x', 'w', 'r'],
          outputs: ['y'],
          attributes: { hidden_size: 4 },
        },
      ],
      { w: [1, 16, 4], r: [1, 16, 4] },
      [3, 1, 4],
    )
    expect(precisions(selectLayers(recurrent, recipe({})))).toEqual({ lstm: 'float: recurrent' })
  })

  it('average pooling is a candidate only where integers are asked for by name or type', () => {
    const pool = '/net/pool/AveragePool'
    expect(select({ overrides: [{ layer: pool, activation: { method: 'mse' } }] })).not.toHaveProperty([pool])
    expect(select({ overrides: [{ layer: pool, precision: 'fp16' }] })).not.toHaveProperty([pool])
    expect(select({ overrides: [{ layer: pool, precision: 'int8' }] })).toHaveProperty([pool], 'int8')
    const skipped = select({ op_types: [{ op_type: 'AveragePool', precision: 'int8' }], skip_layers: [pool] })
    expect(skipped).toHaveProperty([pool], 'float: skipped_by_recipe')
  })
})
