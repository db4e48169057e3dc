// INT8 against FP32 on the host CPU, one thread. Every model has a process of its own; the two take turns, and the
// fastest run of each counts, which other work on the machine disturbs least.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Feeds, Shapes } from '../../contract/device.ts'
import type { DatasetRequest } from '../../contract/quantization.ts'
import { defaultRecipe } from '../../contract/recipe.ts'
import { modelInputs, openDataset } from '../../engine/calibration/index.ts'
import { openDevice } from '../../engine/device/index.ts'
import { openModel } from '../../engine/onnx/index.ts'
import { toRunInputs } from '../../engine/pipeline/quality.ts'
import { generateUnet, writeCalibration } from '../../engine/pipeline/samples/index.ts'
import { quantizeModel } from '../../engine/quantization/index.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const SAMPLES = path.resolve(import.meta.dirname, '../../resources/samples')
const TARGET = 2.1
const ROUNDS = 12

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN
}

/** Execution times in ms of each model, taken in turns. */
async function measureInTurns(models: readonly string[], feeds: Feeds, shapes: Shapes): Promise<number[][]> {
  await using stack = new AsyncDisposableStack()
  const sides = []
  for (const model of models) {
    const session = stack.use(await openDevice('cpu', { intraOpThreads: 1 }))
    const { handle } = await session.loadModel(model)
    sides.push({ session, handle, samples: [] as number[] })
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { session, handle, samples } of sides) {
      const result = await session.measure({
        models: [{ handle, feeds, shapes }],
        warmup: { runs: 2, milliseconds: 0 },
        stop: { kind: 'minimum', runs: 5, milliseconds: 100 },
        blockRuns: 5,
      })
      samples.push(...(result.models[0]?.executeMs ?? []))
    }
  }
  return sides.map(({ samples }) => samples)
}

async function speedup(
  name: string,
  model: string,
  dataset: DatasetRequest,
  folder: string,
): Promise<Metric[]> {
  const { hostCpuPath } = await quantizeModel({
    modelPath: model,
    recipe: defaultRecipe,
    dataset,
    outputPrefix: path.join(folder, name),
    hostCpuModel: true,
  })
  const { feeds, shapes } = toRunInputs(openDataset(dataset, modelInputs(openModel(model))).load(0))
  const [fp32 = [], int8 = []] = await measureInTurns([model, hostCpuPath ?? ''], feeds, shapes)
  return [
    { name: `cpu.int8_speedup_${name}`, value: Math.min(...fp32) / Math.min(...int8), unit: 'x' },
    { name: `cpu.int8_speedup_${name}_p50`, value: median(fp32) / median(int8), unit: 'x' },
    { name: `cpu.fp32_${name}`, value: Math.min(...fp32), unit: 'ms' },
    { name: `cpu.int8_${name}`, value: Math.min(...int8), unit: 'ms' },
  ]
}

/** `aqw sample unet --channels 64,128,256,256 --attention none`: convolutions, group normalization, SiLU. */
async function convUnet(folder: string): Promise<Metric[]> {
  const model = path.join(folder, 'unet.onnx')
  const bins = path.join(folder, 'unet_bins')
  await generateUnet({
    output: model,
    seed: 0,
    channels: [64, 128, 256, 256],
    layersPerBlock: 2,
    inputs: 'single',
    size: 64,
    attentionLevels: [],
  })
  await writeCalibration(bins, 2, { inputs: 'single', size: 64 }, 0, {})
  const [first, ...rest] = await speedup('conv_unet', model, { folder: bins }, folder)
  return [{ ...(first as Metric), target: `>= ${TARGET}`, ok: (first as Metric).value >= TARGET }, ...rest]
}

async function sampleUnet(folder: string): Promise<Metric[]> {
  const sample = path.join(SAMPLES, 'sprite-diffusion')
  return speedup(
    'sample_unet',
    path.join(sample, 'unet.onnx'),
    { folder: path.join(sample, 'calibration') },
    folder,
  )
}

async function tinyLm(folder: string): Promise<Metric[]> {
  const file = path.join(SAMPLES, 'tiny-lm/calibration.json')
  const { sequences } = JSON.parse(readFileSync(file, 'utf8')) as { sequences: number[][] }
  const bins = path.join(folder, 'lm_bins')
  mkdirSync(bins)
  sequences.forEach((ids, index) =>
    writeFileSync(path.join(bins, `${String(index).padStart(2, '0')}.bin`), BigInt64Array.from(ids, BigInt)),
  )
  return speedup('tiny_lm', path.join(SAMPLES, 'tiny-lm/lm.onnx'), { folder: bins }, folder)
}

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-cpu-'))
  try {
    return [...(await convUnet(folder)), ...(await sampleUnet(folder)), ...(await tinyLm(folder))]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
