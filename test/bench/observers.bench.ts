// Range methods on the trained sample U-Net: SQNR of INT8 against FP32 on inputs that calibration has not seen, and how
// long calibration takes next to plain inference over the same samples.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { activationMethodSchema, defaultRecipe, type Recipe } from '../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../engine/calibration/index.ts'
import { sqnrDb } from '../../engine/evaluation/index.ts'
import { openModel } from '../../engine/onnx/index.ts'
import { parseRecipe, quantizeModel } from '../../engine/quantization/index.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const SAMPLE = path.resolve(import.meta.dirname, '../../resources/samples/sprite-diffusion')
const MODEL = path.join(SAMPLE, 'unet.onnx')
/** Every third sample evaluates, the others calibrate. */
const HELD_OUT = 3

function split(folder: string): { calibration: string; heldOut: string } {
  const parts = { calibration: path.join(folder, 'calibration'), heldOut: path.join(folder, 'held-out') }
  for (const part of Object.values(parts)) mkdirSync(part)
  const source = path.join(SAMPLE, 'calibration')
  for (const name of readdirSync(source).filter((file) => /^\d+_.*\.bin$/.test(file))) {
    const part = parseInt(name, 10) % HELD_OUT === 0 ? parts.heldOut : parts.calibration
    cpSync(path.join(source, name), path.join(part, name))
  }
  return parts
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

async function measure(folder: string): Promise<Metric[]> {
  const { calibration, heldOut } = split(folder)
  const sample = parseRecipe(readFileSync(path.join(SAMPLE, 'recipe.json'), 'utf8'), 'recipe.json')
  const reference = (await outputs(MODEL, heldOut)).values
  const plain = (await outputs(MODEL, calibration)).seconds
  const metrics: Metric[] = [{ name: 'observers.plain_inference_seconds', value: plain, unit: 's' }]
  const recipes: [string, Recipe][] = [
    ['default', defaultRecipe],
    ['sample', sample],
  ]
  for (const method of activationMethodSchema.options) {
    for (const [label, base] of recipes) {
      const name = `observers.${method}.${label}`
      const result = await quantizeModel({
        modelPath: MODEL,
        recipe: { ...base, activation: { method } },
        dataset: { folder: calibration },
        outputPrefix: path.join(folder, 'quantized'),
      })
      const { values } = await outputs(result.fakeQuantPath, heldOut)
      const each = reference.map((expected, index) => sqnrDb(expected, values[index] ?? new Float32Array()))
      metrics.push(
        { name: `${name}.sqnr`, value: sqnrDb(joined(reference), joined(values)), unit: 'dB' },
        {
          name: `${name}.mean_of_samples`,
          value: each.reduce((sum, decibels) => sum + decibels, 0) / each.length,
          unit: 'dB',
        },
        { name: `${name}.worst_sample`, value: Math.min(...each), unit: 'dB' },
        { name: `${name}.calibrate_seconds`, value: result.seconds.calibrate, unit: 's' },
      )
    }
  }
  return metrics
}

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-observers-'))
  try {
    return await measure(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
