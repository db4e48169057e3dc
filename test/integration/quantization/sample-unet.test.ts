// The trained sample U-Net with its recorded calibration data: INT8 against FP32, both in ONNX Runtime.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../../engine/calibration/index.ts'
import { openModel } from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'

const SAMPLE = path.resolve(import.meta.dirname, '../../../resources/samples/sprite-diffusion')
const MODEL = path.join(SAMPLE, 'unet.onnx')
const DATA = path.join(SAMPLE, 'calibration')

let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sample-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

async function outputs(modelPath: string): Promise<Float32Array[]> {
  const dataset = openDataset({ folder: DATA, count: 8 }, modelInputs(openModel(MODEL)))
  const session = await ort.InferenceSession.create(modelPath, { intraOpNumThreads: 1 })
  const results: Float32Array[] = []
  for (let index = 0; index < dataset.count; index++) {
    const feeds = Object.entries(dataset.load(index)).map(
      ([name, feed]) => [name, new ort.Tensor('float32', feed.data as Float32Array, feed.dims)] as const,
    )
    results.push((await session.run(Object.fromEntries(feeds))).noise_pred?.data as Float32Array)
  }
  await session.release()
  return results
}

function sqnr(reference: readonly Float32Array[], test: readonly Float32Array[]): number {
  let [signal, noise] = [0, 0]
  reference.forEach((values, sample) =>
    values.forEach((value, index) => {
      signal += value * value
      noise += (value - test[sample]![index]!) ** 2
    }),
  )
  return 10 * Math.log10(signal / noise)
}

async function quantizedSqnr(
  name: string,
  recipe: object,
  reference: readonly Float32Array[],
): Promise<number> {
  const result = await quantizeModel({
    modelPath: MODEL,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: DATA },
    outputPrefix: path.join(folder, name),
  })
  return sqnr(reference, await outputs(result.fakeQuantPath))
}

describe('the sample U-Net', () => {
  it('quantizes every layer with a weight and leaves attention products in floating point', async () => {
    const result = await quantizeModel({
      modelPath: MODEL,
      recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA }),
      dataset: { folder: DATA, count: 2 },
      outputPrefix: path.join(folder, 'count'),
    })
    const quantized = Object.groupBy(
      result.layers.filter((layer) => layer.quantized),
      (layer) => layer.opType,
    )
    // The counts of the sample's own description.
    expect([quantized.Conv?.length, quantized.Gemm?.length, quantized.MatMul?.length]).toEqual([78, 26, 60])
    const reasons = new Set(result.layers.filter((layer) => !layer.quantized).map((layer) => layer.reason))
    expect([...reasons]).toEqual(['two_dynamic_inputs'])
  })

  it('loses most where skip connections are joined: keeping those and the resamplers in FP16 restores it', async () => {
    const reference = await outputs(MODEL)
    const everything = await quantizedSqnr('all', {}, reference)
    const mixed = await quantizedSqnr(
      'mixed',
      { fp16_layers: ['*conv_shortcut*', '*samplers*', '*conv_in*', '*conv_out*'] },
      reference,
    )
    expect(everything).toBeGreaterThan(10)
    expect(mixed).toBeGreaterThan(27)
    expect(mixed).toBeGreaterThan(everything + 10)
  })
})
