// Figures of calibration: time next to plain inference over the same samples, memory next to a plain session.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { type ActivationMethod, defaultRecipe } from '../../contract/recipe.ts'
import {
  type CalibrationDataset,
  modelInputs,
  observeRanges,
  observerSpec,
  openDataset,
} from '../../engine/calibration/index.ts'
import { type Model, openModel } from '../../engine/onnx/index.ts'
import { generateUnet, writeCalibration } from '../../engine/pipeline/samples/index.ts'
import { selectLayers } from '../../engine/quantization/selection.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const SAMPLE = path.resolve(import.meta.dirname, '../../resources/samples/sprite-diffusion')
const ROUNDS = 9
/** Every third sample is kept for evaluation, as in the figures of accuracy. */
const HELD_OUT = 3
const TARGETS = { min_max: 1.4, suite: 2, rssMiB: 200 } as const

/** Stable Diffusion 1.5: 860 million parameters, weights in a file of their own. */
const LARGE = {
  channels: [320, 640, 1280, 1280],
  layersPerBlock: 2,
  inputs: 'full' as const,
  size: 64,
}

function calibrationSamples(folder: string): string {
  const data = path.join(folder, 'calibration')
  mkdirSync(data)
  const source = path.join(SAMPLE, 'calibration')
  for (const name of readdirSync(source).filter((file) => /^\d+_.*\.bin$/.test(file))) {
    if (parseInt(name, 10) % HELD_OUT !== 0) cpSync(path.join(source, name), path.join(data, name))
  }
  return data
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? NaN
}

/** Runs of a warm session with ONNX Runtime's defaults. */
async function plainInference(dataset: CalibrationDataset): Promise<() => Promise<void>> {
  const session = await ort.InferenceSession.create(path.join(SAMPLE, 'unet.onnx'))
  const samples = Array.from({ length: dataset.count }, (_, index) =>
    Object.fromEntries(
      Object.entries(dataset.load(index)).map(([name, { data, dims }]) => [
        name,
        new ort.Tensor('float32', data as Float32Array, dims),
      ]),
    ),
  )
  return async () => {
    for (const sample of samples) await session.run(sample)
  }
}

function calibration(
  model: Model,
  dataset: CalibrationDataset,
  method: ActivationMethod,
): () => Promise<unknown> {
  const { chosen } = selectLayers(model, defaultRecipe)
  const spec = observerSpec({ method })
  const requests = chosen.map(({ anatomy }) => ({ tensor: anatomy.activation, spec }))
  return () => observeRanges(model, dataset, requests)
}

/** Everything that calibration does, loading the model and choosing the ranges included, in rounds with plain runs. */
async function times(folder: string): Promise<Metric[]> {
  const model = openModel(path.join(SAMPLE, 'unet.onnx'))
  const dataset = openDataset({ folder: calibrationSamples(folder) }, modelInputs(model))
  const works = {
    plain: await plainInference(dataset),
    minMax: calibration(model, dataset, 'min_max'),
    suite: calibration(model, dataset, 'auto'),
  }
  for (const work of Object.values(works)) await work()
  const taken: Record<keyof typeof works, number[]> = { plain: [], minMax: [], suite: [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const key of ['plain', 'minMax', 'suite'] as const) taken[key].push(await seconds(works[key]))
  }
  const ratio = (key: 'minMax' | 'suite'): number =>
    median(taken[key].map((value, round) => value / (taken.plain[round] ?? NaN)))
  const [minMax, suite] = [ratio('minMax'), ratio('suite')]
  return [
    { name: 'calibration.plain_inference', value: 1000 * median(taken.plain), unit: 'ms' },
    {
      name: 'calibration.min_max_ratio',
      value: minMax,
      unit: 'x',
      target: `<= ${TARGETS.min_max}`,
      ok: minMax <= TARGETS.min_max,
    },
    {
      name: 'calibration.suite_ratio',
      value: suite,
      unit: 'x',
      target: `<= ${TARGETS.suite}`,
      ok: suite <= TARGETS.suite,
    },
  ]
}

/** Runs a script in a process of its own; it prints one JSON value, here with the peak of its memory. */
function apart<T>(body: string): T & { peakMiB: number } {
  const memory = path.resolve(import.meta.dirname, '../../engine/common/memory.ts')
  const script = `
    const { peakResidentBytes } = await import(${JSON.stringify(memory)})
    const result = await (async () => { ${body} })()
    console.log(JSON.stringify({ ...result, peakMiB: peakResidentBytes() / 2 ** 20 }))`
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    cwd: path.resolve(import.meta.dirname, '../..'),
    maxBuffer: 2 ** 26,
  })
  return JSON.parse(text) as T & { peakMiB: number }
}

const at = (file: string): string => JSON.stringify(path.resolve(import.meta.dirname, '../..', file))

/** A session that keeps no second copy of the weights, and one run of it. */
function plainSession(model: string, data: string): number {
  return apart(`
    const { default: ort } = await import('onnxruntime-node')
    const { openModel } = await import(${at('engine/onnx/index.ts')})
    const { modelInputs, openDataset } = await import(${at('engine/calibration/index.ts')})
    const dataset = openDataset({ folder: ${JSON.stringify(data)} }, modelInputs(openModel(${JSON.stringify(model)})))
    const session = await ort.InferenceSession.create(${JSON.stringify(model)}, {
      graphOptimizationLevel: 'extended',
      logSeverityLevel: 3,
      extra: { session: { disable_prepacking: '1' } },
    })
    const feeds = Object.entries(dataset.load(0)).map(([name, { data, dims }]) => [name, new ort.Tensor(data, dims)])
    await session.run(Object.fromEntries(feeds))
    return {}`).peakMiB
}

function wholeQuantization(
  model: string,
  data: string,
  prefix: string,
): { peakMiB: number; seconds: number } {
  return apart(`
    const { quantizeModel } = await import(${at('engine/quantization/index.ts')})
    const { recipeSchema } = await import(${at('contract/recipe.ts')})
    const started = performance.now()
    await quantizeModel({
      modelPath: ${JSON.stringify(model)},
      recipe: recipeSchema.parse({ schema: 'aqw.recipe/1', activation: { method: 'auto' } }),
      dataset: { folder: ${JSON.stringify(data)} },
      outputPrefix: ${JSON.stringify(prefix)},
    })
    return { seconds: (performance.now() - started) / 1000 }`)
}

/** Quantizing the model with two samples by `auto`, from opening it to the last file. */
async function memory(folder: string): Promise<Metric[]> {
  const model = path.join(folder, 'large.onnx')
  const data = path.join(folder, 'bins')
  await generateUnet({ ...LARGE, output: model, seed: 1 })
  await writeCalibration(data, 2, LARGE, 1, {})
  const session = plainSession(model, data)
  const whole = wholeQuantization(model, data, path.join(folder, 'large'))
  const over = whole.peakMiB - session
  return [
    { name: 'calibration.large_session_rss', value: session, unit: 'MiB' },
    {
      name: 'calibration.large_rss_over_session',
      value: over,
      unit: 'MiB',
      target: `<= ${TARGETS.rssMiB}`,
      ok: over <= TARGETS.rssMiB,
    },
    { name: 'calibration.large_seconds', value: whole.seconds, unit: 's' },
  ]
}

/** @param wanted The large model takes minutes and 10 GB of disk: it is left out when only others are asked for. */
export async function run(wanted: readonly string[] = []): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-calibration-'))
  const large = wanted.length === 0 || wanted.some((name) => name === 'calibration' || name.includes('large'))
  const small = wanted.length === 0 || wanted.some((name) => !name.includes('large'))
  try {
    return [...(small ? await times(folder) : []), ...(large ? await memory(folder) : [])]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
