// Figures of quantization: time and memory for the sample U-Net and a generated one, and how small INT8 files get.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { defaultRecipe } from '../../contract/recipe.ts'
import { quantizeModel } from '../../engine/quantization/index.ts'
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

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-quantization-'))
  try {
    return [...(await sampleUnet(folder)), ...(await generatedUnet(folder))]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
