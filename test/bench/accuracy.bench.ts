// The accuracy bar, and rounding by reconstruction: SQNR of quantized sample models on inputs that calibration has not seen.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ort from 'onnxruntime-node'
import type { LayerReport } from '../../contract/quantization.ts'
import { type Recipe, RECIPE_SCHEMA, recipeSchema } from '../../contract/recipe.ts'
import { sqnrDb } from '../../engine/evaluation/index.ts'
import { inferShapes, type Model, openModel } from '../../engine/onnx/index.ts'
import { quantizeModel } from '../../engine/quantization/index.ts'
import { examineLayers, type LayerAnatomy } from '../../engine/quantization/layers.ts'
import { presetOf } from '../../engine/quantization/presets/index.ts'
import { HeldOutUnet, SAMPLE } from './held-out-unet.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const LANGUAGE_MODEL = path.join(SAMPLE, '../tiny-lm/lm.onnx')
const MEAN_DB = 34
const WORST_DB = 20
const COVERAGE_PERCENT = 90
/** What reconstruction has to gain over rounding to the nearest, INT4 weights. */
const GAIN_DB = 3
/** Every third sequence evaluates, the others calibrate. */
const HELD_OUT = 3

const METHODS: [string, object][] = [
  ['nearest', { method: 'nearest' }],
  ['gptq', { method: 'gptq' }],
  ['adaround', { method: 'adaround', iterations: 300 }],
]

function atLeast(name: string, value: number, unit: string, least: number): Metric {
  return { name, value, unit, target: `>= ${least}`, ok: value >= least }
}

/** Multiply-accumulates of a layer with a constant weight. */
function layerMacs({ opType, weightDims }: LayerAnatomy, input: number, output: number): number {
  const [first = 1, second = 1] = weightDims
  const weights = weightDims.reduce((product, dim) => product * dim, 1)
  if (opType === 'ConvTranspose') return input * (weights / first)
  return opType === 'Conv' ? output * (weights / first) : output * (weights / second)
}

/** Percent of the multiply-accumulates of all Conv, MatMul and Gemm with constant weights that run on integers. */
function coverage(model: Model, layers: readonly LayerReport[]): number {
  const sizes = new Map(
    model.graph.inputs.map(({ name, shape = [] }) => [name, shape.map(({ value }) => value ?? 1)]),
  )
  const shapes = inferShapes(model, Object.fromEntries(sizes))
  const elements = (tensor: string): number =>
    (shapes.get(tensor)?.dims ?? []).reduce<number>((product, dim) => product * (dim ?? 1), 1)
  const integers = new Set(layers.flatMap(({ name, activation }) => (activation ? name : [])))
  let [total, covered] = [0, 0]
  for (const [node, finding] of examineLayers(model)) {
    if (!('layer' in finding)) continue
    const macs = layerMacs(finding.layer, elements(finding.layer.activation), elements(node.outputs[0] ?? ''))
    total += macs
    if (integers.has(node.name)) covered += macs
  }
  return (100 * covered) / total
}

async function bar(unet: HeldOutUnet, model: Model): Promise<Metric[]> {
  const { recipe } = presetOf(model, 'diffusion_w8a8')
  const result = await unet.quantize(recipe)
  const { all, mean, worst } = await unet.quality(result.fakeQuantPath)
  const covered = coverage(model, result.layers)
  return [
    atLeast('accuracy.unet_w8a8_mean', mean, 'dB', MEAN_DB),
    atLeast('accuracy.unet_w8a8_worst', worst, 'dB', WORST_DB),
    { name: 'accuracy.unet_w8a8_pooled', value: all, unit: 'dB' },
    atLeast('accuracy.unet_w8a8_coverage', covered, '%', COVERAGE_PERCENT),
  ]
}

function withRounding(recipe: Recipe, rounding: object): Recipe {
  return recipeSchema.parse({ ...recipe, repair: { ...recipe.repair, rounding } })
}

/** A method's figures against those of rounding to the nearest. */
function gains(prefix: string, figures: ReadonlyMap<string, { mean: number; worst: number }>): Metric[] {
  const nearest = figures.get('nearest') ?? { mean: NaN, worst: NaN }
  return [...figures].flatMap(([method, { mean, worst }]): Metric[] => {
    const name = `accuracy.${prefix}_${method}`
    const plain = [
      { name: `${name}_mean`, value: mean, unit: 'dB' },
      { name: `${name}_worst`, value: worst, unit: 'dB' },
    ]
    return method === 'nearest'
      ? plain
      : [...plain, atLeast(`${name}_gain`, worst - nearest.worst, 'dB', GAIN_DB)]
  })
}

async function unetRounding(unet: HeldOutUnet, model: Model): Promise<Metric[]> {
  const { recipe } = presetOf(model, 'diffusion_w8a8')
  const figures = new Map<string, { mean: number; worst: number }>()
  const metrics: Metric[] = []
  for (const [method, rounding] of METHODS) {
    const w4a8 = withRounding(
      { ...recipe, precision: 'w4a8', weight: { ...recipe.weight, method: 'mse' } },
      rounding,
    )
    const result = await unet.quantize(w4a8)
    figures.set(method, await unet.quality(result.fakeQuantPath))
    const seconds = result.seconds.quantize
    metrics.push({ name: `accuracy.unet_w4a8_${method}_seconds`, value: seconds, unit: 's' })
  }
  return [...gains('unet_w4a8', figures), ...metrics]
}

async function logits(file: string, sequences: readonly BigInt64Array[]): Promise<Float32Array[]> {
  const session = await ort.InferenceSession.create(file)
  const values: Float32Array[] = []
  for (const ids of sequences) {
    const results = await session.run({ input_ids: new ort.Tensor('int64', ids, [1, ids.length]) })
    values.push(results['logits']?.data as Float32Array)
  }
  await session.release()
  return values
}

async function languageRounding(folder: string): Promise<Metric[]> {
  const file = path.join(LANGUAGE_MODEL, '../calibration.json')
  const { sequences } = JSON.parse(readFileSync(file, 'utf8')) as { sequences: number[][] }
  const all = sequences.map((ids) => BigInt64Array.from(ids, BigInt))
  const data = path.join(folder, 'sequences')
  mkdirSync(data)
  all.forEach((ids, index) => {
    const name = `${String(index).padStart(3, '0')}.bin`
    if (index % HELD_OUT !== 0) writeFileSync(path.join(data, name), ids)
  })
  const heldOut = all.filter((_, index) => index % HELD_OUT === 0)
  const reference = await logits(LANGUAGE_MODEL, heldOut)
  const figures = new Map<string, { mean: number; worst: number }>()
  for (const [method, rounding] of METHODS) {
    const settings = { precision: 'w4a8', activation: { method: 'auto' }, weight: { method: 'mse' } }
    const recipe = recipeSchema.parse({ schema: RECIPE_SCHEMA, ...settings, repair: { rounding } })
    const outputPrefix = path.join(folder, 'lm')
    const result = await quantizeModel({
      modelPath: LANGUAGE_MODEL,
      recipe,
      dataset: { folder: data },
      outputPrefix,
    })
    const tested = await logits(result.fakeQuantPath, heldOut)
    const each = reference.map((expected, index) => sqnrDb(expected, tested[index] ?? new Float32Array()))
    const mean = each.reduce((sum, decibels) => sum + decibels, 0) / each.length
    figures.set(method, { mean, worst: Math.min(...each) })
  }
  return gains('lm_w4a8', figures)
}

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-accuracy-'))
  try {
    const unet = new HeldOutUnet(folder)
    const model = openModel(path.join(SAMPLE, 'unet.onnx'))
    return [
      ...(await bar(unet, model)),
      ...(await unetRounding(unet, model)),
      ...(await languageRounding(folder)),
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
