// Inferred types and shapes against ONNX Runtime: operator by operator, and every value of the sample models.
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { DataType, dataTypeName, inferShapes, openModel } from '../../../engine/onnx/index.ts'
import type { Model } from '../../../engine/onnx/index.ts'
import { constant, floats, int64s, operatorModel } from '../../fixtures/onnx-build.ts'
import type { OperatorCase } from '../../fixtures/onnx-build.ts'
import { makeFeeds, runAllValues } from './runtime.ts'

const u8 = (...dims: number[]): { dataType: DataType; dims: number[] } => ({ dataType: DataType.UINT8, dims })
const i64 = (...dims: number[]): { dataType: DataType; dims: number[] } => ({
  dataType: DataType.INT64,
  dims,
})
const bool = (...dims: number[]): { dataType: DataType; dims: number[] } => ({
  dataType: DataType.BOOL,
  dims,
})
const zero = constant(DataType.UINT8, [], [128])
const scale = constant(DataType.FLOAT, [], [0.1])
const image = [1, 4, 9, 11]

const cases: OperatorCase[] = [
  {
    opType: 'Conv',
    inputs: [image, [6, 2, 3, 3]],
    attributes: { group: 2, strides: [2, 1], pads: [1, 0, 2, 1], dilations: [1, 2] },
  },
  { opType: 'Conv', inputs: [image, [6, 4, 3, 3]], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] } },
  { opType: 'Conv', inputs: [image, [6, 4, 3, 3]], attributes: { auto_pad: 'VALID' } },
  {
    opType: 'Conv',
    inputs: [
      [2, 3, 17],
      [5, 3, 4],
    ],
  },
  {
    opType: 'ConvTranspose',
    inputs: [image, [4, 3, 3, 3]],
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 0] },
  },
  {
    opType: 'ConvTranspose',
    inputs: [image, [4, 3, 2, 2]],
    attributes: { group: 2, strides: [3, 3], dilations: [2, 2] },
  },
  {
    opType: 'ConvTranspose',
    inputs: [image, [4, 3, 3, 3]],
    attributes: { auto_pad: 'SAME_LOWER', strides: [2, 2] },
  },
  {
    opType: 'ConvTranspose',
    inputs: [image, [4, 3, 3, 3]],
    attributes: { strides: [2, 2], output_shape: [18, 22] },
  },
  {
    opType: 'MaxPool',
    inputs: [image],
    outputs: 2,
    attributes: { kernel_shape: [3, 2], strides: [2, 2], ceil_mode: 1 },
  },
  {
    opType: 'MaxPool',
    inputs: [[1, 1, 7, 7]],
    attributes: { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: 1 },
  },
  {
    opType: 'AveragePool',
    inputs: [image],
    attributes: { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 1, 1, 0] },
  },
  { opType: 'GlobalAveragePool', inputs: [image] },
  {
    opType: 'MatMul',
    inputs: [
      [5, 1, 2, 3],
      [4, 3, 6],
    ],
  },
  { opType: 'MatMul', inputs: [[3], [3, 6]] },
  { opType: 'MatMul', inputs: [[2, 3], [3]] },
  { opType: 'Gemm', inputs: [[3, 2], [4, 3], [4]], attributes: { transA: 1, transB: 1 } },
  { opType: 'Resize', inputs: [image, null, floats(1, 1, 2.5, 0.51)] },
  { opType: 'Resize', inputs: [image, null, null, int64s(1, 4, 5, 20)], attributes: { mode: 'linear' } },
  {
    opType: 'Resize',
    opset: 18,
    inputs: [image, null, null, int64s(6, 30)],
    attributes: { axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' },
  },
  { opType: 'Upsample', opset: 9, inputs: [image, floats(1, 1, 3, 2)] },
  {
    opType: 'Concat',
    inputs: [
      [2, 3],
      [2, 4],
      [2, 1],
    ],
    attributes: { axis: -1 },
  },
  { opType: 'Split', inputs: [[2, 7], int64s(3, 4)], outputs: 2, attributes: { axis: 1 } },
  { opType: 'Split', opset: 18, inputs: [[2, 7]], outputs: 3, attributes: { axis: 1, num_outputs: 3 } },
  { opType: 'Slice', inputs: [[9, 8, 7], int64s(-1, 1), int64s(-99, 100), int64s(0, 2), int64s(-2, 3)] },
  { opType: 'Slice', inputs: [[5, 6], int64s(2), int64s(2), int64s(1)] },
  { opType: 'Reshape', inputs: [[2, 3, 4], int64s(0, -1, 2)] },
  { opType: 'Flatten', inputs: [[2, 3, 4, 5]], attributes: { axis: -2 } },
  { opType: 'Transpose', inputs: [[2, 3, 4]], attributes: { perm: [1, 2, 0] } },
  { opType: 'Transpose', inputs: [[2, 3, 4]] },
  { opType: 'Squeeze', inputs: [[1, 3, 1]], attributes: {} },
  { opType: 'Unsqueeze', inputs: [[2, 3], int64s(-1, 0)] },
  {
    opType: 'Gather',
    inputs: [[5, 6, 7], constant(DataType.INT64, [2, 3], [0, 1, 2, 3, 4, 0])],
    attributes: { axis: 1 },
  },
  { opType: 'GatherElements', inputs: [[3, 4], i64(2, 4)], attributes: { axis: 0 } },
  { opType: 'GatherND', inputs: [[3, 3, 5], i64(2, 4, 2)] },
  { opType: 'GatherND', inputs: [[3, 3, 5], i64(3, 4, 1)], attributes: { batch_dims: 1 } },
  { opType: 'Pad', inputs: [[2, 3], int64s(1, 2, 0, 4)] },
  { opType: 'Pad', opset: 18, inputs: [[2, 3], int64s(1, 2), null, int64s(-1)] },
  { opType: 'Tile', inputs: [[2, 3], int64s(3, 2)] },
  { opType: 'Expand', inputs: [[3, 1], int64s(2, 1, 6)] },
  { opType: 'Where', inputs: [bool(2, 1), [3], [1, 3]] },
  {
    opType: 'Add',
    inputs: [
      [4, 1, 3],
      [2, 1],
    ],
  },
  { opType: 'Greater', inputs: [[4, 3], [3]] },
  { opType: 'Cast', inputs: [[2, 3]], attributes: { to: DataType.FLOAT16 } },
  { opType: 'TopK', inputs: [[3, 9], int64s(4)], outputs: 2, attributes: { axis: 1 } },
  { opType: 'ArgMax', inputs: [[3, 9, 2]], attributes: { axis: 1, keepdims: 0 } },
  { opType: 'ReduceMean', inputs: [[3, 9, 2]], attributes: { axes: [0, -1] } },
  { opType: 'ReduceSum', inputs: [[3, 9, 2], int64s(1)], attributes: { keepdims: 0 } },
  { opType: 'ReduceMax', inputs: [[3, 9, 2]], attributes: { keepdims: 0 } },
  {
    opType: 'Einsum',
    inputs: [
      [2, 3, 4],
      [2, 5, 4],
    ],
    attributes: { equation: 'bid,bjd->bij' },
  },
  {
    opType: 'Einsum',
    inputs: [
      [7, 2, 3, 4],
      [7, 2, 4, 5],
    ],
    attributes: { equation: '...ij, ...jk -> ...ik' },
  },
  {
    opType: 'Einsum',
    inputs: [
      [3, 4],
      [4, 5],
    ],
    attributes: { equation: 'ij,jk' },
  },
  {
    opType: 'LSTM',
    inputs: [
      [5, 2, 3],
      [2, 16, 3],
      [2, 16, 4],
    ],
    outputs: 3,
    attributes: { hidden_size: 4, direction: 'bidirectional' },
  },
  {
    opType: 'GRU',
    inputs: [
      [5, 2, 3],
      [1, 12, 3],
      [1, 12, 4],
    ],
    outputs: 2,
    attributes: { hidden_size: 4 },
  },
  { opType: 'LayerNormalization', inputs: [[2, 3, 4], [4], [4]], outputs: 3 },
  { opType: 'InstanceNormalization', inputs: [image, [4], [4]] },
  { opType: 'BatchNormalization', inputs: [image, [4], [4], [4], [4]] },
  { opType: 'Softmax', inputs: [[2, 3]] },
  { opType: 'Dropout', inputs: [[2, 3]], outputs: 2 },
  { opType: 'DepthToSpace', inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2 } },
  { opType: 'SpaceToDepth', inputs: [[1, 2, 4, 6]], attributes: { blocksize: 2 } },
  { opType: 'GridSample', inputs: [image, [1, 5, 6, 2]] },
  { opType: 'OneHot', inputs: [i64(2, 3), int64s(5), floats(0, 1)], attributes: { axis: 1 } },
  {
    opType: 'Range',
    inputs: [
      constant(DataType.INT64, [], [2]),
      constant(DataType.INT64, [], [11]),
      constant(DataType.INT64, [], [4]),
    ],
  },
  { opType: 'ConstantOfShape', inputs: [int64s(2, 3)] },
  { opType: 'Shape', opset: 15, inputs: [[2, 3, 4]], attributes: { start: -2 } },
  { opType: 'QuantizeLinear', inputs: [[2, 3], scale, zero] },
  { opType: 'DequantizeLinear', inputs: [u8(2, 3), scale, zero] },
  { opType: 'DynamicQuantizeLinear', inputs: [[2, 3]], outputs: 3 },
  { opType: 'ConvInteger', inputs: [u8(...image), u8(6, 4, 3, 3), zero] },
  { opType: 'MatMulInteger', inputs: [u8(2, 3), u8(3, 4)] },
  {
    opType: 'QLinearConv',
    inputs: [
      u8(...image),
      scale,
      zero,
      { dataType: DataType.UINT8, dims: [6, 4, 3, 3] },
      scale,
      zero,
      scale,
      zero,
    ],
  },
  { opType: 'QLinearMatMul', inputs: [u8(2, 3), scale, zero, u8(3, 4), scale, zero, scale, zero] },
  { opType: 'Gelu', domain: 'com.microsoft', inputs: [[2, 3]] },
  { opType: 'FastGelu', domain: 'com.microsoft', inputs: [[2, 3], [3]] },
  { opType: 'SkipLayerNormalization', domain: 'com.microsoft', inputs: [[1, 2, 4], [1, 2, 4], [4]] },
]

async function compare(model: Model, shapes: Record<string, number[]>): Promise<void> {
  const inferred = inferShapes(model, shapes)
  const actual = await runAllValues(model, makeFeeds(model, shapes))
  const got: Record<string, unknown> = {}
  const wanted: Record<string, unknown> = {}
  for (const [name, tensor] of Object.entries(actual)) {
    const value = inferred.get(name)
    got[name] = value && { type: dataTypeName(value.dataType), dims: value.dims }
    wanted[name] = { type: tensor.type, dims: [...tensor.dims] }
  }
  expect(Object.keys(wanted).length).toBeGreaterThan(0)
  expect(got).toEqual(wanted)
}

describe('inferShapes against ONNX Runtime', () => {
  it.each(cases.map((spec) => [`${spec.opType} ${JSON.stringify(spec.attributes ?? {})}`, spec] as const))(
    '%s',
    async (_, spec) => {
      await compare(operatorModel(spec), {})
    },
  )

  const root = path.resolve('resources/samples')
  const files = existsSync(root)
    ? readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.onnx'))
    : []

  it.each(files)('every value of the sample %s', async (name) => {
    const model = openModel(path.join(root, name))
    const shapes = Object.fromEntries(
      model.graph.inputs.map((info) => [info.name, info.shape!.map((dimension) => dimension.value ?? 2)]),
    )
    await compare(model, shapes)
  })

  it.each(files)('what is known of the sample %s without input sizes agrees', async (name) => {
    const model = openModel(path.join(root, name))
    const shapes = Object.fromEntries(
      model.graph.inputs.map((info) => [info.name, info.shape!.map((dimension) => dimension.value ?? 3)]),
    )
    const inferred = inferShapes(model)
    for (const [value, tensor] of Object.entries(await runAllValues(model, makeFeeds(model, shapes)))) {
      const known = inferred.get(value)!.dims!.map((dim, axis) => dim ?? tensor.dims[axis])
      expect({ value, dims: known }).toEqual({ value, dims: [...tensor.dims] })
    }
  })
})
