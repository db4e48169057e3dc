// Quantizing whole models: what the written files hold, what the recipe does, and what is refused.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import type { QuantizationResult } from '../../../contract/quantization.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import type { Progress } from '../../../contract/work.ts'
import {
  DataType,
  findAttribute,
  floatAttribute,
  intAttribute,
  makeTensor,
  openModel,
  stringAttribute,
  tensorBytes,
  tensorToNumbers,
} from '../../../engine/onnx/index.ts'
import { parseRecords, quantizeModel, type QuantizeRequest } from '../../../engine/quantization/index.ts'
import { buildModel, type Fixture, type ModelSpec, weights, writeFixture } from './models.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quantize-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

const DIMS = [1, 4, 6, 6]

/** Two convolutions that read one tensor, a normalization, a projection and an attention-like product. */
function network(): ModelSpec {
  return {
    inputs: { x: ['N', 4, 6, 6] },
    outputs: ['y'],
    nodes: [
      {
        opType: 'Conv',
        name: '/net/left/Conv',
        inputs: ['x', 'net.left.weight', 'net.left.bias'],
        outputs: ['l'],
      },
      { opType: 'Conv', name: '/net/right/Conv', inputs: ['x', 'net.right.weight'], outputs: ['r'] },
      {
        opType: 'InstanceNormalization',
        name: '/net/norm/InstanceNormalization',
        inputs: ['l', 'net.norm.weight', 'net.norm.bias'],
        outputs: ['n'],
      },
      { opType: 'MatMul', name: '/net/scores/MatMul', inputs: ['n', 'r'], outputs: ['s'] },
      { opType: 'MatMul', name: '/net/proj/MatMul', inputs: ['s', 'net.proj.weight'], outputs: ['p'] },
      { opType: 'Add', name: '/net/proj/Add', inputs: ['net.proj.bias', 'p'], outputs: ['y'] },
    ],
    initializers: [
      weights('net.left.weight', [4, 4, 1, 1]),
      weights('net.left.bias', [4]),
      weights('net.right.weight', [4, 4, 1, 1], 0.2, 0.1),
      weights('net.norm.weight', [4], 0.1, 1),
      weights('net.norm.bias', [4]),
      weights('net.proj.weight', [6, 5]),
      weights('net.proj.bias', [5]),
    ],
  }
}

function request(
  fixture: Fixture,
  recipe: object = {},
  changes: Partial<QuantizeRequest> = {},
): QuantizeRequest {
  return {
    modelPath: fixture.modelPath,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: fixture.dataFolder },
    outputPrefix: path.join(folder, 'out'),
    ...changes,
  }
}

async function quantize(spec: ModelSpec, recipe: object = {}): Promise<QuantizationResult> {
  return quantizeModel(request(writeFixture(folder, buildModel(spec), DIMS), recipe))
}

async function failure(run: Promise<unknown>): Promise<AppError> {
  try {
    await run
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function leftovers(): string[] {
  return readdirSync(folder).filter((name) => name !== 'model.onnx' && name !== 'data')
}

async function run(modelPath: string, dims = DIMS): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(modelPath)
  const bytes = readFileSync(path.join(folder, 'data', '1.bin'))
  const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  const results = await session.run({ x: new ort.Tensor('float32', data, dims) })
  return results[session.outputNames[0] ?? '']?.data as Float32Array
}

describe('the deploy model', () => {
  it('has the names, attributes and types that AMCT writes and ATC reads', async () => {
    const result = await quantize(network())
    const { graph, opsetImports } = openModel(result.deployPath)
    const byName = new Map(graph.nodes.map((node) => [node.name, node]))
    const [left] = result.layers

    const quant = byName.get('/net/left/Conv.quant')!
    expect([quant.opType, quant.domain]).toEqual(['AscendQuant', ''])
    expect(floatAttribute(quant, 'scale')).toBe(Math.fround(1 / left!.activation!.scale))
    expect(findAttribute(quant, 'offset')).toMatchObject({ type: 'float', value: left!.activation!.offset })
    expect(stringAttribute(quant, 'dst_type')).toBe('INT8')

    const conv = byName.get('/net/left/Conv')!
    expect(conv.inputs).toEqual(['/net/left/Conv.quant.output0', 'net.left.weight', 'net.left.bias'])
    expect(graph.initializers.get('net.left.weight')).toMatchObject({
      dataType: DataType.INT8,
      dims: [4, 4, 1, 1],
    })
    expect(graph.initializers.get('net.left.bias')).toMatchObject({ dataType: DataType.INT32, dims: [4] })

    const dequant = byName.get('/net/left/Conv.dequant')!
    expect([dequant.opType, intAttribute(dequant, 'dtype')]).toEqual(['AscendDequant', 0])
    expect(dequant.inputs).toEqual([conv.outputs[0], '/net/left/Conv.dequant.param'])
    expect(dequant.outputs).toEqual(['l'])
    const param = graph.initializers.get('/net/left/Conv.dequant.param')!
    expect([param.dataType, param.dims]).toEqual([DataType.UINT64, [4]])
    const bits = new BigUint64Array(tensorBytes(param).slice().buffer)
    const scale = Math.fround(left!.activation!.scale * left!.weight!.scales[2]!)
    expect(bits[2]).toBe(BigInt(new Uint32Array(Float32Array.of(scale).buffer)[0]!))
    expect(opsetImports.map((entry) => entry.domain)).toEqual([''])
  })

  it('dequantizes a MatMul behind its bias, with one scale', async () => {
    const result = await quantize(network())
    const { graph } = openModel(result.deployPath)
    const tail = graph.nodes.slice(-4).map((node) => node.opType)
    expect(tail).toEqual(['AscendQuant', 'MatMul', 'Add', 'AscendDequant'])
    const add = graph.nodes.at(-2)!
    expect(add.inputs).toEqual(['p', 'net.proj.bias'])
    expect(graph.initializers.get('net.proj.bias')?.dataType).toBe(DataType.INT32)
    expect(graph.initializers.get('/net/proj/MatMul.dequant.param')?.dims).toEqual([1])
    expect(graph.nodes.at(-1)?.outputs).toEqual(['y'])
  })

  it('quantizes a tensor once for readers that agree, and apart for readers that do not', async () => {
    const shared = openModel((await quantize(network())).deployPath)
    expect(shared.graph.nodes.filter((node) => node.opType === 'AscendQuant')).toHaveLength(2)
    const recipe = { overrides: [{ layer: 'net.right', activation: { method: 'max_abs' } }] }
    const apart = openModel((await quantize(network(), recipe)).deployPath)
    expect(apart.graph.nodes.filter((node) => node.opType === 'AscendQuant')).toHaveLength(3)
  })

  it('stores a Gemm weight untransposed, and no float copy of any quantized weight', async () => {
    const spec: ModelSpec = {
      inputs: { x: ['N', 64] },
      outputs: ['y'],
      nodes: [
        { opType: 'Gemm', name: 'fc', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: { transB: 1 } },
      ],
      initializers: [weights('w', [300, 64]), weights('b', [300])],
    }
    const fixture = writeFixture(folder, buildModel(spec), [1, 64])
    const result = await quantizeModel(request(fixture))
    const model = openModel(result.deployPath)
    expect(model.graph.initializers.get('w')?.dims).toEqual([64, 300])
    expect(
      findAttribute(
        model.graph.nodes.find((node) => node.opType === 'Gemm')!,
        'transB',
      ),
    ).toBeUndefined()
    expect(
      [...model.graph.initializers.values()].filter((tensor) => tensor.dataType === DataType.FLOAT),
    ).toEqual([])
    expect(result.sizes.deploy / result.sizes.source).toBeLessThan(0.27)
  })
})

describe('the record and the node mapping', () => {
  it('agree with the deploy model', async () => {
    const result = await quantize(network())
    const records = parseRecords(readFileSync(result.recordPath, 'utf8'), result.recordPath)
    expect(records.map((record) => record.layer)).toEqual([
      '/net/left/Conv',
      '/net/right/Conv',
      '/net/proj/MatMul',
    ])
    expect(records[0]).toMatchObject({
      scaleD: result.layers[0]!.activation!.scale,
      offsetD: result.layers[0]!.activation!.offset,
      scaleW: result.layers[0]!.weight!.scales,
    })
    const mapping = JSON.parse(readFileSync(result.quantJsonPath, 'utf8'))
    const operators = mapping.graph[0].op as {
      name: string
      type: string
      attr: { value: { list: { s: string[] } } }[]
    }[]
    const originals = new Map(operators.map((op) => [op.name, op.attr[0]!.value.list.s]))
    expect(originals.get('/net/proj/MatMul.dequant')).toEqual(['/net/proj/MatMul', '/net/proj/Add'])
    expect(originals.get('/net/left/Conv.quant')).toEqual([])
    expect(operators.map((op) => op.name)).toEqual(
      openModel(result.deployPath).graph.nodes.map((node) => node.name),
    )
  })
})

describe('the recipe', () => {
  it('keeps layers and says why', async () => {
    const result = await quantize(network(), {
      skip_layers: ['net.left.weight'],
      fp16_layers: ['net.proj'],
    })
    const kept = result.layers.map(({ name, quantized, precision, reason }) => [
      name,
      quantized,
      precision,
      reason,
    ])
    expect(kept).toEqual([
      ['/net/left/Conv', false, 'float', 'skipped_by_recipe'],
      ['/net/right/Conv', true, 'int8', undefined],
      ['/net/scores/MatMul', false, 'float', 'two_dynamic_inputs'],
      ['/net/proj/MatMul', false, 'fp16', 'fp16_by_recipe'],
    ])
    const { initializers } = openModel(result.deployPath).graph
    expect(initializers.get('net.left.weight')?.dataType).toBe(DataType.FLOAT)
  })

  it('accepts the name of a normalization, and wildcards', async () => {
    const recipe = {
      skip_layers: ['net.norm'],
      fp16_layers: ['*ight*'],
      overrides: [{ layer: '*left*', precision: 'int8' }],
    }
    const result = await quantize(network(), recipe)
    expect(result.layers.filter((layer) => layer.quantized).map((layer) => layer.name)).toEqual([
      '/net/left/Conv',
    ])
  })

  it.each(['skip_layers', 'fp16_layers'])(
    'refuses an unknown name in %s with the nearest names',
    async (list) => {
      const fixture = writeFixture(folder, buildModel(network()), DIMS)
      const error = await failure(quantizeModel(request(fixture, { [list]: ['net.lfet'] })))
      expect(error.code).toBe('E_LAYER_UNKNOWN')
      expect(error.details).toMatchObject({ layer: 'net.lfet', list })
      expect(error.details.suggestions).toContain('net.left')
      const types = await failure(quantizeModel(request(fixture, { skip_op_types: ['MatMull'] })))
      expect(types.details).toMatchObject({
        list: 'skip_op_types',
        suggestions: expect.arrayContaining(['MatMul']),
      })
      expect(leftovers()).toEqual([])
    },
  )

  it('refuses a recipe that leaves nothing', async () => {
    const fixture = writeFixture(folder, buildModel(network()), DIMS)
    const error = await failure(quantizeModel(request(fixture, { skip_op_types: ['Conv', 'MatMul'] })))
    expect(error.code).toBe('E_QUANTIZE_NOTHING')
    expect(error.message).toContain('3 operator_type_skipped_by_recipe')
  })
})

describe('weights as exporters write them', () => {
  it('keeps the float weight for a reader that stays in floating point', async () => {
    const spec = network()
    spec.nodes[1]!.inputs[1] = 'net.left.weight'
    const result = await quantize(spec, { skip_layers: ['/net/right/Conv'] })
    for (const file of [result.deployPath, result.fakeQuantPath]) {
      const { initializers } = openModel(file).graph
      expect(initializers.get('net.left.weight')?.dataType).toBe(DataType.FLOAT)
      expect(initializers.get('net.left.weight.int8')?.dataType).toBe(DataType.INT8)
    }
    expect(await run(result.fakeQuantPath)).toHaveLength(4 * 6 * 5)
  })

  it('shares one integer weight between quantized readers, with a bias for each', async () => {
    const spec = network()
    spec.nodes[1]!.inputs = ['l', 'net.left.weight', 'net.left.bias']
    const result = await quantize(spec)
    const { initializers } = openModel(result.deployPath).graph
    expect([...initializers.values()].filter((tensor) => tensor.dataType === DataType.INT8)).toHaveLength(2)
    expect(initializers.get('net.left.weight')?.dataType).toBe(DataType.INT8)
    expect([initializers.has('net.left.bias.int32'), initializers.has('net.left.bias.int32_1')]).toEqual([
      true,
      true,
    ])
    await run(result.fakeQuantPath)
  })

  it('reads through Constant, Cast, Identity and Transpose', async () => {
    const plain = network()
    const reference = await run((await quantize(plain)).fakeQuantPath)
    const spec = network()
    const proj = spec.initializers.find((tensor) => tensor.name === 'net.proj.weight')!
    const values = tensorToNumbers(proj)
    const turned = Array.from({ length: 30 }, (_, flat) => values[(flat % 6) * 5 + Math.floor(flat / 6)]!)
    const others = spec.initializers.filter((tensor) => tensor !== proj && tensor.name !== 'net.left.bias')
    spec.initializers = [...others, makeTensor('turned', DataType.FLOAT, [5, 6], turned)]
    const bias = network().initializers.find((tensor) => tensor.name === 'net.left.bias')!
    spec.nodes.unshift(
      { opType: 'Constant', name: 'c', inputs: [], outputs: ['net.left.bias'], attributes: { value: bias } },
      {
        opType: 'Transpose',
        name: 't',
        inputs: ['turned'],
        outputs: ['net.proj.weight'],
        attributes: { perm: [1, 0] },
      },
      { opType: 'Identity', name: 'i', inputs: ['net.left.weight'], outputs: ['alias'] },
    )
    spec.nodes[3]!.inputs[1] = 'alias'
    const result = await quantize(spec)
    expect(result.layers.filter((layer) => layer.quantized)).toHaveLength(3)
    const { nodes, initializers } = openModel(result.deployPath).graph
    expect(
      nodes.map((node) => node.opType).filter((type) => ['Constant', 'Transpose', 'Identity'].includes(type)),
    ).toEqual([])
    expect(
      [...initializers.values()]
        .filter((tensor) => tensor.dataType === DataType.FLOAT)
        .map((tensor) => tensor.name),
    ).toEqual(['net.norm.weight', 'net.norm.bias'])
    expect(await run(result.fakeQuantPath)).toEqual(reference)
  })

  it('computes in float16 where the model does', async () => {
    const half = makeTensor(
      'w',
      DataType.FLOAT16,
      [4, 4, 1, 1],
      [...Array(16).keys()].map((index) => (index - 5) / 16),
    )
    const spec: ModelSpec = {
      inputs: { x: ['N', 4, 6, 6] },
      outputs: ['y'],
      nodes: [
        { opType: 'Cast', name: 'in', inputs: ['x'], outputs: ['h'], attributes: { to: DataType.FLOAT16 } },
        { opType: 'Conv', name: 'conv', inputs: ['h', 'w'], outputs: ['c'] },
        { opType: 'Cast', name: 'out', inputs: ['c'], outputs: ['y'], attributes: { to: DataType.FLOAT } },
      ],
      initializers: [half],
    }
    const fixture = writeFixture(folder, buildModel(spec), DIMS)
    const result = await quantizeModel(request(fixture))
    const dequant = openModel(result.deployPath).graph.nodes.find((node) => node.opType === 'AscendDequant')!
    expect(intAttribute(dequant, 'dtype')).toBe(1)
    const [reference, twin] = [await run(fixture.modelPath), await run(result.fakeQuantPath)]
    const worst = Math.max(...reference.map((value, index) => Math.abs(value - twin[index]!)))
    expect(worst).toBeLessThan(0.05)
  })

  it('upgrades an old model, whose opset has no per-channel DequantizeLinear', async () => {
    const result = await quantize({ ...network(), opset: 9 })
    const { opsetImports } = openModel(result.fakeQuantPath)
    expect(opsetImports[0]?.version).toBeGreaterThanOrEqual(13)
    await run(result.fakeQuantPath)
  })

  it('stays within one code of the plain 127-divisor rule of ONNX Runtime', async () => {
    const result = await quantize(network())
    const codes = tensorToNumbers(openModel(result.deployPath).graph.initializers.get('net.right.weight')!)
    const floats = tensorToNumbers(network().initializers[2]!)
    for (let channel = 0; channel < 4; channel++) {
      const row = floats.slice(channel * 4, channel * 4 + 4)
      const scale = Math.max(...row.map(Math.abs)) / 127
      row.forEach((value, index) => {
        expect(Math.abs(codes[channel * 4 + index]! - value / scale)).toBeLessThanOrEqual(1.5)
      })
    }
  })
})

describe('what is refused', () => {
  it.each([
    ['NaN in a weight', Number.NaN, 'E_WEIGHT_NOT_FINITE', 'net.right.weight'],
    ['infinity in a weight', Infinity, 'E_WEIGHT_NOT_FINITE', 'Infinity'],
  ])('%s', async (_name, value, code, text) => {
    const spec = network()
    spec.initializers[2] = makeTensor(
      'net.right.weight',
      DataType.FLOAT,
      [4, 4, 1, 1],
      [...Array(15).fill(0.1), value],
    )
    // Skip what reads the result: the range of a later layer would be refused first.
    const fixture = writeFixture(folder, buildModel(spec), DIMS)
    const error = await failure(quantizeModel(request(fixture, { skip_layers: ['net.proj'] })))
    expect(error.code).toBe(code)
    expect(error.message).toContain(text)
    expect(leftovers()).toEqual([])
  })

  it('a NaN that appears inside the model, naming the layer and the tensor', async () => {
    const spec = network()
    spec.nodes.splice(3, 0, { opType: 'Sqrt', name: 'root', inputs: ['n'], outputs: ['nan'] })
    spec.nodes[4]!.inputs[0] = 'nan'
    const error = await failure(quantize(spec))
    expect(error.code).toBe('E_ACTIVATION_NOT_FINITE')
    expect(error.details).toMatchObject({
      layer: '/net/proj/MatMul',
      tensor: 's',
      value: 'NaN',
      sample: '0.bin',
    })
    expect(leftovers()).toEqual([])
  })

  it('a bias that does not fit 32 bits, naming layer, channel and value', async () => {
    const spec = network()
    spec.initializers[0] = weights('net.left.weight', [4, 4, 1, 1], 1e-4)
    spec.initializers[1] = makeTensor('net.left.bias', DataType.FLOAT, [4], [0, 0, 500, 0])
    const error = await failure(quantize(spec))
    expect(error.code).toBe('E_BIAS_OVERFLOW')
    expect(error.details).toMatchObject({ layer: '/net/left/Conv', channel: 2 })
    expect(error.details.value).toBeGreaterThan(2 ** 31)
    expect(leftovers()).toEqual([])
  })

  it('a model that is quantized already', async () => {
    const first = await quantize(network())
    const fixture = { modelPath: first.fakeQuantPath, dataFolder: path.join(folder, 'data') }
    expect((await failure(quantizeModel(request(fixture)))).code).toBe('E_QUANTIZE_SOURCE')
    const deploy = { ...fixture, modelPath: first.deployPath }
    expect((await failure(quantizeModel(request(deploy)))).details).toMatchObject({ opType: 'AscendQuant' })
  })

  it('an output folder that does not exist, before any work', async () => {
    const fixture = writeFixture(folder, buildModel(network()), DIMS)
    const stages: Progress[] = []
    const prefix = path.join(folder, 'missing', 'out')
    const running = quantizeModel(request(fixture, {}, { outputPrefix: prefix }), {
      onProgress: (step) => stages.push(step),
    })
    expect((await failure(running)).code).toBe('E_FILE_WRITE')
    expect(stages).toEqual([])
  })

  it('a model that ONNX Runtime cannot run', async () => {
    const spec = network()
    spec.nodes[3]!.inputs = ['n', 'x', 'extra'].slice(0, 2)
    spec.nodes[3]!.opType = 'NoSuchOperator'
    const error = await failure(quantize(spec))
    expect(error.code).toBe('E_CALIBRATION_RUN')
    expect(error.message).toContain('NoSuchOperator')
  })
})

describe('long work', () => {
  it.each(['calibrate', 'quantize', 'write'])(
    'stops at a cancel during %s and leaves nothing',
    async (stage) => {
      const fixture = writeFixture(folder, buildModel(network()), DIMS)
      const controller = new AbortController()
      const context = {
        signal: controller.signal,
        onProgress: (progress: Progress) => {
          if (progress.stage === stage && progress.done === 1) controller.abort()
        },
      }
      expect((await failure(quantizeModel(request(fixture), context))).code).toBe('E_CANCELLED')
      expect(leftovers()).toEqual([])
    },
  )

  it('reports every sample, layer and file', async () => {
    const fixture = writeFixture(folder, buildModel(network()), DIMS)
    const last = new Map<string, Progress>()
    await quantizeModel(request(fixture), { onProgress: (progress) => last.set(progress.stage, progress) })
    expect([...last].map(([stage, { done, total }]) => [stage, done, total])).toEqual([
      ['calibrate', 4, 4],
      ['quantize', 3, 3],
      ['write', 4, 4],
    ])
  })

  it('leaves no temporary file, and replaces older results', async () => {
    const fixture = writeFixture(folder, buildModel(network()), DIMS)
    writeFileSync(path.join(folder, 'out_record.txt'), 'old')
    const result = await quantizeModel(request(fixture))
    expect(leftovers().sort()).toEqual([
      'out_deploy_model.onnx',
      'out_fake_quant_model.onnx',
      'out_quant.json',
      'out_record.txt',
    ])
    expect(existsSync(result.deployPath)).toBe(true)
    expect(readFileSync(result.recordPath, 'utf8')).toContain('scale_d')
  })
})
