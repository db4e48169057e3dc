// FP16 compilation: rounding at kernel boundaries, folding, gears, recovery; executed on the simulated device.
import fs from 'node:fs'
import path from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { compileModel, inspectOm, readOmManifest, recoverOnnx } from '../../../engine/compile/index.ts'
import type { Progress } from '../../../contract/work.ts'
import type { Node } from '../../../engine/onnx/index.ts'
import { DataType, makeNode, makeTensor, openModel, saveModel } from '../../../engine/onnx/index.ts'
import { compile, f16, floats, folder, makeModel, runOm } from './kit.ts'

/** Multiples of 1/64: products and short sums are exact in float32, so only the rounding to FP16 shows. */
const grid = (count: number, seed: number, span: number): Float32Array =>
  floats(count, seed, span).map((value) => Math.round(value * 64) / 64)

async function runOnnx(
  file: string,
  feeds: Record<string, OrtTensor>,
): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(file, { intraOpNumThreads: 1 })
  const outputs = await session.run(feeds)
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, tensor.data as Float32Array]),
  )
}

function sqnr(reference: Float32Array, test: Float32Array): number {
  let signal = 0
  let noise = 0
  reference.forEach((value, index) => {
    signal += value ** 2
    noise += (value - test[index]!) ** 2
  })
  return 10 * Math.log10(signal / noise)
}

describe('FP16 arithmetic', () => {
  it('rounds inputs, weights and kernel results, not the sums inside a kernel', async () => {
    // Two products with bias and activation: the device runs them as two kernels.
    const [x, w1, b1, w2] = [grid(4 * 40, 1, 8), floats(40 * 8, 2), grid(8, 3, 4), floats(8 * 4, 4)]
    const nodes = [
      makeNode({ opType: 'MatMul', name: 'mm1', inputs: ['x', 'w1'], outputs: ['p'] }),
      makeNode({ opType: 'Add', name: 'bias', inputs: ['p', 'b1'], outputs: ['s'] }),
      makeNode({ opType: 'Relu', name: 'relu', inputs: ['s'], outputs: ['h'] }),
      makeNode({ opType: 'MatMul', name: 'mm2', inputs: ['h', 'w2'], outputs: ['y'] }),
    ]
    const weights = [
      makeTensor('w1', DataType.FLOAT, [40, 8], w1),
      makeTensor('b1', DataType.FLOAT, [8], b1),
      makeTensor('w2', DataType.FLOAT, [8, 4], w2),
    ]
    const model = makeModel([{ name: 'x', dims: [4, 40] }], [{ name: 'y', dims: [4, 4] }], nodes, weights)
    const { path: om } = await compile(model)
    const { y } = await runOm(om, { x })
    const product = (a: number[], b: Float32Array, k: number, n: number) =>
      Array.from({ length: (a.length / k) * n }, (_, index) => {
        const [row, column] = [Math.floor(index / n), index % n]
        let sum = 0
        for (let i = 0; i < k; i++) sum += f16(a[row * k + i]!) * f16(b[i * n + column]!)
        return sum
      })
    const hidden = product(Array.from(x), w1, 40, 8).map((sum, index) =>
      f16(Math.max(0, sum + f16(b1[index % 8]!))),
    )
    const expected = product(hidden, w2, 8, 4).map(f16)
    // The reference sums in double, the runtime in float32: a tie may fall to the other side, by one unit.
    let different = 0
    Array.from(y!.data).forEach((actual, index) => {
      const unit = 2 ** (Math.floor(Math.log2(Math.abs(expected[index]!))) - 10)
      expect(Math.abs(actual - expected[index]!)).toBeLessThanOrEqual(unit)
      if (actual !== expected[index]) different++
      expect(f16(actual)).toBe(actual)
    })
    expect(different).toBeLessThanOrEqual(1)
  })

  it('saturates at 65504 and leaves integers alone', async () => {
    const nodes = [
      makeNode({ opType: 'Mul', name: 'big', inputs: ['x', 'k'], outputs: ['m'] }),
      makeNode({
        opType: 'Cast',
        name: 'cast',
        inputs: ['i'],
        outputs: ['f'],
        attributes: { to: DataType.FLOAT },
      }),
      makeNode({ opType: 'Add', name: 'sum', inputs: ['i', 'one'], outputs: ['j'] }),
      makeNode({ opType: 'Sub', name: 'minus', inputs: ['j', 'i'], outputs: ['d'] }),
      makeNode({
        opType: 'Cast',
        name: 'cast2',
        inputs: ['d'],
        outputs: ['g'],
        attributes: { to: DataType.FLOAT },
      }),
    ]
    const weights = [
      makeTensor('k', DataType.FLOAT, [1], [1e6]),
      makeTensor('one', DataType.INT64, [1], [1n]),
    ]
    const outputs = ['m', 'f', 'g'].map((name) => ({ name, dims: [2] }))
    const inputs = [
      { name: 'x', dims: [2] },
      { name: 'i', dims: [2], type: DataType.INT64 },
    ]
    const { path: om } = await compile(makeModel(inputs, outputs, nodes, weights))
    const result = await runOm(om, { x: Float32Array.of(1, -3), i: BigInt64Array.of(4097n, 123456789n) })
    expect(Array.from(result.m!.data)).toEqual([65504, -65504])
    expect(Array.from(result.f!.data)).toEqual([4096, 65504])
    expect(Array.from(result.g!.data)).toEqual([1, 1])
  })

  it('folds batch normalisation exactly enough, and fp32 keeps ONNX Runtime results', async () => {
    const nodes = [
      makeNode({
        opType: 'Conv',
        name: 'c',
        inputs: ['x', 'w'],
        outputs: ['h'],
        attributes: { pads: [1, 1, 1, 1] },
      }),
      makeNode({
        opType: 'BatchNormalization',
        name: 'bn',
        inputs: ['h', 'g', 'b', 'm', 'v'],
        outputs: ['n'],
      }),
      makeNode({ opType: 'Sigmoid', name: 's', inputs: ['n'], outputs: ['t'] }),
      makeNode({ opType: 'Mul', name: 'silu', inputs: ['n', 't'], outputs: ['y'] }),
    ]
    const vector = (name: string, seed: number, base: number) =>
      makeTensor(
        name,
        DataType.FLOAT,
        [8],
        floats(8, seed, 1).map((value) => value + base),
      )
    const weights = [
      makeTensor('w', DataType.FLOAT, [8, 3, 3, 3], floats(216, 9, 1)),
      vector('g', 10, 1),
      vector('b', 11, 0),
      vector('m', 12, 0),
      vector('v', 13, 1),
    ]
    const inputs = [{ name: 'x', dims: [1, 3, 8, 8] }]
    const model = makeModel(inputs, [{ name: 'y', dims: [1, 8, 8, 8] }], nodes, weights)
    const x = floats(192, 14)
    const exact = await compile(model, { precision: 'fp32' })
    const half = await compile(model)
    expect(half.cost.kernels.map((kernel) => kernel.opType)).toEqual(['TransData', 'Conv2D', 'TransData'])
    const reference = (await runOnnx(exact.source, { x: new OrtTensor('float32', x, [1, 3, 8, 8]) })).y!
    expect(sqnr(reference, (await runOm(exact.path, { x })).y!.data)).toBeGreaterThan(110)
    const decibels = sqnr(reference, (await runOm(half.path, { x })).y!.data)
    expect(decibels).toBeGreaterThan(55)
    expect(decibels).toBeLessThan(90)
  })

  it('rounds inside the branches of an If', async () => {
    const branch = (name: string, factor: number) => ({
      ...makeModel(
        [],
        [{ name: `${name}_y`, dims: [2] }],
        [makeNode({ opType: 'Mul', name, inputs: ['x', `${name}_k`], outputs: [`${name}_y`] })],
        [makeTensor(`${name}_k`, DataType.FLOAT, [], [factor])],
      ).graph,
    })
    const choose = makeNode({ opType: 'If', name: 'if', inputs: ['c'], outputs: ['y'] })
    choose.attributes.push({ name: 'then_branch', type: 'graph', value: branch('a', 1 / 3) })
    choose.attributes.push({ name: 'else_branch', type: 'graph', value: branch('b', 2) })
    const zero = makeTensor('zero', DataType.FLOAT, [1], [0])
    const nodes = [
      makeNode({
        opType: 'ReduceSum',
        name: 'sum',
        inputs: ['x'],
        outputs: ['r'],
        attributes: { keepdims: 0 },
      }),
      makeNode({ opType: 'Greater', name: 'gt', inputs: ['r', 'zero'], outputs: ['c'] }),
      choose,
    ]
    const model = makeModel([{ name: 'x', dims: [2] }], [{ name: 'y', dims: [2] }], nodes, [zero])
    const { path: om } = await compile(model)
    const { y } = await runOm(om, { x: Float32Array.of(1, 5) })
    expect(Array.from(y!.data, (value) => f16(value))).toEqual(Array.from(y!.data))
    expect(y!.data[1]).toBeCloseTo(5 / 3, 2)
  })

  it('keeps FLOAT16 inputs and outputs of an FP16 model', async () => {
    const nodes = [makeNode({ opType: 'Mul', name: 'm', inputs: ['x', 'k'], outputs: ['y'] })]
    const type = DataType.FLOAT16
    const weights = [makeTensor('k', type, [4], [1, 2, 3, 0.1])]
    const model = makeModel(
      [{ name: 'x', dims: [4], type }],
      [{ name: 'y', dims: [4], type }],
      nodes,
      weights,
    )
    const { path: om } = await compile(model)
    const summary = inspectOm(om)
    expect(summary.inputs[0]!.dataType).toBe('float16')
    expect(summary.outputs[0]!.size).toBe(8)
  })
})

describe('dynamic gears', () => {
  const model = () =>
    makeModel(
      [{ name: 'x', dims: ['N', 16] }],
      [{ name: 'y', dims: ['N', 4] }],
      [makeNode({ opType: 'MatMul', name: 'mm', inputs: ['x', 'w'], outputs: ['y'] })],
      [makeTensor('w', DataType.FLOAT, [16, 4], floats(64, 20))],
    )

  it('compiles a batch model with a cost per gear and runs every gear', async () => {
    const values = [1, 2, 64]
    const { path: om } = await compile(model(), {
      inputShapes: { x: [-1, 16] },
      gears: { kind: 'batch', values },
    })
    const summary = inspectOm(om)
    expect(summary.gears).toEqual({ kind: 'batch', values })
    expect(summary.inputs.map((input) => [input.name, input.dims, input.size])).toEqual([
      ['x', [-1, 16], 64 * 16 * 4],
      ['ascend_mbatch_shape_data', [1], 8],
    ])
    expect(summary.outputs[0]!.dims).toEqual([-1, 4])
    const costs = readOmManifest(om)!.costs
    expect(costs).toHaveLength(3)
    expect(costs[2]!.totalNs).toBeGreaterThanOrEqual(costs[0]!.totalNs)
    const x = floats(32, 21)
    const { y } = await runOm(om, { x }, { x: [2, 16] })
    expect(y!.dims).toEqual([2, 4])
  })

  it.each([
    [{ kind: 'batch' as const, values: [4] }, '1 gears'],
    [{ kind: 'batch' as const, values: [1, 1] }, 'twice'],
    [{ kind: 'batch' as const, values: [1, 4096] }, '4096'],
    [
      {
        kind: 'dims' as const,
        values: [
          [1, 2],
          [3, 4],
        ],
      },
      '2 values',
    ],
    [
      {
        kind: 'image' as const,
        values: [
          [8, 8],
          [16, 16],
        ] as [number, number][],
      },
      'x',
    ],
  ])('refuses %o', async (gears, text) => {
    await expect(compile(model(), { inputShapes: { x: [-1, 16] }, gears })).rejects.toThrow(text)
  })
})

describe('sample models', () => {
  const samples = path.join(import.meta.dirname, '../../../resources/samples')
  const lm = path.join(samples, 'tiny-lm/lm.onnx')

  it('the language model stays close to FP32', async () => {
    const { path: om } = await compile(openModel(lm), { inputShapes: { input_ids: [1, 128] } })
    const tokens = BigInt64Array.from({ length: 128 }, (_, i) => BigInt((i * 7) % 64))
    const reference = await runOnnx(lm, { input_ids: new OrtTensor('int64', tokens, [1, 128]) })
    const { logits } = await runOm(om, { input_ids: tokens })
    expect(sqnr(reference.logits!, logits!.data)).toBeGreaterThan(45)
  })
})

/** Fields of a protobuf message: number -> values (varints as numbers, else bytes). */
function decode(bytes: Buffer): Map<number, (number | Buffer)[]> {
  const fields = new Map<number, (number | Buffer)[]>()
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const key = varint()
    const length = (key & 7) === 2 ? varint() : 0
    const value = (key & 7) === 2 ? bytes.subarray(at, (at += length)) : varint()
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value])
  }
  return fields
}

describe('the file', () => {
  const product = () =>
    makeModel(
      [{ name: 'x', dims: [2, 8] }],
      [{ name: 'y', dims: [2, 8] }],
      [makeNode({ opType: 'MatMul', name: 'mm', inputs: ['x', 'w'], outputs: ['y'] })],
      [makeTensor('w', DataType.FLOAT, [8, 8], floats(64, 40))],
    )

  it('has Const operators that point at the bytes of their weight', async () => {
    const { path: om } = await compile(product())
    const bytes = fs.readFileSync(om)
    // Header 256, table 8 + 5 * 24; each entry: type at 0, offset at 8, size at 16.
    const data = 256 + 8 + 5 * 24
    const entry = (type: number): Buffer => {
      for (let at = 264; ; at += 24) {
        if (bytes.readUInt32LE(at) !== type) continue
        const start = data + Number(bytes.readBigUInt64LE(at + 8))
        return bytes.subarray(start, start + Number(bytes.readBigUInt64LE(at + 16)))
      }
    }
    const [graph] = decode(entry(0)).get(7) as Buffer[]
    const ops = (decode(graph!).get(6) as Buffer[]).map(decode)
    const constant = ops.find((op) => String(op.get(2)![0]) === 'Const')!
    const desc = decode(constant.get(34)![0] as Buffer)
    const [offset, length] = [desc.get(18)![0] as number, desc.get(11)![0] as number]
    expect(length).toBe(128)
    const stored = entry(1).subarray(offset, offset + length)
    const halves = Array.from({ length: 64 }, (_, i) => {
      const bits = stored.readUInt16LE(2 * i)
      const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023]
      const magnitude = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15)
      return bits & 0x8000 ? -magnitude : magnitude
    })
    expect(halves).toEqual(Array.from(floats(64, 40), f16))
  })

  it('is not there after a cancel or an error', async () => {
    const source = (await compile(product())).source
    const outputPath = path.join(folder, 'never.om')
    const request = { modelPath: source, soc: 'Ascend310P3', precision: 'fp16' as const, outputPath }
    const controller = new AbortController()
    const onProgress = ({ item }: Progress) => item === 'write' && controller.abort()
    await expect(compileModel(request, { signal: controller.signal, onProgress })).rejects.toMatchObject({
      code: 'E_CANCELLED',
    })
    await expect(compileModel({ ...request, soc: 'Ascend310P4' })).rejects.toMatchObject({
      code: 'E_SOC_UNKNOWN',
    })
    await expect(compileModel({ ...request, precision: 'int8' })).rejects.toMatchObject({
      code: 'E_COMPILE_PRECISION',
    })
    expect(fs.readdirSync(folder).filter((name) => name.includes('never'))).toEqual([])
  })

  it('refuses operators of other domains and QDQ models by the name of the node', async () => {
    const model = (node: Node) =>
      makeModel([{ name: 'x', dims: [4] }], [{ name: 'y', dims: [4] }], [node], [])
    const foreign = makeNode({
      opType: 'Gelu',
      domain: 'com.microsoft',
      name: 'f',
      inputs: ['x'],
      outputs: ['y'],
    })
    await expect(compile(model(foreign))).rejects.toThrow('"f"')
    const scale = makeTensor('s', DataType.FLOAT, [], [1])
    const qdq = model(makeNode({ opType: 'QuantizeLinear', name: 'q', inputs: ['x', 's'], outputs: ['y'] }))
    qdq.graph.initializers.set('s', scale)
    qdq.graph.outputs[0]!.elementType = DataType.UINT8
    await expect(compile(qdq)).rejects.toMatchObject({ code: 'E_COMPILE_QDQ' })
  })
})

describe('recoverOnnx', () => {
  it('gives back names, inputs, outputs and FP16 weights; the model runs', async () => {
    const w = floats(64, 30)
    const nodes = [
      makeNode({ opType: 'MatMul', name: 'layer.mm', inputs: ['x', 'layer.weight'], outputs: ['h'] }),
      makeNode({ opType: 'Sigmoid', name: 'act', inputs: ['h'], outputs: ['a'] }),
      makeNode({ opType: 'Softmax', name: 'sm', inputs: ['a'], outputs: ['y'] }),
    ]
    const model = makeModel([{ name: 'x', dims: [2, 8] }], [{ name: 'y', dims: [2, 8] }], nodes, [
      makeTensor('layer.weight', DataType.FLOAT, [8, 8], w),
    ])
    const { path: om } = await compile(model)
    const recovered = recoverOnnx(om)
    expect(recovered.graph.nodes.map((node) => [node.name, node.inputs, node.outputs])).toEqual(
      nodes.map((node) => [node.name, node.inputs, node.outputs]),
    )
    expect([...recovered.graph.initializers.keys()]).toEqual(['layer.weight'])
    expect(recovered.opsetImports.map((entry) => entry.domain)).toEqual([''])
    const file = path.join(folder, 'recovered.onnx')
    saveModel(recovered, file)
    const x = floats(16, 31)
    const { y } = await runOnnx(file, { x: new OrtTensor('float32', x, [2, 8]) })
    expect(sqnr(y!, (await runOm(om, { x })).y!.data)).toBeGreaterThan(55)
    const again = await compile(openModel(file))
    expect(fs.statSync(again.path).size).toBeGreaterThan(0)
  })
})
