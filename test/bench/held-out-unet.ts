// The trained sample U-Net with its recorded inputs, 16 to calibrate and 8 held out: SQNR of INT8 against FP32.
import { cpSync, mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import ort from 'onnxruntime-node'
import type { QuantizationResult } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../engine/calibration/index.ts'
import { sqnrDb } from '../../engine/evaluation/index.ts'
import { openModel } from '../../engine/onnx/index.ts'
import { quantizeModel } from '../../engine/quantization/index.ts'

export const SAMPLE = path.resolve(import.meta.dirname, '../../resources/samples/sprite-diffusion')
const MODEL = path.join(SAMPLE, 'unet.onnx')
/** Every third sample evaluates, the others calibrate. */
const HELD_OUT = 3

export interface Quality {
  /** Over all values of all samples. */
  all: number
  mean: number
  worst: number
}

async function outputs(model: string, data: string): Promise<{ values: Float32Array[]; seconds: number }> {
  const dataset = openDataset({ folder: data }, modelInputs(openModel(MODEL)))
  const session = await ort.InferenceSession.create(model)
  const values: Float32Array[] = []
  const started = performance.now()
  for (let index = 0; index < dataset.count; index++) {
    const feeds = Object.entries(dataset.load(index)).map(
      ([name, feed]) => [name, new ort.Tensor('float32', feed.data as Float32Array, feed.dims)] as const,
    )
    values.push((await session.run(Object.fromEntries(feeds))).noise_pred?.data as Float32Array)
  }
  const seconds = (performance.now() - started) / 1000
  await session.release()
  return { values, seconds }
}

function joined(values: readonly Float32Array[]): Float32Array {
  return Float32Array.from(values.flatMap((part) => [...part]))
}

/** The split of the data in a folder of its own, and the FP32 outputs to compare with. */
export class HeldOutUnet {
  readonly #folder: string
  readonly #calibration: string
  readonly #heldOut: string
  #reference: Float32Array[] | undefined

  constructor(folder: string) {
    this.#folder = folder
    this.#calibration = path.join(folder, 'calibration')
    this.#heldOut = path.join(folder, 'held-out')
    for (const part of [this.#calibration, this.#heldOut]) mkdirSync(part)
    const source = path.join(SAMPLE, 'calibration')
    for (const name of readdirSync(source).filter((file) => /^\d+_.*\.bin$/.test(file))) {
      const part = parseInt(name, 10) % HELD_OUT === 0 ? this.#heldOut : this.#calibration
      cpSync(path.join(source, name), path.join(part, name))
    }
  }

  /** Seconds of plain inference over the calibration samples. */
  async plainSeconds(): Promise<number> {
    return (await outputs(MODEL, this.#calibration)).seconds
  }

  quantize(recipe: Recipe): Promise<QuantizationResult> {
    return quantizeModel({
      modelPath: MODEL,
      recipe,
      dataset: { folder: this.#calibration },
      outputPrefix: path.join(this.#folder, 'quantized'),
    })
  }

  /** SQNR of a model's outputs on the held-out samples, in dB. */
  async quality(model: string): Promise<Quality> {
    this.#reference ??= (await outputs(MODEL, this.#heldOut)).values
    const reference = this.#reference
    const { values } = await outputs(model, this.#heldOut)
    const each = reference.map((expected, index) => sqnrDb(expected, values[index] ?? new Float32Array()))
    return {
      all: sqnrDb(joined(reference), joined(values)),
      mean: each.reduce((sum, decibels) => sum + decibels, 0) / each.length,
      worst: Math.min(...each),
    }
  }
}
