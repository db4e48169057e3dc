// The sample models on inputs of their own: `auto` ranges give no worse a model than plain min-max, on the samples that
// calibrated it and on others.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { decodePicture } from '../../../engine/preparation/pictures.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'

const SAMPLES = path.resolve(import.meta.dirname, '../../../resources/samples')

type Values = Float32Array | BigInt64Array
type Sample = Record<string, { data: Values; dims: number[] }>

interface Case {
  model: string
  calibration: Sample[]
  other: Sample[]
}

let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sample-models-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function json(file: string): unknown {
  return JSON.parse(readFileSync(path.join(SAMPLES, file), 'utf8'))
}

function tokens(ids: readonly number[], length: number): Sample {
  const padded = Array.from({ length }, (_, place) => BigInt(ids[place] ?? 0))
  return { input_ids: { data: BigInt64Array.from(padded), dims: [1, length] } }
}

function unet(): Case {
  const shapes = { sample_input_tensor: [1, 4, 64, 64], timestep: [1], encoder_hidden_states: [1, 8, 64] }
  const samples = Array.from({ length: 24 }, (_, index): Sample => {
    const read = ([name, dims]: [string, number[]]): [string, Sample[string]] => {
      const file = `${String(index).padStart(2, '0')}_${name}.bin`
      const bytes = readFileSync(path.join(SAMPLES, 'sprite-diffusion/calibration', file))
      return [name, { data: new Float32Array(new Uint8Array(bytes).buffer), dims }]
    }
    return Object.fromEntries(Object.entries(shapes).map(read))
  })
  return {
    model: 'sprite-diffusion/unet.onnx',
    calibration: samples.filter((_, index) => index % 3 !== 0),
    other: samples.filter((_, index) => index % 3 === 0),
  }
}

function textEncoder(): Case {
  const captions = json('sprite-diffusion/captions.json') as Record<
    'calibration' | 'evaluation',
    { ids: number[] }[]
  >
  return {
    model: 'sprite-diffusion/text_encoder.onnx',
    calibration: captions.calibration.map(({ ids }) => tokens(ids, 8)),
    other: captions.evaluation.slice(0, 64).map(({ ids }) => tokens(ids, 8)),
  }
}

function languageModel(): Case {
  const sequences = (file: string): number[][] => (json(file) as { sequences: number[][] }).sequences
  return {
    model: 'tiny-lm/lm.onnx',
    calibration: sequences('tiny-lm/calibration.json').map((ids) => tokens(ids, 128)),
    other: sequences('tiny-lm/eval.json')
      .slice(0, 32)
      .map((ids) => tokens(ids, 128)),
  }
}

/** The 60 sprites of the picture, premultiplied, from -1 to 1. */
async function imageEncoder(): Promise<Case> {
  const file = path.join(SAMPLES, 'sprite-diffusion/generated_grid.png')
  const { width, height, data } = await decodePicture(file, 'rgb')
  const sprites: Sample[] = []
  for (let top = 0; top < height; top += 64) {
    for (let left = 0; left < width; left += 64) {
      const pixels = new Float32Array(4 * 64 * 64).fill(1)
      for (let channel = 0; channel < 3; channel++) {
        for (let place = 0; place < 4096; place++) {
          const source = ((top + (place >> 6)) * width + left + (place & 63)) * 3 + channel
          pixels[channel * 4096 + place] = (2 * (data[source] as number)) / 255 - 1
        }
      }
      sprites.push({ image: { data: pixels, dims: [1, 4, 64, 64] } })
    }
  }
  return {
    model: 'sprite-diffusion/image_encoder.onnx',
    calibration: sprites.slice(0, 40),
    other: sprites.slice(40),
  }
}

async function outputs(file: string, samples: readonly Sample[]): Promise<Float32Array[]> {
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1 })
  const results: Float32Array[] = []
  for (const sample of samples) {
    const feeds = Object.entries(sample).map(([name, { data, dims }]): [string, ort.Tensor] => [
      name,
      data instanceof Float32Array
        ? new ort.Tensor('float32', data, dims)
        : new ort.Tensor('int64', data, dims),
    ])
    const values = await session.run(Object.fromEntries(feeds))
    results.push(...session.outputNames.map((name) => values[name]?.data as Float32Array))
  }
  await session.release()
  return results
}

/** Over all outputs of all samples, in dB. */
function sqnr(reference: readonly Float32Array[], test: readonly Float32Array[]): number {
  let [signal, noise] = [0, 0]
  reference.forEach((values, which) =>
    values.forEach((value, index) => {
      signal += value * value
      noise += (value - (test[which]?.[index] ?? 0)) ** 2
    }),
  )
  return 10 * Math.log10(signal / noise)
}

async function twin(name: string, { model, calibration }: Case, method: string): Promise<string> {
  const data = path.join(folder, `${name}-${method}-data`)
  mkdirSync(data)
  calibration.forEach((sample, index) => {
    for (const [input, { data: values }] of Object.entries(sample)) {
      writeFileSync(path.join(data, `${String(index).padStart(2, '0')}_${input}.bin`), values)
    }
  })
  const result = await quantizeModel({
    modelPath: path.join(SAMPLES, model),
    recipe: recipeSchema.parse({ schema: RECIPE_SCHEMA, activation: { method } }),
    dataset: { folder: data },
    outputPrefix: path.join(folder, `${name}-${method}`),
  })
  return result.fakeQuantPath
}

const CASES = { unet, textEncoder, imageEncoder, languageModel }

describe.each(Object.keys(CASES) as (keyof typeof CASES)[])('%s', (name) => {
  it('auto ranges are never below plain min-max', async () => {
    const spec = await CASES[name]()
    const plain = await twin(name, spec, 'min_max')
    const automatic = await twin(name, spec, 'auto')
    for (const samples of [spec.calibration, spec.other]) {
      const reference = await outputs(path.join(SAMPLES, spec.model), samples)
      const [least, found] = [
        sqnr(reference, await outputs(plain, samples)),
        sqnr(reference, await outputs(automatic, samples)),
      ]
      expect(found).toBeGreaterThanOrEqual(least)
    }
  })
})
