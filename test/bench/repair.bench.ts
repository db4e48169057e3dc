// Weight repair on the trained sample U-Net with every layer in INT8: what each repair gains on held-out samples and what
// it costs on the simulated device.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { QuantizationResult } from '../../contract/quantization.ts'
import { RECIPE_SCHEMA, recipeSchema } from '../../contract/recipe.ts'
import { compileModel } from '../../engine/compile/index.ts'
import { openModel } from '../../engine/onnx/index.ts'
import { HeldOutUnet } from './held-out-unet.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const SOC = 'Ascend310P3'
const SPLIT_AUTO = { split_concat: { mode: 'auto' } }
const SPLIT_ALL = { split_concat: { mode: 'all' } }
const BALANCE = { balance: { strength: 0.65 } }
const BIAS = { bias_correction: true }

const REPAIRS: [string, object][] = [
  ['none', {}],
  ['bias_correction', BIAS],
  ['split_auto', SPLIT_AUTO],
  ['split_all', SPLIT_ALL],
  ['balance_0.5', { balance: {} }],
  ['balance_0.65', BALANCE],
  ['balance_0.65_bias', { ...BALANCE, ...BIAS }],
  ['balance_0.65_split_auto_bias', { ...BALANCE, ...SPLIT_AUTO, ...BIAS }],
  ['balance_0.65_split_all_bias', { ...BALANCE, ...SPLIT_ALL, ...BIAS }],
]
/** The combination that has to reach the accuracy bar at full coverage. */
const BAR = 'balance_0.65_bias'
const BAR_MEAN_DB = 34
const BAR_WORST_DB = 20

async function simulatedNs(result: QuantizationResult, folder: string): Promise<number> {
  const inputs = openModel(result.deployPath).graph.inputs
  const shapes = inputs.map(({ name, shape = [] }) => [name, shape.map(({ value }) => value ?? 1)] as const)
  const { cost } = await compileModel({
    modelPath: result.deployPath,
    soc: SOC,
    precision: 'int8',
    outputPath: path.join(folder, 'int8.om'),
    inputShapes: Object.fromEntries(shapes),
  })
  return cost.totalNs
}

async function measure(folder: string): Promise<Metric[]> {
  const unet = new HeldOutUnet(folder)
  const metrics: Metric[] = []
  let plainNs: number | undefined
  for (const [label, repair] of REPAIRS) {
    const settings = { schema: RECIPE_SCHEMA, activation: { method: 'auto' }, repair }
    const result = await unet.quantize(recipeSchema.parse(settings))
    const { mean, worst } = await unet.quality(result.fakeQuantPath)
    const ns = await simulatedNs(result, folder)
    plainNs ??= ns
    const bar = (value: number, least: number): Partial<Metric> =>
      label === BAR ? { target: `>= ${least}`, ok: value >= least } : {}
    metrics.push(
      { name: `repair.${label}.mean_of_samples`, value: mean, unit: 'dB', ...bar(mean, BAR_MEAN_DB) },
      { name: `repair.${label}.worst_sample`, value: worst, unit: 'dB', ...bar(worst, BAR_WORST_DB) },
      { name: `repair.${label}.simulated_latency_ratio`, value: ns / plainNs, unit: 'x' },
    )
  }
  return metrics
}

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-repair-'))
  try {
    return await measure(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
