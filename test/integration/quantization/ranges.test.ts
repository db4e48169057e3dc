// Activation ranges against the tensors themselves, as ONNX Runtime returns them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { collectRanges, modelInputs, openDataset } from '../../../engine/calibration/index.ts'
import { cloneModel, DataType, type Model, openModel, serializeModel } from '../../../engine/onnx/index.ts'
import { buildModel, weights, writeFixture } from './models.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ranges-'))
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
      { opType: 'Sigmoid', name: 'gate', inputs: ['c'], outputs: ['s'] },
      { opType: 'Mul', name: 'silu', inputs: ['c', 's'], outputs: ['m'] },
      { opType: 'Conv', name: 'two', inputs: ['m', 'v'], outputs: ['y'] },
    ],
    initializers: [weights('w', [4, 3, 3, 3]), weights('v', [2, 4, 1, 1])],
  })
}

describe('ranges', () => {
  // 13 and 18 moved the axes of ReduceSum and of ReduceMin / ReduceMax from attribute to input.
  it.each([9, 13, 17, 18, 20])('are those of the tensors themselves, opset %d', async (opset) => {
    const model = network(opset)
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 5)
    const dataset = openDataset({ folder: dataFolder, batchSize: 2 }, modelInputs(model))
    const tensors = ['x', 'm', 'c']
    const ranges = await collectRanges(model, dataset, tensors)

    const exposed = cloneModel(model)
    exposed.graph.outputs = ['m', 'c'].map((name) => ({ name, elementType: DataType.FLOAT }))
    const session = await ort.InferenceSession.create(serializeModel(exposed))
    for (const tensor of tensors) {
      let [min, max] = [Infinity, -Infinity]
      for (let index = 0; index < dataset.count; index++) {
        const feed = dataset.load(index).x!
        const x = new ort.Tensor('float32', feed.data as Float32Array, feed.dims)
        const results = tensor === 'x' ? { x } : await session.run({ x })
        const values = (results as Record<string, ort.Tensor>)[tensor]?.data as Float32Array
        min = Math.min(min, ...values)
        max = Math.max(max, ...values)
      }
      expect(ranges.get(tensor)?.min).toBeCloseTo(min, 5)
      expect(ranges.get(tensor)?.max).toBeCloseTo(max, 5)
    }
  })

  it('reads float16 inputs', async () => {
    const model = buildModel({
      inputs: { x: [1, 4] },
      inputType: DataType.FLOAT16,
      outputs: ['y'],
      nodes: [{ opType: 'Identity', name: 'i', inputs: ['x'], outputs: ['y'] }],
      initializers: [],
    })
    // 1, -2, 0.5 and 65504 as binary16.
    writeFileSync(path.join(folder, '0.bin'), Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x7bff))
    const dataset = openDataset({ folder }, modelInputs(model))
    const ranges = await collectRanges(model, dataset, ['x'], { float16Tensors: new Set(['x']) })
    expect(ranges.get('x')).toEqual({ min: -2, max: 65504 })
  })

  it('reports progress per sample and stops when cancelled', async () => {
    const model = network(17)
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 5)
    const dataset = openDataset({ folder: dataFolder }, modelInputs(model))
    const controller = new AbortController()
    const seen: number[] = []
    const onProgress = ({ done }: { done: number }): void => {
      seen.push(done)
      if (done === 2) controller.abort()
    }
    const running = collectRanges(model, dataset, ['m'], {}, { onProgress, signal: controller.signal })
    await expect(running).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(seen).toEqual([1, 2])
  })

  it('finds a NaN that neither minimum nor maximum need show', async () => {
    const model = network(17)
    const { dataFolder } = writeFixture(folder, model, [1, 3, 8, 8], 2)
    model.graph.nodes[2]!.opType = 'Sqrt'
    model.graph.nodes[2]!.inputs = ['c']
    const dataset = openDataset({ folder: dataFolder }, modelInputs(model))
    const running = collectRanges(model, dataset, ['m'], { layerOf: () => 'two' })
    await expect(running).rejects.toBeInstanceOf(AppError)
    await expect(running).rejects.toMatchObject({
      code: 'E_ACTIVATION_NOT_FINITE',
      details: { layer: 'two', value: 'NaN' },
    })
  })

  it('opens a model from its path', async () => {
    const { modelPath, dataFolder } = writeFixture(folder, network(17), [1, 3, 8, 8], 1)
    const dataset = openDataset({ folder: dataFolder }, modelInputs(openModel(modelPath)))
    expect((await collectRanges(modelPath, dataset, ['m'])).size).toBe(1)
  })
})
