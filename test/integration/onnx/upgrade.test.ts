// Opset upgrades: old and upgraded models must compute the same in ONNX Runtime.
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { DataType, opsetVersion, upgradeOpset, validateModel } from '../../../engine/onnx/index.ts'
import {
  constant,
  floats,
  int64s,
  makeGraph,
  makeModel,
  operatorModel,
  valueInfo,
} from '../../fixtures/onnx-build.ts'
import type { OperatorCase } from '../../fixtures/onnx-build.ts'
import { makeFeeds, runModel } from './runtime.ts'

type Case = OperatorCase & { opset: number; to?: number; label?: string }

const cases: Case[] = [
  { opType: 'Softmax', opset: 11, inputs: [[2, 3, 4]], label: 'default axis of 3 dimensions' },
  { opType: 'Softmax', opset: 11, inputs: [[2, 3, 4]], attributes: { axis: 2 } },
  { opType: 'Softmax', opset: 11, inputs: [[2, 3, 4]], attributes: { axis: -2 }, label: 'negative axis' },
  { opType: 'Softmax', opset: 7, inputs: [[2, 3, 4, 5]], attributes: { axis: 2 } },
  { opType: 'Softmax', opset: 12, inputs: [[2, 3]], attributes: { axis: 0 }, label: 'axis 0' },
  { opType: 'LogSoftmax', opset: 9, inputs: [[2, 3, 4]] },
  { opType: 'Hardmax', opset: 11, inputs: [[2, 3, 4]] },
  { opType: 'Squeeze', opset: 11, inputs: [[1, 3, 1, 4]], attributes: { axes: [0, 2] } },
  { opType: 'Squeeze', opset: 11, inputs: [[1, 3, 1, 4]], label: 'all axes' },
  { opType: 'Unsqueeze', opset: 11, inputs: [[3, 4]], attributes: { axes: [0, -1] } },
  { opType: 'ReduceSum', opset: 11, inputs: [[2, 3, 4]], attributes: { axes: [-1], keepdims: 0 } },
  { opType: 'ReduceSum', opset: 11, inputs: [[2, 3, 4]], label: 'all axes' },
  { opType: 'ReduceMean', opset: 11, inputs: [[2, 3, 4]], attributes: { axes: [1, 2] }, to: 18 },
  { opType: 'ReduceMax', opset: 13, inputs: [[2, 3, 4]], attributes: { axes: [1] }, to: 21 },
  { opType: 'ReduceL2', opset: 11, inputs: [[2, 3, 4]], to: 18 },
  { opType: 'Split', opset: 11, inputs: [[2, 6]], attributes: { axis: 1, split: [1, 2, 3] }, outputs: 3 },
  {
    opType: 'Split',
    opset: 11,
    inputs: [[2, 6]],
    attributes: { axis: 1 },
    outputs: 3,
    to: 18,
    label: 'equal parts',
  },
  { opType: 'Clip', opset: 7, inputs: [[3, 4]], attributes: { min: { float: -1 }, max: { float: 0.5 } } },
  { opType: 'Clip', opset: 10, inputs: [[3, 4]], attributes: { max: { float: 0.5 } }, label: 'max only' },
  { opType: 'Clip', opset: 10, inputs: [[3, 4]], attributes: { min: { float: 0 } }, label: 'min only' },
  { opType: 'Clip', opset: 10, inputs: [[3, 4]], label: 'no bounds' },
  { opType: 'Pad', opset: 7, inputs: [[2, 3]], attributes: { pads: [1, 0, 2, 1], value: { float: 1.5 } } },
  { opType: 'Pad', opset: 10, inputs: [[2, 3]], attributes: { pads: [1, 1, 1, 1], mode: 'reflect' } },
  {
    opType: 'Slice',
    opset: 7,
    inputs: [[4, 5]],
    attributes: { starts: [1, -3], ends: [3, 9], axes: [0, 1] },
  },
  {
    opType: 'Slice',
    opset: 9,
    inputs: [[4, 5]],
    attributes: { starts: [1], ends: [-1] },
    label: 'default axes',
  },
  { opType: 'TopK', opset: 7, inputs: [[3, 5]], attributes: { k: 2, axis: 1 }, outputs: 2 },
  { opType: 'TopK', opset: 10, inputs: [[3, 5], int64s(2)], outputs: 2 },
  {
    opType: 'Upsample',
    opset: 7,
    inputs: [[1, 2, 3, 4]],
    attributes: { scales: { floats: [1, 1, 2, 3] }, mode: 'nearest' },
  },
  {
    opType: 'Upsample',
    opset: 9,
    inputs: [[1, 2, 3, 4], floats(1, 1, 2, 2.5)],
    attributes: { mode: 'nearest' },
  },
  {
    opType: 'Upsample',
    opset: 9,
    inputs: [[1, 2, 3, 4], floats(1, 1, 2, 2)],
    attributes: { mode: 'linear' },
  },
  {
    opType: 'Resize',
    opset: 10,
    inputs: [[1, 2, 6, 6], floats(1, 1, 0.5, 0.4)],
    attributes: { mode: 'nearest' },
    label: 'smaller',
  },
  {
    opType: 'Resize',
    opset: 10,
    inputs: [[1, 2, 6, 6], floats(1, 1, 1.5, 2)],
    attributes: { mode: 'linear' },
  },
  { opType: 'Dropout', opset: 7, inputs: [[3, 4]], attributes: { ratio: 0.3 } },
  { opType: 'Dropout', opset: 10, inputs: [[3, 4]] },
  {
    opType: 'BatchNormalization',
    opset: 7,
    inputs: [[2, 3, 4], floats(1, 2, 3), floats(0.1, 0.2, 0.3), floats(0, 1, -1), floats(1, 0.5, 2)],
    attributes: { epsilon: 0.001 },
    to: 15,
  },
  { opType: 'Gemm', opset: 7, inputs: [[2, 3], [3, 4], [4]], attributes: { alpha: 0.5, beta: 2.5 } },
  { opType: 'Cast', opset: 7, inputs: [[2, 3]], attributes: { to: DataType.INT32 } },
  {
    opType: 'Scatter',
    opset: 9,
    inputs: [[3, 3], constant(DataType.INT64, [1, 3], [0, 1, 2]), [1, 3]],
    attributes: { axis: 0 },
  },
  {
    opType: 'RoiAlign',
    opset: 11,
    inputs: [[1, 2, 8, 8], constant(DataType.FLOAT, [1, 4], [0, 0, 5, 5]), int64s(0)],
    attributes: { output_height: 2, output_width: 2 },
    to: 16,
  },
  {
    opType: 'GridSample',
    opset: 16,
    inputs: [
      [1, 2, 4, 4],
      [1, 3, 3, 2],
    ],
    attributes: { mode: 'bilinear' },
    to: 20,
  },
  {
    opType: 'Conv',
    opset: 7,
    inputs: [
      [1, 2, 5, 5],
      [3, 2, 3, 3],
    ],
    attributes: { pads: [1, 1, 1, 1] },
    to: 22,
  },
  { opType: 'MaxPool', opset: 7, inputs: [[1, 2, 5, 5]], attributes: { kernel_shape: [2, 2] }, to: 22 },
]

const targetOf = (spec: Case): number => spec.to ?? 13

describe('upgradeOpset', () => {
  it.each(
    cases.map(
      (spec) => [`${spec.opType} ${spec.opset} -> ${targetOf(spec)} ${spec.label ?? ''}`, spec] as const,
    ),
  )('%s computes the same', async (_, spec) => {
    const model = operatorModel(spec)
    const upgraded = upgradeOpset(model, targetOf(spec))
    validateModel(upgraded)
    expect(opsetVersion(upgraded)).toBe(targetOf(spec))
    expect(opsetVersion(model)).toBe(spec.opset)
    const feeds = makeFeeds(model, {})
    const [before, after] = [await runModel(model, feeds), await runModel(upgraded, feeds)]
    for (const name of Object.keys(before)) {
      expect(after[name]!.dims).toEqual(before[name]!.dims)
      expect(after[name]!.data).toEqual(before[name]!.data)
    }
  })

  it('upgrades the branches of If', async () => {
    const inner = (axis: number) =>
      makeGraph({
        name: `branch${axis}`,
        nodes: operatorModel({ opType: 'Softmax', opset: 11, inputs: [[2, 3, 4]], attributes: { axis } })
          .graph.nodes,
        outputs: [{ name: 'y0' }],
      })
    const graph = makeGraph({
      inputs: [valueInfo('x0', DataType.FLOAT, [2, 3, 4]), valueInfo('condition', DataType.BOOL, [1])],
      nodes: [
        {
          name: 'if',
          opType: 'If',
          domain: '',
          inputs: ['condition'],
          outputs: ['y'],
          attributes: [
            { name: 'then_branch', type: 'graph', value: inner(1) },
            { name: 'else_branch', type: 'graph', value: inner(2) },
          ],
        },
      ],
      outputs: [{ name: 'y' }],
    })
    const model = makeModel(graph, 11)
    const upgraded = upgradeOpset(model, 13)
    const feeds = makeFeeds(model, {})
    expect((await runModel(upgraded, feeds))['y']!.data).toEqual((await runModel(model, feeds))['y']!.data)
  })

  it('frees the initializers of an IR 3 model from the inputs', async () => {
    const model = operatorModel({ opType: 'Add', opset: 8, inputs: [[2, 3], floats(1, 2, 3)] })
    model.irVersion = 3
    model.graph.initializerInputs = [valueInfo('x1', DataType.FLOAT, [3])]
    const upgraded = upgradeOpset(model, 13)
    expect(upgraded.graph.initializerInputs).toEqual([])
    expect(upgraded.irVersion).toBe(7)
    const feeds = makeFeeds(model, {})
    expect((await runModel(upgraded, feeds))['y0']!.data).toEqual((await runModel(model, feeds))['y0']!.data)
  })

  it('returns the model itself when there is nothing to do', () => {
    const model = operatorModel({ opType: 'Relu', opset: 17, inputs: [[2]] })
    expect(upgradeOpset(model, 13)).toBe(model)
  })

  it.each([
    [
      'GroupNormalization',
      {
        opType: 'GroupNormalization',
        opset: 18,
        inputs: [[1, 4, 2], floats(1, 1), floats(0, 0)],
        attributes: { num_groups: 2 },
      },
      21,
    ],
    ['Resize both ways', { opType: 'Resize', opset: 10, inputs: [[1, 2, 6, 6], floats(1, 1, 2, 0.5)] }, 13],
    ['Resize of unknown scales', { opType: 'Resize', opset: 10, inputs: [[1, 2, 6, 6], [4]] }, 13],
    [
      'BatchNormalization spatial',
      {
        opType: 'BatchNormalization',
        opset: 7,
        inputs: [[2, 3], [3], [3], [3], [3]],
        attributes: { spatial: 0 },
      },
      13,
    ],
  ] as [string, OperatorCase, number][])('refuses %s and names the layer', (_, spec, to) => {
    const attempt = (): unknown => upgradeOpset(operatorModel(spec), to)
    expect(attempt).toThrow(AppError)
    expect(attempt).toThrow(/"op" \(\w+\) cannot be upgraded/)
  })
})
