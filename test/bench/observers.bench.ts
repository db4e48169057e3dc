// Range methods on the trained sample U-Net: SQNR of INT8 against FP32 on inputs that calibration has not seen, and how
// long calibration takes next to plain inference over the same samples.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { activationMethodSchema, defaultRecipe, type Recipe } from '../../contract/recipe.ts'
import { parseRecipe } from '../../engine/quantization/index.ts'
import { HeldOutUnet, SAMPLE } from './held-out-unet.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

async function measure(folder: string): Promise<Metric[]> {
  const unet = new HeldOutUnet(folder)
  const sample = parseRecipe(readFileSync(path.join(SAMPLE, 'recipe.json'), 'utf8'), 'recipe.json')
  const metrics: Metric[] = [
    { name: 'observers.plain_inference_seconds', value: await unet.plainSeconds(), unit: 's' },
  ]
  const recipes: [string, Recipe][] = [
    ['default', defaultRecipe],
    ['sample', sample],
  ]
  for (const method of activationMethodSchema.options) {
    for (const [label, base] of recipes) {
      const name = `observers.${method}.${label}`
      const result = await unet.quantize({ ...base, activation: { method } })
      const { all, mean, worst } = await unet.quality(result.fakeQuantPath)
      metrics.push(
        { name: `${name}.sqnr`, value: all, unit: 'dB' },
        { name: `${name}.mean_of_samples`, value: mean, unit: 'dB' },
        { name: `${name}.worst_sample`, value: worst, unit: 'dB' },
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
