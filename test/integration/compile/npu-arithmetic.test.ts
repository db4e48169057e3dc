// What the simulated device computes for quantized layers, against the scalar reference, bit for bit: random layers of
// every kind, with inputs at ties, beyond the range of int8 and of binary16, biases that overflow, deep sums.
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileModel } from '../../../engine/compile/index.ts'
import { openDevice, type DeviceSession } from '../../../engine/device/index.ts'
import {
  DataType,
  makeNode,
  makeTensor,
  saveModel,
  type Model,
  type Node,
  type Tensor,
} from '../../../engine/onnx/index.ts'
import { packInt4 } from '../../../engine/quantization/int4.ts'
import { dequantScales, folder, makeModel, random } from './kit.ts'
import { half, ScalarNpu } from './scalar-npu.ts'

const SOC = 'Ascend310P3'
let device: DeviceSession

beforeAll(async () => {
  device = await openDevice(`sim:${SOC}`, { env: { ASCENDSIM_PACE: '0' }, intraOpThreads: 1 })
})
afterAll(async () => {
  await device.close()
})

type Kind = 'conv' | 'transpose' | 'matmul' | 'gemm' | 'pool'
type Precision = 'fp16' | 'int8' | 'fp32'

interface Layer {
  kind: Kind
  seed: number
  /** Spatial rank of convolutions, leading dimensions of products. */
  rank: number
  size: number
  channels: number
  outputs: number
  group: number
  kernel: number
  stride: number
  dilation: number
  pads: [number, number]
  outputPadding: boolean
  int4: boolean
  bias: 'none' | 'small' | 'overflowing'
  scale: number
  offset: number
  dequant: number
  perChannel: boolean
  relu: boolean
  sqrt: boolean
  roundMode: 'Round' | 'Floor' | 'Ceil' | 'Trunc'
  countPads: boolean
}

/** Powers of two put values on ties; the others are anything, binary16's subnormals and overflow included. */
const quantScales = fc.oneof(
  fc.constantFrom(0.5, 1, 2, 4, 8, 64),
  fc.double({ min: 0.01, max: 200, noNaN: true }),
  fc.constantFrom(1e-7, 3e-5, 65000, 70000, 1e9),
)
const dequantValues = fc.oneof(
  fc.double({ min: 1e-5, max: 1e-2, noNaN: true }),
  fc.constantFrom(1, 0.1, 1e-30, 1e20, 2 ** -24, 6e-8),
)

const layers: fc.Arbitrary<Layer> = fc.record({
  kind: fc.constantFrom<Kind>('conv', 'conv', 'transpose', 'matmul', 'gemm', 'pool'),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  rank: fc.integer({ min: 1, max: 3 }),
  size: fc.integer({ min: 3, max: 6 }),
  channels: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 9 }) },
    { weight: 1, arbitrary: fc.constant(620) },
  ),
  outputs: fc.integer({ min: 1, max: 5 }),
  group: fc.constantFrom(1, 1, 2, 0),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 2 }),
  dilation: fc.integer({ min: 1, max: 2 }),
  pads: fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 1 })),
  outputPadding: fc.boolean(),
  int4: fc.boolean(),
  bias: fc.constantFrom<Layer['bias']>('none', 'small', 'overflowing'),
  scale: quantScales,
  offset: fc.oneof(fc.integer({ min: -128, max: 127 }), fc.constantFrom(-128, 0, 127)),
  dequant: dequantValues,
  perChannel: fc.boolean(),
  relu: fc.boolean(),
  sqrt: fc.boolean(),
  roundMode: fc.constantFrom('Round', 'Round', 'Round', 'Floor', 'Ceil', 'Trunc'),
  countPads: fc.boolean(),
})

/** What the kinds do not allow is put right: groups divide the channels, the kernel fits, few elements. */
function settled(layer: Layer): Layer {
  const deep = layer.channels > 100
  const convolution = layer.kind === 'conv' || layer.kind === 'transpose'
  const group = !convolution ? 1 : layer.group === 0 ? Math.min(layer.channels, 6) : layer.group
  const channels = deep ? 620 : Math.ceil(layer.channels / group) * group
  const int4 = layer.int4 && layer.kind !== 'pool' && group === 1
  const dilation = layer.kernel === 3 ? 1 : layer.dilation
  return {
    ...layer,
    group: deep ? 1 : group,
    channels: int4 ? Math.ceil(channels / 2) * 2 : channels,
    outputs: layer.kind === 'conv' ? Math.ceil(layer.outputs / group) * group : layer.outputs,
    rank: deep ? 1 : layer.rank,
    size: Math.max(layer.size, dilation * (layer.kernel - 1) + 1),
    dilation: layer.kind === 'pool' ? 1 : dilation,
    pads: layer.kernel === 1 ? [0, 0] : layer.pads,
    int4,
  }
}

/** On the grid of halves and quarters, then anything, then the ends of the number range. */
function inputs(count: number, seed: number, scale: number): Float32Array {
  const next = random(seed)
  const extremes = [0, -0, Infinity, -Infinity, NaN, 65504, -65520, 1e30, 1e-8, -6e-8, 65519.996]
  return Float32Array.from({ length: count }, (_, index) => {
    const kind = next()
    if (kind < 0.1) return extremes[Math.floor(next() * extremes.length)]!
    if (kind < 0.5) return (Math.round(next() * 600 - 300) / 4 + (index % 2) * 0.25) / scale
    return ((next() - 0.5) * 300) / scale
  })
}

function integers(layer: Layer, count: number, seed: number): Int8Array {
  const next = random(seed)
  const [low, high] = layer.int4 ? [-8, 7] : [-128, 127]
  // Deep layers reach beyond 2^24 only when nearly all weights are large and of one sign.
  const draw = (): number =>
    layer.channels > 100 && next() < 0.95 ? low : low + Math.floor(next() * (high - low + 1))
  return Int8Array.from({ length: count }, draw)
}

interface Built {
  model: Model
  dims: number[]
}

function build(layer: Layer): Built {
  const { kind, rank, size, channels, outputs, group, kernel, seed } = layer
  const spatial = Array<number>(rank).fill(size)
  const window = {
    kernel_shape: Array<number>(rank).fill(kernel),
    strides: Array<number>(rank).fill(layer.stride),
    pads: [...Array<number>(rank).fill(layer.pads[0]), ...Array<number>(rank).fill(layer.pads[1])],
  }
  const dilations = Array<number>(rank).fill(layer.dilation)
  const weights: Tensor[] = []
  const extra: Node[] = []
  const layerNode = (
    opType: string,
    attributes: Parameters<typeof makeNode>[0]['attributes'],
    bias: boolean,
  ): Node =>
    makeNode({
      opType,
      name: 'layer',
      inputs: ['q', 'w', ...(bias ? ['b'] : [])],
      outputs: ['sum'],
      attributes: attributes ?? {},
    })
  const hasBias = layer.bias !== 'none'
  const resultChannels = kind === 'transpose' ? outputs * group : kind === 'pool' ? channels : outputs
  let dims: number[]
  let weightDims: number[] = []
  let node: Node
  switch (kind) {
    case 'conv':
      dims = [1, channels, ...spatial]
      weightDims = [outputs, channels / group, ...window.kernel_shape]
      node = layerNode('Conv', { ...window, dilations, group }, hasBias)
      break
    case 'transpose': {
      dims = [1, channels, ...spatial]
      weightDims = [channels, outputs, ...window.kernel_shape]
      const padded = layer.outputPadding && layer.stride > 1 ? 1 : 0
      const padding = { output_padding: Array<number>(rank).fill(padded) }
      node = layerNode('ConvTranspose', { ...window, ...padding, dilations, group }, hasBias)
      break
    }
    case 'gemm':
      dims = [size, channels]
      weightDims = [channels, outputs]
      node = layerNode('Gemm', {}, hasBias)
      break
    case 'matmul':
      dims = [...Array<number>(rank).fill(2), size, channels]
      weightDims = [channels, outputs]
      node = layerNode('MatMul', {}, false)
      if (hasBias)
        extra.push(makeNode({ opType: 'Add', name: 'add', inputs: ['sum', 'b'], outputs: ['biased'] }))
      break
    case 'pool':
      dims = [1, channels, ...spatial]
      node = makeNode({
        opType: 'AveragePool',
        name: 'layer',
        inputs: ['q'],
        outputs: ['sum'],
        attributes: { ...window, count_include_pad: layer.countPads ? 1 : 0 },
      })
      break
  }
  if (kind !== 'pool') {
    const values = integers(
      layer,
      weightDims.reduce((a, b) => a * b, 1),
      seed + 1,
    )
    const axis = kind === 'conv' ? 1 : 0
    const stored = layer.int4
      ? packInt4(new Uint8Array(values.buffer), weightDims, axis)
      : new Uint8Array(values.buffer)
    const storedDims = layer.int4 ? weightDims.with(axis, weightDims[axis]! / 2) : weightDims
    weights.push(makeTensor('w', DataType.INT8, storedDims, new Int8Array(stored.buffer)))
  }
  if (hasBias && kind !== 'pool') {
    const limit = layer.bias === 'small' ? 5000 : 2 ** 31 - 1
    const next = random(seed + 2)
    const values = Array.from({ length: resultChannels }, () =>
      Math.round((next() < 0.5 ? -1 : 1) * limit * (1 - next() / 1e5)),
    )
    weights.push(makeTensor('b', DataType.INT32, [resultChannels], values))
  }
  const count = layer.perChannel && kind !== 'pool' ? resultChannels : 1
  weights.push(
    dequantScales(
      'deq',
      Array.from({ length: count }, (_, index) => Math.fround(layer.dequant * (1 + index / 7))),
    ),
  )
  const quant = makeNode({
    opType: 'AscendQuant',
    name: 'quant',
    inputs: ['x'],
    outputs: ['q'],
    attributes: {
      scale: { float: layer.scale },
      offset: { float: layer.offset },
      dst_type: 'INT8',
      ...(layer.roundMode !== 'Round' && { round_mode: layer.roundMode }),
      ...(layer.sqrt && { sqrt_mode: 1 }),
    },
  })
  const dequant = makeNode({
    opType: 'AscendDequant',
    name: 'dequant',
    inputs: [extra.length > 0 ? 'biased' : 'sum', 'deq'],
    outputs: ['y'],
    attributes: { dtype: 0, ...(layer.relu && { relu_flag: 1 }), ...(layer.sqrt && { sqrt_mode: 1 }) },
  })
  const rankOut = dims.length
  const output = { name: 'y', dims: Array.from({ length: rankOut }, (_, axis) => `d${axis}`) }
  return {
    model: makeModel([{ name: 'x', dims }], [output], [quant, node, ...extra, dequant], weights),
    dims,
  }
}

let counter = 0

/** Through compiler, koffi, simulator and ONNX Runtime. */
async function onDevice(model: Model, precision: Precision, x: Float32Array): Promise<Float32Array> {
  const base = path.join(folder, `arithmetic${counter++}`)
  saveModel(model, `${base}.onnx`)
  await compileModel({ modelPath: `${base}.onnx`, soc: SOC, precision, outputPath: `${base}.om` })
  const loaded = await device.loadModel(`${base}.om`)
  try {
    const { outputs } = await device.run(loaded.handle, {
      x: new Uint8Array(x.buffer, x.byteOffset, x.byteLength),
    })
    return new Float32Array(outputs['y']!.data.slice().buffer)
  } finally {
    await device.unload(loaded.handle)
  }
}

async function check(model: Model, dims: number[], x: Float32Array, precision: Precision): Promise<void> {
  const isHalf = precision !== 'fp32'
  const reference = new ScalarNpu(model, { half: isHalf, halfQuant: isHalf })
  const expected = reference.run({ x: { dims, data: [...x] } }).get('y')!
  const actual = await onDevice(model, precision, x)
  expect(bits(actual)).toEqual(bits(Float32Array.from(expected.data)))
}

/** Bit patterns: -0 differs from 0. Only NaN has many. */
function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length)
}

async function checkLayer(drawn: Layer, precision: Precision): Promise<void> {
  const layer = settled(drawn)
  const { model, dims } = build(layer)
  const x = inputs(
    dims.reduce((a, b) => a * b, 1),
    layer.seed + 3,
    layer.scale,
  )
  await check(model, dims, x, precision)
}

describe('quantized layers on the simulated device equal the scalar reference bit for bit', () => {
  it.each(['int8', 'fp32'] as const)('random layers, %s', async (precision) => {
    await fc.assert(
      fc.asyncProperty(layers, (layer) => checkLayer(layer, precision)),
      { numRuns: precision === 'int8' ? 120 : 40, seed: 20_261_122 },
    )
  })

  it('every kind with a sum beyond 2^24', async () => {
    const deep = fc.sample(layers, { numRuns: 1, seed: 1 })[0]!
    for (const kind of ['conv', 'transpose', 'matmul', 'gemm'] as const) {
      for (const int4 of [false, true]) {
        const layer = { ...deep, kind, int4, channels: 620, kernel: 2, scale: 1, offset: -128, dequant: 1e-5 }
        await checkLayer(
          { ...layer, bias: 'small', roundMode: 'Round', sqrt: false, perChannel: true },
          'int8',
        )
      }
    }
  })

  it('AscendAntiQuant on every int8 value', async () => {
    await fc.assert(
      fc.asyncProperty(quantScales, fc.integer({ min: -128, max: 127 }), async (scale, offset) => {
        const attributes = { scale: { float: 1 / 4 }, offset: { float: 0 }, dst_type: 'INT8' }
        const quant = makeNode({
          opType: 'AscendQuant',
          name: 'quant',
          inputs: ['x'],
          outputs: ['q'],
          attributes,
        })
        const anti = makeNode({
          opType: 'AscendAntiQuant',
          name: 'anti',
          inputs: ['q'],
          outputs: ['y'],
          attributes: { scale: { float: scale }, offset: { float: offset } },
        })
        const model = makeModel([{ name: 'x', dims: [256] }], [{ name: 'y', dims: [256] }], [quant, anti], [])
        const x = Float32Array.from({ length: 256 }, (_, index) => (index - 128) * 4)
        await check(model, [256], x, 'int8')
      }),
      { numRuns: 15, seed: 7 },
    )
  })
})

describe('weight-only product', () => {
  it('rounds weight times scale to binary16 and the result, with exact sums between', async () => {
    const [rows, depth, columns] = [3, 16, 4]
    const next = random(5)
    const weight = Int8Array.from({ length: depth * columns }, () => Math.floor(next() * 256) - 128)
    const x = Float32Array.from({ length: rows * depth }, () => Math.round(next() * 16 - 8))
    // 1.0009765625 = 1 + 2^-10: products need more than the 11 bits of binary16, sums of them fit float32.
    const scales = [1 + 2 ** -10, 0.5, 3 * 2 ** -8, 1]
    const scale = makeTensor('s', DataType.FLOAT16, [columns], scales)
    const cast = (input: string, output: string, to: DataType): Node =>
      makeNode({ opType: 'Cast', name: output, inputs: [input], outputs: [output], attributes: { to } })
    const nodes = [
      cast('x', 'x16', DataType.FLOAT16),
      makeNode({
        opType: 'NPUWeightQuantBatchMatmulV2',
        name: 'product',
        inputs: ['x16', 'w', 's'],
        outputs: ['y16'],
        attributes: { antiquant_group_size: 0, dtype: 1 },
      }),
      cast('y16', 'y', DataType.FLOAT),
    ]
    const model = makeModel(
      [{ name: 'x', dims: [rows, depth] }],
      [{ name: 'y', dims: [rows, columns] }],
      nodes,
      [makeTensor('w', DataType.INT8, [depth, columns], weight), scale],
    )
    const actual = await onDevice(model, 'fp16', x)
    const expected = Array.from({ length: rows * columns }, (_, index) => {
      const [row, column] = [Math.floor(index / columns), index % columns]
      let sum = 0
      for (let k = 0; k < depth; k++)
        sum += x[row * depth + k]! * half(weight[k * columns + column]! * scales[column]!)
      return half(sum)
    })
    expect([...actual]).toEqual(expected)
  })
})
