// Graph helpers, layer names, structural checks, summary, and shapes that stay partly unknown.
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { modelSummarySchema } from '../../../contract/model.ts'
import {
  allLayerNames,
  cloneModel,
  DataType,
  indexGraph,
  inferShapes,
  intAttribute,
  intsAttribute,
  layerNames,
  makeNode,
  makeTensor,
  matchLayers,
  nearestNames,
  openModel,
  removeUnusedInitializers,
  renameUses,
  serializeModel,
  sortTopologically,
  stringAttribute,
  summarizeModel,
  uniqueNames,
  validateModel,
} from '../../../engine/onnx/index.ts'
import type { Graph, Model } from '../../../engine/onnx/index.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'

const relu = (from: string, to: string) =>
  makeNode({ opType: 'Relu', name: `relu_${to}`, inputs: [from], outputs: [to] })

/** An If whose branches read `name` from outside. */
function capturing(name: string, output: string) {
  const branch = (): Graph => makeGraph({ nodes: [relu(name, 'inner')], outputs: [{ name: 'inner' }] })
  return makeNode({
    opType: 'If',
    name: `if_${output}`,
    inputs: ['condition'],
    outputs: [output],
    attributes: { then_branch: branch(), else_branch: branch() },
  })
}

function chain(...nodes: ReturnType<typeof relu>[]): Model {
  return makeModel(
    makeGraph({
      nodes,
      inputs: [valueInfo('x', DataType.FLOAT, ['N', 4]), valueInfo('condition', DataType.BOOL, [])],
      outputs: [valueInfo(nodes.at(-1)!.outputs[0]!, DataType.FLOAT, ['N', 4])],
    }),
  )
}

describe('graph helpers', () => {
  it('counts subgraphs among the readers of a value', () => {
    const model = chain(relu('x', 'a'), capturing('a', 'y'))
    const { producers, consumers } = indexGraph(model.graph)
    expect(producers.get('a')!.name).toBe('relu_a')
    expect(consumers.get('a')!.map((node) => node.name)).toEqual(['if_y'])
  })

  it('renames uses in nodes, subgraphs and outputs', () => {
    const model = chain(relu('x', 'a'), capturing('a', 'y'))
    model.graph.outputs.push({ name: 'a' })
    renameUses(model.graph, 'a', 'b')
    expect(indexGraph(model.graph).consumers.has('a')).toBe(false)
    expect(
      indexGraph(model.graph)
        .consumers.get('b')!
        .map((node) => node.name),
    ).toEqual(['if_y'])
    expect(model.graph.outputs.map((info) => info.name)).toEqual(['y', 'b'])
  })

  it('sorts by what nodes and their subgraphs read, and names a cycle', () => {
    const model = chain(capturing('b', 'y'), relu('a', 'b'), relu('x', 'a'))
    sortTopologically(model.graph)
    expect(model.graph.nodes.map((node) => node.outputs[0])).toEqual(['a', 'b', 'y'])
    validateModel(model)
    expect(() => sortTopologically(chain(relu('b', 'a'), relu('a', 'b')).graph)).toThrow(
      /depends on its own output/,
    )
  })

  it('sorts chains of any depth', () => {
    const nodes = Array.from({ length: 50_000 }, (_, index) =>
      relu(index === 0 ? 'x' : `v${index - 1}`, `v${index}`),
    )
    const model = chain(...nodes)
    model.graph.nodes.reverse()
    sortTopologically(model.graph)
    expect(model.graph.nodes.map((node) => node.name)).toEqual(nodes.map((node) => node.name))
  })

  it('removes weights that nothing reads, keeping captured ones and outputs', () => {
    const model = chain(capturing('used', 'y'))
    for (const name of ['used', 'unused', 'result'])
      model.graph.initializers.set(name, makeTensor(name, DataType.FLOAT, [], [1]))
    model.graph.outputs.push({ name: 'result' })
    expect(removeUnusedInitializers(model.graph)).toEqual(['unused'])
    expect([...model.graph.initializers.keys()]).toEqual(['used', 'result'])
  })

  it('hands out names that nothing has, inside subgraphs included', () => {
    const next = uniqueNames(chain(capturing('x', 'y')))
    expect([next('inner'), next('inner'), next('new'), next('new')]).toEqual([
      'inner_1',
      'inner_2',
      'new',
      'new_1',
    ])
  })

  it('clones deeply', () => {
    const model = chain(relu('x', 'a'), capturing('a', 'y'))
    const before = serializeModel(model)
    const clone = cloneModel(model)
    renameUses(clone.graph, 'a', 'b')
    clone.graph.outputs[0]!.shape![0]!.symbol = 'M'
    expect(serializeModel(model)).toEqual(before)
  })

  it('reads attributes with their types', () => {
    const node = makeNode({
      opType: 'Op',
      name: 'n',
      inputs: [],
      outputs: [],
      attributes: { i: 3, l: [1, 2], s: 'text', f: { float: 1 } },
    })
    expect(intAttribute(node, 'i')).toBe(3)
    expect(intsAttribute(node, 'l')).toEqual([1, 2])
    expect(stringAttribute(node, 's')).toBe('text')
    expect(intAttribute(node, 'absent', 7)).toBe(7)
    expect(() => intAttribute(node, 'absent')).toThrow(/"n" \(Op\): attribute "absent" is missing/)
    expect(() => intAttribute(node, 'f')).toThrow(/of type float, expected int/)
  })
})

describe('validateModel', () => {
  it.each([
    ['a value that nothing writes', chain(relu('ghost', 'y')), /reads "ghost", which nothing writes/],
    ['a value written twice', chain(relu('x', 'y'), relu('x', 'y')), /"y" is written twice/],
    ['a value read too early', chain(relu('a', 'b'), relu('x', 'a')), /reads "a" before it is written/],
    ['a node without operator', chain({ ...relu('x', 'y'), opType: '' }), /no operator type/],
    ['a missing value in a branch', chain(capturing('ghost', 'y')), /"ghost"/],
  ])('finds %s', (_, model, message) => expect(() => validateModel(model)).toThrow(message))

  it('finds an output that nothing writes', () => {
    const model = chain(relu('x', 'y'))
    model.graph.outputs.push({ name: 'lost' })
    expect(() => validateModel(model)).toThrow(/nothing writes the output "lost"/)
  })
})

describe('layer names of a diffusers U-Net', () => {
  let model: Model
  beforeAll(() => {
    model = openModel(path.resolve('resources/samples/sprite-diffusion/unet.onnx'))
  })
  const operators = (pattern: string): string[] =>
    matchLayers(model, pattern)
      .map((layer) => layer.node.opType)
      .sort()

  it('finds all nodes of a decomposed norm by its module path', () => {
    expect(operators('unet.down_blocks.0.resnets.0.norm1')).toEqual(
      ['Add', 'InstanceNormalization', 'Mul', 'Reshape', 'Reshape', 'Shape', 'Unsqueeze', 'Unsqueeze'].sort(),
    )
  })

  it('finds a layer by weight, module path and node name', () => {
    expect(operators('unet.conv_out.weight')).toEqual(['Conv'])
    expect(operators('unet.conv_out')).toEqual(['Conv'])
    expect(operators('/unet/conv_out/Conv')).toEqual(['Conv'])
  })

  it('follows a norm weight through Unsqueeze to its Mul', () => {
    expect(operators('unet.down_blocks.0.resnets.0.norm1.weight')).toEqual(['Mul', 'Unsqueeze'])
  })

  it('finds all layers inside a module, and nothing of a module with a longer name', () => {
    const inside = matchLayers(model, 'unet.mid_block')
    expect(inside.length).toBeGreaterThan(20)
    expect(inside.every((layer) => layer.name.startsWith('/unet/mid_block/'))).toBe(true)
    expect(matchLayers(model, 'unet.conv')).toEqual([])
  })

  it('understands wildcards anywhere', () => {
    expect(operators('*resnets.1.conv2.weight').every((opType) => opType === 'Conv')).toBe(true)
    expect(operators('unet.*.time_emb_proj').every((opType) => opType === 'Gemm')).toBe(true)
    expect(matchLayers(model, '*').length).toBe(layerNames(model).length)
    expect(matchLayers(model, '*no_such_layer*')).toEqual([])
  })

  it('gives the module path with the prefix of the weights', () => {
    const conv = layerNames(model).find((layer) => layer.name === '/unet/conv_in/Conv')!
    expect(conv).toMatchObject({ modulePath: 'unet.conv_in', weight: 'unet.conv_in.weight' })
  })

  it('suggests the nearest names', () => {
    const names = allLayerNames(layerNames(model))
    expect(nearestNames(names, 'unet.conv_oot.weight', 2)).toContain('unet.conv_out.weight')
  })

  it('summarizes the model', () => {
    const summary = modelSummarySchema.parse(summarizeModel(model))
    const counts = Object.fromEntries(summary.operators.map((entry) => [entry.opType, entry.count]))
    expect(counts).toMatchObject({ Conv: 78, Gemm: 26, InstanceNormalization: 51 })
    expect(summary.opset).toBe(17)
    expect(summary.inputs[0]).toEqual({
      name: 'sample_input_tensor',
      dataType: 'float32',
      dims: ['N', 4, 64, 64],
    })
    expect(summary.layers.reduce((sum, layer) => sum + layer.bytes, 0)).toBeGreaterThanOrEqual(
      summary.weightBytes,
    )
    expect(summary.bytes).toBeGreaterThan(summary.weightBytes)
  })
})

describe('inferShapes with unknown sizes', () => {
  it('keeps a symbol unknown, binds it from one input for all others, and refuses what does not fit', () => {
    const model = makeModel(
      makeGraph({
        inputs: [valueInfo('a', DataType.FLOAT, ['N', 4]), valueInfo('b', DataType.FLOAT, ['N', 1])],
        nodes: [makeNode({ opType: 'Add', name: 'add', inputs: ['a', 'b'], outputs: ['y'] })],
        outputs: [{ name: 'y' }],
      }),
    )
    expect(inferShapes(model).get('y')).toEqual({ dataType: DataType.FLOAT, dims: [null, 4] })
    expect(inferShapes(model, { a: [3, 4] }).get('b')!.dims).toEqual([3, 1])
    expect(inferShapes(model, { a: [3, 4] }).get('y')!.dims).toEqual([3, 4])
    expect(() => inferShapes(model, { a: [3, 5] })).toThrow(/dimension 1 is 5, expected 4/)
    expect(() => inferShapes(model, { a: [3, 4], b: [2, 1] })).toThrow(/dimension 0 is 2, expected 3/)
    expect(() => inferShapes(model, { c: [1] })).toThrow(/no such input/)
  })

  it('names the layer whose shapes do not fit', () => {
    const model = makeModel(
      makeGraph({
        inputs: [valueInfo('a', DataType.FLOAT, [2, 3]), valueInfo('b', DataType.FLOAT, [4, 5])],
        nodes: [makeNode({ opType: 'MatMul', name: 'product', inputs: ['a', 'b'], outputs: ['y'] })],
      }),
    )
    expect(() => inferShapes(model)).toThrow(/"product" \(MatMul\).*3 and 4 differ/)
  })

  it('types the Ascend deploy operators', () => {
    const model = makeModel(
      makeGraph({
        inputs: [valueInfo('x', DataType.FLOAT, [1, 3, 8, 8])],
        initializers: new Map([
          ['w', makeTensor('w', DataType.INT8, [6, 3, 3, 3], new Int8Array(162))],
          ['s', makeTensor('s', DataType.UINT64, [6], new BigUint64Array(6))],
        ]),
        nodes: [
          makeNode({
            opType: 'AscendQuant',
            name: 'q',
            inputs: ['x'],
            outputs: ['xq'],
            attributes: { scale: { float: 2 }, offset: { float: 0 } },
          }),
          makeNode({ opType: 'Conv', name: 'c', inputs: ['xq', 'w'], outputs: ['acc'] }),
          makeNode({
            opType: 'AscendDequant',
            name: 'd',
            inputs: ['acc', 's'],
            outputs: ['y'],
            attributes: { dtype: 1 },
          }),
        ],
      }),
    )
    const shapes = inferShapes(model)
    expect(shapes.get('xq')).toEqual({ dataType: DataType.INT8, dims: [1, 3, 8, 8] })
    expect(shapes.get('acc')).toEqual({ dataType: DataType.INT32, dims: [1, 6, 6, 6] })
    expect(shapes.get('y')).toEqual({ dataType: DataType.FLOAT16, dims: [1, 6, 6, 6] })
  })
})
