// Runs models in ONNX Runtime and prepares them from data in memory.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { RECIPE_SCHEMA, type Recipe, recipeSchema } from '../../../../contract/recipe.ts'
import type { CalibrationDataset, Feed } from '../../../../engine/calibration/index.ts'
import { sqnrDb } from '../../../../engine/evaluation/index.ts'
import { quantizeModel } from '../../../../engine/quantization/index.ts'
import {
  DataType,
  type Model,
  openModel,
  serializeModel,
  upgradeOpset,
} from '../../../../engine/onnx/index.ts'
import { prepareModel, type PreparedModel } from '../../../../engine/quantization/prepare/index.ts'

export type Feeds = Record<string, Feed>

export function feed(dims: number[], data: Float32Array): Feed {
  return { dataType: DataType.FLOAT, dims, data }
}

/** Gaussian values, the same for the same seed. `amplitudes` scales channels of dimension `axis`. */
export function gaussian(dims: number[], seed: number, amplitudes: number[] = [1], axis = 1): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const count = dims.reduce((product, dim) => product * dim, 1)
  return Float32Array.from({ length: count }, (_, index) => {
    const channel = Math.floor(index / inner) % (dims[axis] ?? 1)
    const amplitude = amplitudes[channel % amplitudes.length] as number
    return amplitude * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  })
}

export function datasetOf(samples: readonly Feeds[]): CalibrationDataset {
  return {
    count: samples.length,
    samples: samples.length,
    files: [],
    load: (index) => samples[index] as Feeds,
    sampleName: (index) => `sample ${index}`,
    digest: () => '',
    sampleDigests: () => [],
    timesteps: () => undefined,
  }
}

/** Values of every output, for every sample, joined. */
export async function run(model: Model, samples: readonly Feeds[]): Promise<Float32Array> {
  const options = { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 } as const
  const session = await ort.InferenceSession.create(serializeModel(model), options)
  const parts: number[] = []
  for (const sample of samples) {
    const inputs = Object.entries(sample).map(
      ([name, { data, dims }]) => [name, new ort.Tensor('float32', data as Float32Array, dims)] as const,
    )
    const results = await session.run(Object.fromEntries(inputs))
    for (const { name } of model.graph.outputs) parts.push(...(results[name]?.data as Float32Array))
  }
  await session.release()
  return Float32Array.from(parts)
}

export function recipeWith(repair: object, rest: object = {}): Recipe {
  return recipeSchema.parse({ schema: RECIPE_SCHEMA, repair, ...rest })
}

export async function prepare(
  model: Model,
  repair: object,
  samples: readonly Feeds[] = [],
  rest: object = {},
): Promise<PreparedModel> {
  return prepareModel(upgradeOpset(model, 13), recipeWith(repair, rest), datasetOf(samples))
}

/** How exactly a prepared model computes what the source computes. float32 rounding alone leaves above 100 dB. */
export async function agreementDb(source: Model, changed: Model, samples: readonly Feeds[]): Promise<number> {
  return sqnrDb(await run(source, samples), await run(changed, samples))
}

export function countOf(model: Model, opType: string): number {
  return model.graph.nodes.filter((node) => node.opType === opType).length
}

/** SQNR of the quantized twin of a model on data: how much quality INT8 costs it. */
export async function quantizedDb(
  folder: string,
  model: Model,
  reference: Model,
  samples: readonly Feeds[],
  recipe: object = {},
): Promise<number> {
  const data = path.join(folder, 'data')
  mkdirSync(data, { recursive: true })
  samples.forEach((sample, index) => {
    for (const [name, { data: values }] of Object.entries(sample)) {
      writeFileSync(path.join(data, `${index}_${name}.bin`), values as Float32Array)
    }
  })
  const result = await quantizeModel({
    modelPath: 'model.onnx',
    model,
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, ...recipe }),
    dataset: { folder: data },
    outputPrefix: path.join(folder, 'out'),
  })
  return sqnrDb(await run(reference, samples), await run(openModel(result.fakeQuantPath), samples))
}
