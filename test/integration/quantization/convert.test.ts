// Converting between QuantizeLinear / DequantizeLinear and Ascend's form: our own models back and forth, models as ONNX
// Runtime and PyTorch write them, deploy models as AMCT and msmodelslim write them, and everything that is refused.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import {
  type AttributeValue,
  DataType,
  makeAttribute,
  makeScalar,
  makeNode,
  makeTensor,
  type Model,
  type NodeSpec,
  openModel,
  saveModel,
  serializeModel,
  setAttribute,
  stringAttribute,
  type Tensor,
  tensorBytes,
  tensorToNumbers,
  validateModel,
} from '../../../engine/onnx/index.ts'
import {
  convertAscendToQdq,
  convertModelFile,
  convertQdqToAscend,
  quantizeModel,
} from '../../../engine/quantization/index.ts'
import { generate } from '../../unit/quantization/vectors.ts'
import { runDeployModel, type Value } from './deploy-interpreter.ts'
import { buildModel, type ModelSpec, weights, writeFixture } from './models.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'convert-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function runOrt(model: Model, inputs: Record<string, Value>): Promise<number[]> {
  const session = await ort.InferenceSession.create(serializeModel(model), { logSeverityLevel: 3 })
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [
      name,
      new ort.Tensor('float32', Float32Array.from(value.data), value.dims),
    ]),
  )
  const results = await session.run(feeds)
  return Array.from(results[session.outputNames[0] ?? '']?.data as Float32Array)
}

function sample(dims: number[], amplitude = 1, skew = 0.2): Value {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return { dims, data: Array.from(generate(count, amplitude, skew)) }
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length)
  const largest = Math.max(...expected.map(Math.abs), 1e-3)
  const worst = Math.max(...actual.map((value, index) => Math.abs(value - (expected[index] ?? 0))))
  expect(worst / largest).toBeLessThan(tolerance)
}

function failure(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const DIMS = [1, 4, 6, 6]

/** One layer of each kind, in a row. */
function network(): ModelSpec {
  return {
    inputs: { x: DIMS },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Conv',
        name: 'conv',
        inputs: ['x', 'conv.weight', 'conv.bias'],
        outputs: ['c'],
        attributes: { pads: [1, 1, 1, 1] },
      },
      { opType: 'Relu', name: 'relu', inputs: ['c'], outputs: ['r'] },
      {
        opType: 'Conv',
        name: 'depthwise',
        inputs: ['r', 'depthwise.weight'],
        outputs: ['d'],
        attributes: { group: 4 },
      },
      {
        opType: 'ConvTranspose',
        name: 'up',
        inputs: ['d', 'up.weight', 'up.bias'],
        outputs: ['u'],
        attributes: { group: 2 },
      },
      { opType: 'MatMul', name: 'proj', inputs: ['u', 'proj.weight'], outputs: ['p'] },
      { opType: 'Add', name: 'proj.add', inputs: ['proj.bias', 'p'], outputs: ['y'] },
    ],
    initializers: [
      weights('conv.weight', [4, 4, 3, 3]),
      weights('conv.bias', [4]),
      weights('depthwise.weight', [4, 1, 1, 1]),
      weights('up.weight', [4, 3, 2, 2], 0.2, 0.05),
      weights('up.bias', [6]),
      weights('proj.weight', [7, 5]),
      weights('proj.bias', [5]),
    ],
  }
}

/** A Gemm needs a matrix. */
function dense(): ModelSpec {
  return {
    inputs: { x: [3, 8] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Gemm',
        name: 'first',
        inputs: ['x', 'first.weight', 'first.bias'],
        outputs: ['a'],
        attributes: { transB: 1 },
      },
      { opType: 'Relu', name: 'relu', inputs: ['a'], outputs: ['b'] },
      { opType: 'Gemm', name: 'second', inputs: ['b', 'second.weight'], outputs: ['y'] },
    ],
    initializers: [
      weights('first.weight', [6, 8]),
      weights('first.bias', [6]),
      weights('second.weight', [6, 4]),
    ],
  }
}

async function quantized(
  spec: ModelSpec,
  dims: number[],
  recipe: object = {},
): Promise<{ deploy: Model; twin: Model }> {
  const place = mkdtempSync(path.join(folder, 'run-'))
  const fixture = writeFixture(place, buildModel(spec), dims)
  const result = await quantizeModel({
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: fixture.dataFolder },
    outputPrefix: path.join(place, 'out'),
  })
  return { deploy: openModel(result.deployPath), twin: openModel(result.fakeQuantPath) }
}

/** Integer weights, biases and dequantization parameters, by the layer that reads them. */
function integers(model: Model): Map<string, number[] | string> {
  const found = new Map<string, number[] | string>()
  for (const node of model.graph.nodes) {
    node.inputs.forEach((input, position) => {
      const tensor = model.graph.initializers.get(input)
      if (!tensor) return
      const bits = tensor.dataType === DataType.UINT64
      found.set(
        `${node.name}:${position}`,
        bits ? Buffer.from(tensorBytes(tensor)).toString('hex') : tensorToNumbers(tensor),
      )
    })
  }
  return found
}

describe.each([
  ['convolutions and a product', network, DIMS, {}],
  ['symmetric activations', network, DIMS, { activation: { method: 'max_abs' } }],
  ['weights with one scale', network, DIMS, { weight: { per_channel: false } }],
  ['Gemm', dense, [3, 8], {}],
])('our own models: %s', (_title, spec, dims, recipe) => {
  it('twin -> Ascend is our deploy model, bit for bit', async () => {
    const { deploy, twin } = await quantized(spec(), dims, recipe)
    const { model, notes } = convertQdqToAscend(twin)
    expect(notes).toEqual([])
    validateModel(model)
    const x = sample(dims)
    const [expected, actual] = [runDeployModel(deploy, { x }), runDeployModel(model, { x })]
    expect(actual.get('y')).toEqual(expected.get('y'))
    expect(integers(model)).toEqual(integers(deploy))
  })

  it('deploy -> QDQ runs in ONNX Runtime and computes what our twin computes', async () => {
    const { deploy, twin } = await quantized(spec(), dims, recipe)
    const { model, notes } = convertAscendToQdq(deploy)
    expect(notes).toEqual([])
    const x = sample(dims, 1.3)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 1e-5)
  })

  it('there and back again changes nothing', async () => {
    const { deploy } = await quantized(spec(), dims, recipe)
    const back = convertQdqToAscend(convertAscendToQdq(deploy).model)
    const x = sample(dims)
    const expected = runDeployModel(deploy, { x }).get('y')?.data ?? []
    expectClose(runDeployModel(back.model, { x }).get('y')?.data ?? [], expected, 1e-5)
  })
})

describe('our INT4 weights', () => {
  it('are unpacked for ONNX Runtime', async () => {
    const { deploy, twin } = await quantized(network(), DIMS, { precision: 'w4a8' })
    expect(deploy.graph.initializers.get('conv.weight')?.dims).toEqual([4, 2, 3, 3])
    const { model } = convertAscendToQdq(deploy)
    const x = sample(DIMS)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 1e-5)
  })
})

describe('our weight-only products', () => {
  it('become a product in FP16', async () => {
    const { deploy, twin } = await quantized(network(), DIMS, {
      overrides: [{ layer: 'proj', precision: 'w8a16' }],
    })
    const { model } = convertAscendToQdq(deploy)
    const x = sample(DIMS)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 2e-3)
  })
})

describe('our quantized pooling', () => {
  const pooled = (): ModelSpec => ({
    inputs: { x: DIMS },
    outputs: ['y'],
    nodes: [
      {
        opType: 'AveragePool',
        name: 'pool',
        inputs: ['x'],
        outputs: ['p'],
        attributes: { kernel_shape: [2, 2] },
      },
      { opType: 'Conv', name: 'conv', inputs: ['p', 'conv.weight'], outputs: ['y'] },
    ],
    initializers: [weights('conv.weight', [4, 4, 1, 1])],
  })

  it('is converted both ways', async () => {
    const recipe = { op_types: [{ op_type: 'AveragePool', precision: 'int8' }] }
    const { deploy, twin } = await quantized(pooled(), DIMS, recipe)
    const types = (model: Model): string[] => model.graph.nodes.map((node) => node.opType)
    expect(types(convertQdqToAscend(twin).model)).toEqual(types(deploy))
    const x = sample(DIMS)
    expectClose(await runOrt(convertAscendToQdq(deploy).model, { x }), await runOrt(twin, { x }), 1e-5)
  })
})

// --- Models of other writers -----------------------------------------------------------------------------------------

type Pair = { scale: number; zero: number; type?: DataType }

/** Builds graphs the way onnxruntime.quantization names and orders things. */
class QdqBuilder {
  readonly nodes: NodeSpec[] = []
  readonly initializers: Tensor[] = []

  constant(tensor: Tensor): string {
    this.initializers.push(tensor)
    return tensor.name
  }

  /** x -> x_QuantizeLinear -> x_DequantizeLinear */
  pair(value: string, { scale, zero, type = DataType.UINT8 }: Pair): string {
    const factors = [`${value}_scale`, `${value}_zero_point`]
    this.constant(makeScalar(factors[0] ?? '', DataType.FLOAT, scale))
    this.constant(makeScalar(factors[1] ?? '', type, zero))
    const [quantized, back] = [`${value}_QuantizeLinear_Output`, `${value}_DequantizeLinear_Output`]
    this.nodes.push(
      {
        opType: 'QuantizeLinear',
        name: `${value}_QuantizeLinear`,
        inputs: [value, ...factors],
        outputs: [quantized],
      },
      {
        opType: 'DequantizeLinear',
        name: `${value}_DequantizeLinear`,
        inputs: [quantized, ...factors],
        outputs: [back],
      },
    )
    return back
  }

  /** Integers as initializer behind a DequantizeLinear. */
  weight(name: string, integers: Tensor, scales: number[], zeros: Tensor, axis?: number): string {
    this.constant({ ...integers, name: `${name}_quantized` })
    this.constant(
      makeTensor(`${name}_scale`, DataType.FLOAT, scales.length === 1 ? [] : [scales.length], scales),
    )
    this.constant({ ...zeros, name: `${name}_zero_point` })
    this.nodes.push({
      opType: 'DequantizeLinear',
      name: `${name}_DequantizeLinear`,
      inputs: [`${name}_quantized`, `${name}_scale`, `${name}_zero_point`],
      outputs: [`${name}_DequantizeLinear_Output`],
      ...(axis !== undefined && { attributes: { axis } }),
    })
    return `${name}_DequantizeLinear_Output`
  }

  add(
    opType: string,
    name: string,
    inputs: string[],
    output: string,
    attributes: Record<string, AttributeValue> = {},
  ): string {
    this.nodes.push({ opType, name, inputs, outputs: [output], attributes })
    return output
  }

  model(inputs: Record<string, number[]>, outputs: string[], opset = 13): Model {
    return buildModel({ inputs, outputs, nodes: this.nodes, initializers: this.initializers, opset })
  }
}

function int8(dims: number[], spread = 60): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1)
  const values = Int8Array.from(generate(count, spread / 3), (x) =>
    Math.max(-127, Math.min(127, Math.round(x))),
  )
  return makeTensor('', DataType.INT8, dims, values)
}

const zeros = (count: number, type: DataType = DataType.INT8): Tensor =>
  makeTensor('', type, count === 1 ? [] : [count], Array<number>(count).fill(0))

const SCALES = [0.01, 0.02, 0.015, 0.03]

/** quantize_static with per-channel weights: uint8 activations, INT32 bias, a pair behind every layer. */
function ortConv(change: (build: QdqBuilder) => void = () => undefined): { model: Model; build: QdqBuilder } {
  const build = new QdqBuilder()
  const x = build.pair('x', { scale: 0.03, zero: 117 })
  const w = build.weight('w', int8([4, 4, 3, 3]), SCALES, zeros(4), 0)
  const b = build.weight(
    'b',
    makeTensor('', DataType.INT32, [4], [100, -2000, 35, 0]),
    SCALES.map((scale) => Math.fround(Math.fround(0.03) * Math.fround(scale))),
    zeros(4, DataType.INT32),
    0,
  )
  build.add('Conv', 'conv', [x, w, b], 'y', { pads: [1, 1, 1, 1], kernel_shape: [3, 3] })
  change(build)
  return { model: build.model({ x: DIMS }, ['y']), build }
}

function typesOf(model: Model): string[] {
  return model.graph.nodes.map((node) => node.opType)
}

function codes(notes: readonly { code: string }[]): string[] {
  return notes.map((note) => note.code)
}

describe("ONNX Runtime's models", () => {
  it('keep integers, scales and results', async () => {
    const { model } = ortConv()
    const converted = convertQdqToAscend(model)
    expect(converted.notes).toEqual([])
    expect(typesOf(converted.model)).toEqual(['AscendQuant', 'Conv', 'AscendDequant'])
    const conv = converted.model.graph.nodes[1]
    expect(converted.model.graph.initializers.get(conv?.inputs[1] ?? '')).toMatchObject({
      name: 'w_quantized',
      dataType: DataType.INT8,
    })
    expect(tensorToNumbers(converted.model.graph.initializers.get(conv?.inputs[2] ?? '') as Tensor)).toEqual([
      100, -2000, 35, 0,
    ])
    const x = sample(DIMS, 1.2)
    expectClose(runDeployModel(converted.model, { x }).get('y')?.data ?? [], await runOrt(model, { x }), 1e-5)
  })

  it('uint8 with any zero point is the int8 grid, 128 lower', () => {
    const { graph } = convertQdqToAscend(ortConv().model).model
    const quant = graph.nodes[0]
    expect(quant?.attributes).toMatchObject([
      { name: 'scale', value: Math.fround(1 / Math.fround(0.03)) },
      { name: 'offset', value: -11 },
      { name: 'dst_type' },
    ])
    expect(stringAttribute(quant!, 'dst_type')).toBe('INT8')
  })

  it('keep the name of an output behind a pair, and say that the pair is gone', async () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([4, 4, 1, 1]), [0.02], zeros(1))
    build.add('Conv', 'conv', [build.pair('x', { scale: 0.03, zero: 0, type: DataType.INT8 }), w], 'c')
    const out = build.pair('c', { scale: 0.05, zero: 128 })
    const model = build.model({ x: DIMS }, [out])
    const converted = convertQdqToAscend(model)
    expect(codes(converted.notes)).toEqual(['output_pair_dropped'])
    validateModel(converted.model)
    expect(converted.model.graph.outputs.map((output) => output.name)).toEqual([out])
    const x = sample(DIMS)
    // The dropped pair rounded to 0.05.
    const [actual, expected] = [
      runDeployModel(converted.model, { x }).get(out)?.data ?? [],
      await runOrt(model, { x }),
    ]
    expect(Math.max(...actual.map((value, index) => Math.abs(value - (expected[index] ?? 0))))).toBeLessThan(
      0.0251,
    )
  })

  it('quantized outputs without DequantizeLinear become AscendQuant', () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([4, 4, 1, 1]), [0.02], zeros(1))
    build.add('Conv', 'conv', [build.pair('x', { scale: 0.03, zero: 128 }), w], 'c')
    build.constant(makeScalar('s', DataType.FLOAT, 0.05))
    build.constant(makeScalar('z', DataType.UINT8, 130))
    build.add('QuantizeLinear', 'last', ['c', 's', 'z'], 'y')
    const { model, notes } = convertQdqToAscend(build.model({ x: DIMS }, ['y']))
    expect(codes(notes)).toEqual(['output_quantized'])
    expect(typesOf(model)).toEqual(['AscendQuant', 'Conv', 'AscendDequant', 'AscendQuant'])
    expect(model.graph.outputs[0]?.elementType).toBe(DataType.INT8)
  })

  it('pairs before an Add become AscendQuant and AscendAntiQuant, one AscendQuant for all readers', () => {
    const { model } = ortConv((build) => {
      build.nodes.at(-1)!.outputs = ['c']
      build.add('Add', 'sum', [build.pair('c', { scale: 0.1, zero: 128 }), 'x_DequantizeLinear_Output'], 'y')
    })
    const converted = convertQdqToAscend(model)
    expect(converted.notes).toEqual([])
    expect(typesOf(converted.model).sort()).toEqual(
      [
        'Add',
        'AscendAntiQuant',
        'AscendAntiQuant',
        'AscendDequant',
        'AscendQuant',
        'AscendQuant',
        'Conv',
      ].sort(),
    )
    validateModel(converted.model)
  })

  it('and come back as pairs that compute the same', async () => {
    const { model } = ortConv((build) => {
      build.nodes.at(-1)!.outputs = ['c']
      build.add('Add', 'sum', [build.pair('c', { scale: 0.1, zero: 128 }), 'x_DequantizeLinear_Output'], 'y')
    })
    const back = convertAscendToQdq(convertQdqToAscend(model).model)
    const x = sample(DIMS)
    expectClose(await runOrt(back.model, { x }), await runOrt(model, { x }), 1e-5)
  })

  it('pairs before anything else are dropped by name', async () => {
    const { model } = ortConv((build) => {
      build.nodes.at(-1)!.outputs = ['c']
      build.add(
        'Concat',
        'join',
        [build.pair('c', { scale: 0.1, zero: 128 }), 'x_DequantizeLinear_Output'],
        'y',
        { axis: 1 },
      )
    })
    const { notes } = convertQdqToAscend(model)
    expect(notes.map(({ code, details }) => [code, details['tensor'], details['readers']])).toEqual([
      ['pair_dropped', 'x', 'join (Concat)'],
      ['pair_dropped', 'c', 'join (Concat)'],
    ])
  })

  it('a bias between Q/DQ and Add is the bias of its MatMul', async () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([6, 5]), [0.02], zeros(1))
    build.add('MatMul', 'proj', [build.pair('x', { scale: 0.03, zero: 120 }), w], 'p')
    build.constant(weights('bias', [5]))
    build.add('Add', 'proj.add', ['bias', build.pair('p', { scale: 0.01, zero: 128 })], 'y')
    const converted = convertQdqToAscend(build.model({ x: [2, 6] }, ['y']))
    expect(typesOf(converted.model)).toEqual(['AscendQuant', 'MatMul', 'Add', 'AscendDequant'])
    expect(converted.model.graph.nodes[2]?.inputs[0]).toBe(converted.model.graph.nodes[1]?.outputs[0])
    expect(codes(converted.notes)).toEqual(['pair_dropped'])
  })

  it('per-channel products get one scale, with the change told', async () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([6, 4]), [0.02, 0.021, 0.019, 0.02], zeros(4), 1)
    build.add('MatMul', 'proj', [build.pair('x', { scale: 0.03, zero: 120 }), w], 'y')
    const model = build.model({ x: [2, 6] }, ['y'])
    const converted = convertQdqToAscend(model)
    expect(converted.notes).toMatchObject([{ code: 'weight_requantized', details: { count: 4 } }])
    const x = sample([2, 6])
    expectClose(runDeployModel(converted.model, { x }).get('y')?.data ?? [], await runOrt(model, { x }), 0.02)
  })

  it('float biases and biases on other grids are rounded to the accumulator', async () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([4, 4, 1, 1]), SCALES, zeros(4), 0)
    const b = build.weight(
      'b',
      makeTensor('', DataType.INT32, [4], [10, -20, 35, 0]),
      [0.01],
      zeros(1, DataType.INT32),
    )
    build.add('Conv', 'conv', [build.pair('x', { scale: 0.03, zero: 117 }), w, b], 'y')
    const model = build.model({ x: DIMS }, ['y'])
    const { model: deploy, notes } = convertQdqToAscend(model)
    expect(codes(notes)).toEqual(['bias_requantized'])
    const x = sample(DIMS)
    expectClose(runDeployModel(deploy, { x }).get('y')?.data ?? [], await runOrt(model, { x }), 1e-3)
  })

  it('uint8 weights with zero point 128 are int8 weights', async () => {
    const build = new QdqBuilder()
    const unsigned = makeTensor(
      '',
      DataType.UINT8,
      [4, 4, 1, 1],
      tensorToNumbers(int8([4, 4, 1, 1])).map((q) => q + 128),
    )
    const w = build.weight('w', unsigned, [0.02], makeTensor('', DataType.UINT8, [], [128]))
    build.add('Conv', 'conv', [build.pair('x', { scale: 0.03, zero: 117 }), w], 'y')
    const model = build.model({ x: DIMS }, ['y'])
    const x = sample(DIMS)
    const { model: deploy } = convertQdqToAscend(model)
    expectClose(runDeployModel(deploy, { x }).get('y')?.data ?? [], await runOrt(model, { x }), 1e-5)
  })

  it('quantized embeddings become floating point', async () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([6, 4]), [0.02], zeros(1))
    build.constant(makeTensor('row', DataType.INT64, [1], [2n]))
    build.add('Gather', 'embed', [w, 'row'], 'e')
    const proj = build.weight('p', int8([6, 4]), [0.01], zeros(1))
    build.add('MatMul', 'proj', [build.pair('x', { scale: 0.03, zero: 120 }), proj], 'm')
    build.add('Mul', 'scale', ['m', 'e'], 'y')
    const model = build.model({ x: [2, 6] }, ['y'])
    const { model: deploy, notes } = convertQdqToAscend(model)
    expect(notes).toMatchObject([{ code: 'constant_unpacked', details: { readers: 'embed (Gather)' } }])
    expect(deploy.graph.nodes.some((node) => node.opType === 'DequantizeLinear')).toBe(false)
    validateModel(deploy)
  })

  it('attention products and layers with one quantized side stay floating point', () => {
    const build = new QdqBuilder()
    const x = build.pair('x', { scale: 0.03, zero: 120 })
    build.add('Transpose', 'turn', ['x'], 't')
    build.add('MatMul', 'scores', [x, build.pair('t', { scale: 0.03, zero: 120 })], 's')
    const w = build.weight('w', int8([2, 4]), [0.02], zeros(1))
    build.add('MatMul', 'weights_only', ['s', w], 'y')
    const { model, notes } = convertQdqToAscend(build.model({ x: [2, 6] }, ['y']))
    expect(
      notes.filter((note) => note.code === 'layer_left_float').map((note) => note.details['reason']),
    ).toEqual(['both operands are computed', 'its input is not quantized'])
    expect(typesOf(model)).toEqual(['Transpose', 'MatMul', 'MatMul'])
  })

  it('integers may be moved around between Q and DQ', async () => {
    const build = new QdqBuilder()
    const w = build.weight('w', int8([4, 4, 1, 1]), [0.02], zeros(1))
    const factors = ['x_scale', 'x_zero_point']
    build.pair('x', { scale: 0.03, zero: 117 })
    build.nodes.pop()
    build.add('Transpose', 'turn', ['x_QuantizeLinear_Output'], 'turned', { perm: [0, 1, 3, 2] })
    build.add('DequantizeLinear', 'dq', ['turned', ...factors], 'back')
    build.add('Conv', 'conv', ['back', w], 'y')
    const model = build.model({ x: DIMS }, ['y'])
    const { model: deploy, notes } = convertQdqToAscend(model)
    expect(notes).toEqual([])
    expect(typesOf(deploy)).toEqual(['Transpose', 'AscendQuant', 'Conv', 'AscendDequant'])
  })
})

describe("PyTorch's QAT exports", () => {
  /** Float weights behind Q and DQ, int8 activations, Linear as Gemm with transB or as Transpose and MatMul. */
  function qat(linear: 'Gemm' | 'MatMul'): Model {
    const build = new QdqBuilder()
    const type = DataType.INT8
    build.constant(weights('fc.weight', [5, 6]))
    build.constant(weights('fc.bias', [5]))
    const quantized = build.pair('fc.weight', { scale: 0.01, zero: 0, type })
    const x = build.pair('x', { scale: 0.02, zero: 7, type })
    if (linear === 'Gemm') build.add('Gemm', 'fc', [x, quantized, 'fc.bias'], 'y', { transB: 1 })
    else {
      build.add('Transpose', 'fc.turn', [quantized], 'turned', { perm: [1, 0] })
      build.add('MatMul', 'fc', [x, 'turned'], 'm')
      build.add('Add', 'fc.add', ['m', 'fc.bias'], 'y')
    }
    return build.model({ x: [2, 6] }, ['y'])
  }

  it.each(['Gemm', 'MatMul'] as const)(
    '%s: weights are quantized as QuantizeLinear does it',
    async (linear) => {
      const model = qat(linear)
      const { model: deploy, notes } = convertQdqToAscend(model)
      expect(notes).toEqual([])
      const types = ['AscendQuant', linear, ...(linear === 'MatMul' ? ['Add'] : []), 'AscendDequant']
      expect(typesOf(deploy)).toEqual(types)
      const x = sample([2, 6])
      expectClose(runDeployModel(deploy, { x }).get('y')?.data ?? [], await runOrt(model, { x }), 1e-3)
    },
  )

  it('convolutions with weights per channel', async () => {
    const build = new QdqBuilder()
    build.constant(weights('conv.weight', [4, 4, 1, 1]))
    build.constant(makeTensor('ws', DataType.FLOAT, [4], SCALES))
    build.constant({ ...zeros(4), name: 'wz' })
    build.add('QuantizeLinear', 'wq', ['conv.weight', 'ws', 'wz'], 'w8', { axis: 0 })
    build.add('DequantizeLinear', 'wdq', ['w8', 'ws', 'wz'], 'w', { axis: 0 })
    build.add('Conv', 'conv', [build.pair('x', { scale: 0.02, zero: 7, type: DataType.INT8 }), 'w'], 'y')
    const model = build.model({ x: DIMS }, ['y'])
    const x = sample(DIMS)
    const { model: deploy } = convertQdqToAscend(model)
    expectClose(runDeployModel(deploy, { x }).get('y')?.data ?? [], await runOrt(model, { x }), 1e-5)
  })
})

describe('refused', () => {
  const refused = (change: (build: QdqBuilder) => void): AppError =>
    failure(() => convertQdqToAscend(ortConv(change).model))
  const replace = (build: QdqBuilder, tensor: Tensor): void => {
    const place = build.initializers.findIndex(({ name }) => name === tensor.name)
    build.initializers[place] = tensor
  }

  it.each<[string, (build: QdqBuilder) => void, string]>([
    [
      'a weight zero point',
      (build) => replace(build, makeTensor('w_zero_point', DataType.INT8, [4], [0, 3, 0, 0])),
      'zero point 3',
    ],
    [
      'different factors',
      (build) => {
        build.constant(makeScalar('other', DataType.FLOAT, 0.04))
        build.nodes[1]!.inputs[1] = 'other'
      },
      'differ',
    ],
    [
      '16-bit activations',
      (build) => replace(build, makeScalar('x_zero_point', DataType.UINT16, 117)),
      'uint16',
    ],
    [
      'activations per channel',
      (build) => replace(build, makeTensor('x_scale', DataType.FLOAT, [2], [0.1, 0.2])),
      '2 scales',
    ],
    [
      'scales on the wrong axis',
      (build) => {
        build.nodes[2]!.attributes = { axis: 1 }
      },
      'dimension 1',
    ],
    [
      'int8 inputs of the model',
      (build) => {
        build.nodes.shift()
        build.nodes[0]!.inputs[0] = 'x'
      },
      'QuantizeLinear',
    ],
  ])('%s', (_title, change, text) => {
    const error = refused(change)
    expect(error.code).toBe('E_CONVERT_LAYER')
    expect(error.message).toContain(text)
  })

  it('models in other forms', async () => {
    const plain = buildModel(dense())
    expect(failure(() => convertQdqToAscend(plain)).code).toBe('E_CONVERT_MODEL')
    expect(failure(() => convertAscendToQdq(plain)).code).toBe('E_CONVERT_MODEL')
    const operators = ortConv((build) => build.add('QLinearConv', 'q', ['x'], 'z')).model
    expect(failure(() => convertQdqToAscend(operators)).hint).toContain('QDQ')
    const { deploy } = await quantized(dense(), [3, 8])
    expect(failure(() => convertQdqToAscend(deploy)).message).toContain("Ascend's form already")
  })

  it('graphs that go round in circles, in either direction', async () => {
    const { deploy } = await quantized(network(), DIMS)
    for (const [model, convert] of [
      [ortConv().model, convertQdqToAscend],
      [deploy, convertAscendToQdq],
    ] as const) {
      const [first] = model.graph.nodes
      first!.inputs[0] = 'turn'
      model.graph.nodes.push(
        makeNode({ opType: 'Identity', name: 'round', inputs: [first!.outputs[0] ?? ''], outputs: ['turn'] }),
      )
      expect(failure(() => convert(model)).code).toBe('E_ONNX_GRAPH')
    }
  })

  it('an overflowing bias', () => {
    const error = refused((build) => {
      replace(build, makeTensor('b_scale', DataType.FLOAT, [4], [1e6, 1e6, 1e6, 1e6]))
    })
    expect(error.code).toBe('E_BIAS_OVERFLOW')
  })
})

describe('deploy models of other writers', () => {
  async function variant(
    change: (model: Model) => void,
  ): Promise<{ model: Model; twin: Model; codes: string[] }> {
    const { deploy, twin } = await quantized(network(), DIMS)
    change(deploy)
    const { model, notes } = convertAscendToQdq(deploy)
    return { model, twin, codes: codes(notes) }
  }

  it('msmodelslim: quant_bit instead of dst_type, AscendDequant without attributes', async () => {
    const { model, twin } = await variant((deploy) => {
      for (const node of deploy.graph.nodes) {
        if (node.opType === 'AscendDequant') node.attributes = []
        if (node.opType !== 'AscendQuant') continue
        node.attributes = node.attributes.filter((attribute) => attribute.name !== 'dst_type')
        setAttribute(node, makeAttribute('quant_bit', 8))
      }
    })
    const x = sample(DIMS)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 1e-5)
  })

  it('older AMCT: AscendWeightQuant', async () => {
    const { model, twin } = await variant((deploy) => {
      const { graph } = deploy
      const conv = graph.nodes.find((node) => node.name === 'conv')!
      graph.initializers.set('woffset', makeTensor('woffset', DataType.INT8, [1], [0]))
      const added = buildModel({
        inputs: {},
        outputs: [],
        initializers: [],
        nodes: [
          { opType: 'AscendWeightQuant', name: 'wq', inputs: ['conv.weight', 'woffset'], outputs: ['w8'] },
        ],
      }).graph.nodes
      graph.nodes.splice(graph.nodes.indexOf(conv), 0, ...added)
      conv.inputs[1] = 'w8'
    })
    const x = sample(DIMS)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 1e-5)
  })

  it('a Gemm with transB, whose weight has half as many outputs as inputs', async () => {
    const spec = dense()
    spec.initializers = [
      weights('first.weight', [4, 8]),
      weights('first.bias', [4]),
      weights('second.weight', [4, 4]),
    ]
    const { deploy, twin } = await quantized(spec, [3, 8])
    const gemm = deploy.graph.nodes.find((node) => node.name === 'first')!
    const name = gemm.inputs[1]!
    const stored = tensorToNumbers(deploy.graph.initializers.get(name)!)
    const turned = Array.from({ length: 32 }, (_, flat) => stored[(flat % 8) * 4 + Math.floor(flat / 8)]!)
    deploy.graph.initializers.set(name, makeTensor(name, DataType.INT8, [4, 8], turned))
    setAttribute(gemm, makeAttribute('transB', 1))
    const x = sample([3, 8])
    const { model } = convertAscendToQdq(deploy)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 1e-5)
  })

  it('relu_flag becomes a Relu', async () => {
    const {
      model,
      twin,
      codes: found,
    } = await variant((deploy) => {
      const dequant = deploy.graph.nodes.find((node) => node.name === 'conv.dequant')!
      setAttribute(dequant, makeAttribute('relu_flag', 1))
      dequant.outputs = ['r']
      deploy.graph.nodes = deploy.graph.nodes.filter((node) => node.name !== 'relu')
    })
    expect(found).toEqual(['dequant_relu'])
    const x = sample(DIMS)
    expectClose(await runOrt(model, { x }), await runOrt(twin, { x }), 1e-5)
  })

  it.each<[string, (model: Model) => void, string]>([
    [
      'INT16 activations',
      (model) =>
        setAttribute(
          model.graph.nodes.find((n) => n.opType === 'AscendQuant')!,
          makeAttribute('dst_type', 'INT16'),
        ),
      'INT16',
    ],
    [
      'a float weight',
      (model) => {
        model.graph.initializers.set('conv.weight', weights('conv.weight', [4, 4, 3, 3]))
      },
      'float32',
    ],
    [
      'a scale of 0',
      (model) => {
        model.graph.initializers.set(
          'conv.dequant.param',
          makeTensor('conv.dequant.param', DataType.UINT64, [1], [0n]),
        )
      },
      'scale 0 is 0',
    ],
  ])('refuses %s', async (_title, change, text) => {
    const { deploy } = await quantized(network(), DIMS)
    change(deploy)
    const error = failure(() => convertAscendToQdq(deploy))
    expect(error.code).toBe('E_CONVERT_LAYER')
    expect(error.message).toContain(text)
  })
})

describe('files', () => {
  it('the direction follows from the model, and nothing is left behind', async () => {
    const place = mkdtempSync(path.join(folder, 'files-'))
    const source = path.join(place, 'qdq.onnx')
    saveModel(ortConv().model, source)
    const there = convertModelFile({ modelPath: source, outputPath: path.join(place, 'ascend.onnx') })
    expect(there.to).toBe('ascend')
    const back = convertModelFile({ modelPath: there.saved.path, outputPath: path.join(place, 'back.onnx') })
    expect(back.to).toBe('qdq')
    expect(readdirSync(place).sort()).toEqual(['ascend.onnx', 'back.onnx', 'qdq.onnx'])
    const x = sample(DIMS)
    expectClose(await runOrt(openModel(back.saved.path), { x }), await runOrt(openModel(source), { x }), 1e-5)
  })
})
