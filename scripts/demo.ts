// `npm run demo`: the trained sample U-Net, FP16 against INT8 on a simulated Ascend310P3, and FP32 against INT8 on the host.
// `npm run demo -- --full` also draws pictures with every side and judges them, and lets the sample language model read.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { comparisonLines } from '../cli/comparison-output.ts'
import { qualityLines } from '../cli/quality-output.ts'
import { type Host, outliveReaders, runCommand } from '../cli/runtime/host.ts'
import { productVersion } from '../cli/version.ts'
import { defaultRecipe } from '../contract/recipe.ts'
import { checkWritable, writeFileAtomic } from '../engine/common/files.ts'
import { evaluateTask, readTask, type SideRequest } from '../engine/evaluation/tasks/index.ts'
import { compare } from '../engine/pipeline/compare.ts'
import { prepareTokens } from '../engine/preparation/index.ts'
import { parseRecipe, quantizeModel } from '../engine/quantization/index.ts'
import { renderReport } from '../engine/report/index.ts'

const SAMPLE = path.resolve(import.meta.dirname, '../resources/samples/sprite-diffusion')
const recipe = path.join(SAMPLE, 'recipe.json')
const DEVICE = 'sim:Ascend310P3'

const { values } = parseArgs({
  options: {
    'output-dir': { type: 'string', default: 'artifacts/demo' },
    full: { type: 'boolean', default: false },
    /** Pictures per side of --full: as many as FID needs with the sample encoder. */
    count: { type: 'string', default: '256' },
  },
})

const LANGUAGE = path.resolve(import.meta.dirname, '../resources/samples/tiny-lm')
const PRECISIONS = [
  ['W8A8', 'int8'],
  ['W8A16', 'w8a16'],
  ['W4A16', 'w4a16'],
] as const

/** Quantizes the sample language model three ways and reads held-out text with each. */
async function readWithLanguageModel(host: Host, folder: string): Promise<void> {
  host.print()
  host.print('Quantizing the sample language model, and reading 64 held-out sequences with each version ...')
  host.print()
  const model = path.join(LANGUAGE, 'lm.onnx')
  const calibration = path.join(folder, 'language-calibration')
  rmSync(calibration, { recursive: true, force: true })
  const sequences = path.join(LANGUAGE, 'calibration.json')
  prepareTokens(sequences, calibration, { window: 128, list: 'sequences', dtype: 'int64' }, host.ctx)
  const sides: SideRequest[] = [{ label: 'FP32', role: 'reference', modelPath: model, device: 'cpu' }]
  for (const [label, precision] of PRECISIONS) {
    const { fakeQuantPath } = await quantizeModel(
      {
        modelPath: model,
        recipe: { ...defaultRecipe, precision, activation: { method: 'auto' } },
        dataset: { folder: calibration },
        outputPrefix: path.join(folder, `lm_${label.toLowerCase()}`),
      },
      host.ctx,
    )
    sides.push({ label, role: 'candidate', modelPath: fakeQuantPath, device: 'cpu' })
  }
  const outputFolder = path.join(folder, 'language')
  const task = readTask(LANGUAGE)
  const report = await evaluateTask({ task, sides, seed: 0, outputFolder, resume: false }, host.ctx)
  for (const line of qualityLines(report, host.paint)) host.print(line)
}

outliveReaders()
await runCommand('demo', {}, async (host) => {
  const folder = path.resolve(values['output-dir'])
  mkdirSync(folder, { recursive: true })
  const json = path.join(folder, 'comparison.json')
  const markdown = path.join(folder, 'comparison.md')
  for (const file of [json, markdown]) checkWritable(file)
  const started = performance.now()
  host.print('Quantizing the trained sample U-Net with 24 recorded inputs of its own sampling trajectories')
  host.print('(recipe.json beside it: W8A8, skip-path, sampling, first and last convolutions in FP16),')
  host.print(
    `compiling FP16 and INT8 for ${DEVICE}, measuring both there and FP32 against INT8 on this CPU ...`,
  )
  host.print()
  const comparison = await compare(
    {
      modelPath: path.relative(process.cwd(), path.join(SAMPLE, 'unet.onnx')),
      calibration: { folder: path.join(SAMPLE, 'calibration') },
      device: DEVICE,
      recipe: parseRecipe(readFileSync(recipe, 'utf8'), recipe),
      // The fewest runs that may be quoted, and quick enough for a demonstration.
      scenario: { minRuns: 100 },
      hostCpu: true,
      evaluationSamples: 24,
      artifactsFolder: folder,
      task: values.full ? { path: SAMPLE, count: Number(values.count), seed: 0 } : undefined,
      tool: { name: 'npm run demo', version: productVersion() },
    },
    host.ctx,
  )
  writeFileAtomic(json, `${JSON.stringify(comparison, null, 2)}\n`)
  writeFileAtomic(markdown, (await renderReport([{ comparison }], 'md', 'en')).bytes)
  for (const line of comparisonLines(comparison, host.paint)) host.print(line)
  if (values.full) await readWithLanguageModel(host, folder)
  host.print()
  host.print(`Wrote ${path.relative(process.cwd(), json)} and ${path.relative(process.cwd(), markdown)}`)
  host.print(`Took ${((performance.now() - started) / 1000).toFixed(1)} s`)
})
