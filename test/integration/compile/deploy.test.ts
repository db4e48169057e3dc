// Deploy models (Ascend* nodes) compiled and run on the simulated device, against a scalar reference, bit for bit.
import { describe, expect, it } from 'vitest'
import { DataType, makeNode, makeTensor } from '../../../engine/onnx/index.ts'
import type { Tensor } from '../../../engine/onnx/index.ts'
import { compile, dequantScales, f16, floats, int8s, makeModel, quantize, runOm, s19 } from './kit.ts'

const SCALE = 1 / 0.0173
const OFFSET = -7

const quant = (input = 'x', output = 'q', scale = SCALE, offset = OFFSET) =>
  makeNode({
    opType: 'AscendQuant',
    name: `${output}.quant`,
    inputs: [input],
    outputs: [output],
    attributes: { scale: { float: scale }, offset: { float: offset }, dst_type: 'INT8' },
  })

const dequant = (input: string, output: string) =>
  makeNode({
    opType: 'AscendDequant',
    name: `${output}.dequant`,
    inputs: [input, 'deq'],
    outputs: [output],
    attributes: { dtype: 0 },
  })

/** Centred integers as the device sees them. */
const centred = (x: Float32Array): number[] =>
  Array.from(x, (v) => quantize(v, Math.fround(SCALE), OFFSET) - OFFSET)

interface ConvCase {
  channels: number
  outputs: number
  group: number
  pad: number
  stride: number
  size: number
}

function convReference(q: number[], w: Int8Array, c: ConvCase, bias: number[] | null): number[] {
  const out = Math.floor((c.size + 2 * c.pad - 3) / c.stride) + 1
  const perGroup = c.channels / c.group
  const result: number[] = []
  for (let o = 0; o < c.outputs; o++) {
    const group = Math.floor(o / (c.outputs / c.group))
    for (let y = 0; y < out; y++)
      for (let x = 0; x < out; x++) {
        let sum = bias?.[o] ?? 0
        for (let i = 0; i < perGroup; i++)
          for (let ky = 0; ky < 3; ky++)
            for (let kx = 0; kx < 3; kx++) {
              const [iy, ix] = [y * c.stride + ky - c.pad, x * c.stride + kx - c.pad]
              if (iy < 0 || ix < 0 || iy >= c.size || ix >= c.size) continue
              const channel = group * perGroup + i
              sum += q[(channel * c.size + iy) * c.size + ix]! * w[((o * perGroup + i) * 3 + ky) * 3 + kx]!
            }
        result.push(sum)
      }
  }
  return result
}

const scalesOf = (count: number): number[] => Array.from({ length: count }, (_, i) => 0.00031 * (1 + i / 3))

describe('integer convolution', () => {
  it.each([
    { channels: 3, outputs: 4, group: 1, pad: 1, stride: 2, size: 6, bias: true },
    { channels: 4, outputs: 4, group: 4, pad: 1, stride: 1, size: 5, bias: false },
    { channels: 4, outputs: 6, group: 2, pad: 0, stride: 1, size: 5, bias: true },
    // Sums beyond 2^24 are possible: the integer convolution of ONNX Runtime computes it.
    { channels: 200, outputs: 2, group: 1, pad: 1, stride: 1, size: 4, bias: true },
  ])('%o', async ({ bias, ...c }) => {
    const w = int8s((c.outputs * c.channels * 9) / c.group, 1)
    const x = floats(c.channels * c.size * c.size, 2)
    const biases = bias ? Array.from({ length: c.outputs }, (_, i) => 1000 * (i - 2) + 7) : null
    const out = Math.floor((c.size + 2 * c.pad - 3) / c.stride) + 1
    const weights: Tensor[] = [
      makeTensor('w', DataType.INT8, [c.outputs, c.channels / c.group, 3, 3], w),
      dequantScales('deq', scalesOf(c.outputs)),
    ]
    if (biases) weights.push(makeTensor('b', DataType.INT32, [c.outputs], biases))
    const conv = makeNode({
      opType: 'Conv',
      name: 'conv',
      inputs: ['q', 'w', ...(biases ? ['b'] : [])],
      outputs: ['acc'],
      attributes: {
        group: c.group,
        kernel_shape: [3, 3],
        pads: [c.pad, c.pad, c.pad, c.pad],
        strides: [c.stride, c.stride],
      },
    })
    const relu = makeNode({ opType: 'Relu', name: 'relu', inputs: ['f'], outputs: ['y'] })
    const model = makeModel(
      [{ name: 'x', dims: [1, c.channels, c.size, c.size] }],
      [{ name: 'y', dims: [1, c.outputs, out, out] }],
      [quant(), conv, dequant('acc', 'f'), relu],
      weights,
    )
    const { path, manifest } = await compile(model, { precision: 'int8' })
    expect(manifest.precision).toBe('int8')
    const { y } = await runOm(path, { x })
    const sums = convReference(centred(x), w, c, biases)
    const expected = sums.map((sum, index) => {
      const scale = s19(scalesOf(c.outputs)[Math.floor(index / (out * out))]!)
      return Math.max(0, f16(Math.fround(Math.fround(sum) * scale)))
    })
    expect(y!.dims).toEqual([1, c.outputs, out, out])
    expect(Array.from(y!.data)).toEqual(expected)
  })
})

describe('integer products', () => {
  const x = floats(2 * 3 * 8, 3)
  const w = int8s(8 * 6, 4)
  const bias = [5, -4000, 0, 123, -77, 31000]
  const q = centred(x)
  const expected = Array.from({ length: 36 }, (_, index) => {
    const [row, column] = [Math.floor(index / 6), index % 6]
    let sum = bias[column]!
    for (let k = 0; k < 8; k++) sum += q[row * 8 + k]! * w[k * 6 + column]!
    return f16(Math.fround(sum * s19(0.00071)))
  })
  const weights = [
    makeTensor('w', DataType.INT8, [8, 6], w),
    makeTensor('b', DataType.INT32, [6], bias),
    dequantScales('deq', [0.00071]),
  ]

  it('MatMul with its bias added in int32', async () => {
    const nodes = [
      quant(),
      makeNode({ opType: 'MatMul', name: 'mm', inputs: ['q', 'w'], outputs: ['p'] }),
      makeNode({ opType: 'Add', name: 'bias', inputs: ['p', 'b'], outputs: ['acc'] }),
      dequant('acc', 'y'),
    ]
    const model = makeModel(
      [{ name: 'x', dims: [2, 3, 8] }],
      [{ name: 'y', dims: [2, 3, 6] }],
      nodes,
      weights,
    )
    const { path } = await compile(model, { precision: 'int8' })
    const { y } = await runOm(path, { x })
    expect(Array.from(y!.data)).toEqual(expected)
  })

  it('Gemm with bias', async () => {
    const nodes = [
      quant(),
      makeNode({ opType: 'Gemm', name: 'fc', inputs: ['q', 'w', 'b'], outputs: ['acc'] }),
      dequant('acc', 'y'),
    ]
    const model = makeModel([{ name: 'x', dims: [6, 8] }], [{ name: 'y', dims: [6, 6] }], nodes, weights)
    const { path } = await compile(model, { precision: 'int8' })
    const { y } = await runOm(path, { x })
    expect(Array.from(y!.data)).toEqual(expected)
  })
})

describe('integer ConvTranspose', () => {
  // 4 channels sum 8 products per output at most; 600 channels need the split into two exact halves.
  it.each([4, 600])('%i channels', async (channels) => {
    const x = floats(channels * 9, 5)
    const w = int8s(channels * 2 * 4, 6)
    const nodes = [
      quant(),
      makeNode({
        opType: 'ConvTranspose',
        name: 'up',
        inputs: ['q', 'w', 'b'],
        outputs: ['acc'],
        attributes: { kernel_shape: [2, 2], strides: [2, 2] },
      }),
      dequant('acc', 'y'),
    ]
    const weights = [
      makeTensor('w', DataType.INT8, [channels, 2, 2, 2], w),
      makeTensor('b', DataType.INT32, [2], [17, -900001]),
      dequantScales('deq', [3e-5, 7e-5]),
    ]
    const output = { name: 'y', dims: [1, 2, 6, 6] }
    const model = makeModel([{ name: 'x', dims: [1, channels, 3, 3] }], [output], nodes, weights)
    const { path } = await compile(model, { precision: 'int8' })
    const { y } = await runOm(path, { x })
    const q = centred(x)
    const expected: number[] = []
    for (let o = 0; o < 2; o++)
      for (let row = 0; row < 6; row++)
        for (let column = 0; column < 6; column++) {
          let sum = [17, -900001][o]!
          for (let c = 0; c < channels; c++) {
            const value = q[c * 9 + (row >> 1) * 3 + (column >> 1)]!
            sum += value * w[((c * 2 + o) * 2 + (row & 1)) * 2 + (column & 1)]!
          }
          expected.push(f16(Math.fround(sum * s19([3e-5, 7e-5][o]!))))
        }
    expect(Array.from(y!.data)).toEqual(expected)
  })
})

describe('other quantized patterns', () => {
  it('AveragePool behind a Pad: the mean of the centred values', async () => {
    const x = floats(2 * 16, 7)
    const nodes = [
      quant(),
      makeNode({ opType: 'Pad', name: 'pool_pad', inputs: ['q', 'pads'], outputs: ['padded'] }),
      makeNode({
        opType: 'AveragePool',
        name: 'pool',
        inputs: ['padded'],
        outputs: ['acc'],
        attributes: { kernel_shape: [3, 3] },
      }),
      dequant('acc', 'y'),
    ]
    const weights = [
      makeTensor('pads', DataType.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1]),
      dequantScales('deq', [0.0173]),
    ]
    const model = makeModel(
      [{ name: 'x', dims: [1, 2, 4, 4] }],
      [{ name: 'y', dims: [1, 2, 4, 4] }],
      nodes,
      weights,
    )
    const { path } = await compile(model, { precision: 'int8' })
    const { y } = await runOm(path, { x })
    const q = centred(x)
    Array.from(y!.data).forEach((actual, index) => {
      const [c, row, column] = [Math.floor(index / 16), Math.floor((index % 16) / 4), index % 4]
      let sum = 0
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          const [iy, ix] = [row + dy, column + dx]
          if (iy >= 0 && ix >= 0 && iy < 4 && ix < 4) sum += q[c * 16 + iy * 4 + ix]!
        }
      expect(Math.abs(actual - (sum / 9) * s19(0.0173))).toBeLessThanOrEqual(2 ** -11 * 4)
    })
  })

  it('AscendAntiQuant returns to floats', async () => {
    const x = floats(32, 8)
    const anti = makeNode({
      opType: 'AscendAntiQuant',
      name: 'anti',
      inputs: ['q'],
      outputs: ['y'],
      attributes: { scale: { float: 0.0173 }, offset: { float: OFFSET } },
    })
    const model = makeModel([{ name: 'x', dims: [4, 8] }], [{ name: 'y', dims: [4, 8] }], [quant(), anti], [])
    const { path } = await compile(model, { precision: 'int8' })
    const { y } = await runOm(path, { x })
    Array.from(y!.data).forEach((actual, index) => {
      expect(Math.abs(actual - centred(x)[index]! * 0.0173)).toBeLessThan(2e-3)
    })
  })

  it('refuses what the pattern does not allow, naming the node', async () => {
    const relu = makeNode({ opType: 'Relu', name: 'r', inputs: ['q'], outputs: ['y'] })
    const output = { name: 'y', dims: [4], type: DataType.INT8 }
    const model = makeModel([{ name: 'x', dims: [4] }], [output], [quant(), relu], [])
    await expect(compile(model, { precision: 'int8' })).rejects.toMatchObject({
      code: 'E_COMPILE_DEPLOY',
      details: { node: 'r' },
    })
  })
})
