// Per-channel statistics against the tensors themselves, as ONNX Runtime returns them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  channelKey,
  type ChannelRequest,
  collectChannelStatistics,
  modelInputs,
  openDataset,
} from '../../../engine/calibration/index.ts'
import { cloneModel, DataType, type Model, serializeModel } from '../../../engine/onnx/index.ts'
import { buildModel, weights, writeFixture } from './models.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'channels-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function network(opset: number): Model {
  return buildModel({
    opset,
    inputs: { x: ['N', 3, 8, 8] },
    outputs: ['y'],
    nodes: [
      { opType: 'Conv', name: 'one', inputs: ['x', 'w'], outputs: ['c'] },
      { opType: 'Tanh', name: 'gate', inputs: ['c'], outputs: ['m'] },
      {
        opType: 'Transpose',
        name: 'last',
        inputs: ['m'],
        outputs: ['t'],
        attributes: { perm: [0, 2, 3, 1] },
      },
      { opType: 'MatMul', name: 'two', inputs: ['t', 'v'], outputs: ['y'] },
    ],
    initializers: [weights('w', [4, 3, 3, 3]), weights('v', [4, 2])],
  })
}

/** Straight from the definition, over any number of tensors of one shape but for the first dimension. */
function bruteForce(tensors: ort.Tensor[], axis: number): Record<string, number[]> {
  const channels = tensors[0]!.dims.at(axis)!
  const values = Array.from({ length: channels }, (): number[] => [])
  for (const tensor of tensors) {
    const place = axis < 0 ? tensor.dims.length + axis : axis
    const inner = tensor.dims.slice(place + 1).reduce((product, dim) => product * dim, 1)
    ;(tensor.data as Float32Array).forEach((value, index) =>
      values[Math.floor(index / inner) % channels]!.push(value),
    )
  }
  return {
    min: values.map((list) => Math.min(...list)),
    max: values.map((list) => Math.max(...list)),
    absMax: values.map((list) => Math.max(...list.map(Math.abs))),
    mean: values.map((list) => list.reduce((sum, value) => sum + value, 0) / list.length),
  }
}

describe('statistics of channels', () => {
  // 18 moved the axes of ReduceMin, ReduceMax and ReduceMean from attribute to input.
  it.each([9, 13, 17, 18, 20])('are those of the tensors themselves, opset %d', async (opset) => {
    const model = network(opset)
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 5)
    // 5 samples in batches of 2: the last run holds fewer values and must weigh less in the mean.
    const dataset = openDataset({ folder: dataFolder, batchSize: 2 }, modelInputs(model))
    const requests: ChannelRequest[] = [
      { tensor: 'x', axis: 1 },
      { tensor: 'm', axis: 1 },
      { tensor: 'm', axis: 3 },
      { tensor: 't', axis: -1 },
      { tensor: 'y', axis: -1 },
    ]
    const statistics = await collectChannelStatistics(model, dataset, requests)
    expect(statistics.size).toBe(requests.length)

    const exposed = cloneModel(model)
    exposed.graph.outputs = ['m', 't', 'y'].map((name) => ({ name, elementType: DataType.FLOAT }))
    const session = await ort.InferenceSession.create(serializeModel(exposed))
    const runs: Record<string, ort.Tensor>[] = []
    for (let index = 0; index < dataset.count; index++) {
      const feed = dataset.load(index).x!
      const x = new ort.Tensor('float32', feed.data as Float32Array, feed.dims)
      runs.push({ x, ...((await session.run({ x })) as Record<string, ort.Tensor>) })
    }
    for (const request of requests) {
      const expected = bruteForce(
        runs.map((run) => run[request.tensor]!),
        request.axis,
      )
      const actual = statistics.get(channelKey(request))!
      for (const field of ['min', 'max', 'absMax', 'mean'] as const) {
        expect(actual[field].length).toBe(expected[field]!.length)
        expected[field]!.forEach((value, channel) => expect(actual[field][channel]).toBeCloseTo(value, 5))
      }
    }
  })

  it('reads float16 inputs', async () => {
    const model = buildModel({
      inputs: { x: [2, 2] },
      inputType: DataType.FLOAT16,
      outputs: ['y'],
      nodes: [{ opType: 'Identity', name: 'i', inputs: ['x'], outputs: ['y'] }],
      initializers: [],
    })
    // [[1, -2], [0.5, 65504]] as binary16.
    writeFileSync(path.join(folder, '0.bin'), Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x7bff))
    const dataset = openDataset({ folder }, modelInputs(model))
    const request = { tensor: 'x', axis: -1 }
    const options = { float16Tensors: new Set(['x']) }
    const statistics = await collectChannelStatistics(model, dataset, [request], options)
    expect(statistics.get(channelKey(request))).toEqual({
      min: Float32Array.of(0.5, -2),
      max: Float32Array.of(1, 65504),
      absMax: Float32Array.of(1, 65504),
      mean: Float32Array.of(0.75, 32751),
    })
  })

  it('names the layer that reads a NaN, and stops when cancelled', async () => {
    const model = network(17)
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 3)
    const dataset = openDataset({ folder: dataFolder }, modelInputs(model))
    const controller = new AbortController()
    const onProgress = (): void => controller.abort()
    const requests = [{ tensor: 'm', axis: 1 }]
    const running = collectChannelStatistics(
      model,
      dataset,
      requests,
      {},
      { signal: controller.signal, onProgress },
    )
    await expect(running).rejects.toMatchObject({ code: 'E_CANCELLED' })

    model.graph.nodes[1]!.opType = 'Sqrt'
    const failing = collectChannelStatistics(model, dataset, requests, { layerOf: () => 'two' })
    await expect(failing).rejects.toMatchObject({
      code: 'E_ACTIVATION_NOT_FINITE',
      details: { layer: 'two', value: 'NaN' },
    })
  })

  it('refuses an axis that the tensor does not have', async () => {
    const model = network(17)
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 1)
    const dataset = openDataset({ folder: dataFolder }, modelInputs(model))
    const running = collectChannelStatistics(model, dataset, [{ tensor: 'm', axis: 5 }])
    await expect(running).rejects.toMatchObject({ code: 'E_CALIBRATION_RUN' })
  })
})
