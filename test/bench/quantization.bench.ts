// Figures of quantization: time and memory for the sample U-Net and a generated one, and how small INT8 files get.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { defaultRecipe } from '../../contract/recipe.ts'
import { quantizeModel } from '../../engine/quantization/index.ts'
import {
  type ChannelLayout,
  columnLayout,
  convLayout,
  quantizeWeight,
  tensorLayout,
  weightScales,
} from '../../engine/quantization/rules.ts'
import { generate } from '../unit/quantization/vectors.ts'
import { generateUnet, writeCalibration } from '../../engine/pipeline/samples/index.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const SAMPLE = path.resolve(import.meta.dirname, '../../resources/samples/sprite-diffusion')
const MIB = 1024 * 1024
/** Deploy model against FP32 file, for models that are mostly Conv and MatMul weights. */
const RATIO_TARGET = 0.27

function peakMemory(): { sample: () => void; mebibytes: () => number } {
  let peak = 0
  return {
    sample: () => {
      peak = Math.max(peak, process.memoryUsage().rss)
    },
    mebibytes: () => peak / MIB,
  }
}

async function sampleUnet(folder: string): Promise<Metric[]> {
  const started = performance.now()
  const result = await quantizeModel({
    modelPath: path.join(SAMPLE, 'unet.onnx'),
    recipe: defaultRecipe,
    dataset: { folder: path.join(SAMPLE, 'calibration') },
    outputPrefix: path.join(folder, 'sample'),
  })
  const seconds = (performance.now() - started) / 1000
  return [
    { name: 'quantization.sample_unet_seconds', value: seconds, unit: 's' },
    { name: 'quantization.sample_unet_calibrate_seconds', value: result.seconds.calibrate, unit: 's' },
    { name: 'quantization.sample_unet_ratio', value: result.sizes.deploy / result.sizes.source, unit: 'x' },
  ]
}

/** A U-Net of 31 million parameters: 126 MB in FP32, the size class where weights dominate the file. */
async function generatedUnet(folder: string): Promise<Metric[]> {
  const model = path.join(folder, 'generated.onnx')
  const bins = path.join(folder, 'bins')
  await generateUnet({
    output: model,
    seed: 1,
    channels: [64, 128, 256, 256],
    layersPerBlock: 2,
    inputs: 'single',
    size: 64,
  })
  await writeCalibration(bins, 2, { inputs: 'single', size: 64 }, 1, {})
  const memory = peakMemory()
  const result = await quantizeModel(
    {
      modelPath: model,
      recipe: defaultRecipe,
      dataset: { folder: bins },
      outputPrefix: path.join(folder, 'generated'),
    },
    { onProgress: memory.sample },
  )
  const ratio = result.sizes.deploy / result.sizes.source
  const weightsPerSecond = result.sizes.source / MIB / (result.seconds.quantize + result.seconds.write)
  return [
    {
      name: 'quantization.deploy_ratio',
      value: ratio,
      unit: 'x',
      target: `<= ${RATIO_TARGET}`,
      ok: ratio <= RATIO_TARGET,
    },
    { name: 'quantization.fake_quant_ratio', value: result.sizes.fakeQuant / result.sizes.source, unit: 'x' },
    { name: 'quantization.weights_rate', value: weightsPerSecond, unit: 'MiB/s' },
    { name: 'quantization.peak_rss', value: memory.mebibytes(), unit: 'MiB' },
  ]
}

/** float32 weights in, integers out: scales and rounding of one tensor of 64 MB. */
const WEIGHT_RATE_TARGET = 500
const WEIGHT_ELEMENTS = 16 * 1024 * 1024
const ROUNDS = 7

function weightRate(values: Float32Array, layout: ChannelLayout): number {
  const seconds = Array.from({ length: ROUNDS }, () => {
    const started = performance.now()
    const { scales } = weightScales(values, layout)
    quantizeWeight(values, layout, scales)
    return (performance.now() - started) / 1000
  })
  const median = seconds.sort((a, b) => a - b)[ROUNDS >> 1] as number
  return values.byteLength / 1e6 / median
}

function weightRates(): Metric[] {
  const values = new Float32Array(WEIGHT_ELEMENTS)
  const pattern = generate(65_536, 0.3)
  for (let start = 0; start < values.length; start += pattern.length) values.set(pattern, start)
  const layouts: [string, ChannelLayout][] = [
    ['quantization.weight_mb_per_s', convLayout([1024, WEIGHT_ELEMENTS / 1024])],
    ['quantization.weight_per_tensor_mb_per_s', tensorLayout(WEIGHT_ELEMENTS)],
    ['quantization.weight_per_column_mb_per_s', columnLayout([4096, WEIGHT_ELEMENTS / 4096])],
  ]
  return layouts.map(([name, layout]) => {
    const value = weightRate(values, layout)
    return { name, value, unit: 'MB/s', target: `>= ${WEIGHT_RATE_TARGET}`, ok: value >= WEIGHT_RATE_TARGET }
  })
}

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-quantization-'))
  try {
    return [...weightRates(), ...(await sampleUnet(folder)), ...(await generatedUnet(folder))]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
