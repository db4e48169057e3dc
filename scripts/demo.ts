// `npm run demo`: the trained sample U-Net, FP16 against INT8 on a simulated Ascend310P3, and FP32 against INT8 on the host.
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { comparisonLines } from '../cli/comparison-output.ts'
import { outliveReaders, runCommand } from '../cli/runtime/host.ts'
import { productVersion } from '../cli/version.ts'
import { checkWritable, writeFileAtomic } from '../engine/common/files.ts'
import { compare } from '../engine/pipeline/compare.ts'
import { parseRecipe } from '../engine/quantization/index.ts'
import { renderReport } from '../engine/report/index.ts'

const SAMPLE = path.resolve(import.meta.dirname, '../resources/samples/sprite-diffusion')
const recipe = path.join(SAMPLE, 'recipe.json')
const DEVICE = 'sim:Ascend310P3'

const { values } = parseArgs({ options: { 'output-dir': { type: 'string', default: 'artifacts/demo' } } })

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
      tool: { name: 'npm run demo', version: productVersion() },
    },
    host.ctx,
  )
  writeFileAtomic(json, `${JSON.stringify(comparison, null, 2)}\n`)
  writeFileAtomic(markdown, (await renderReport([{ comparison }], 'md', 'en')).bytes)
  for (const line of comparisonLines(comparison, host.paint)) host.print(line)
  host.print()
  host.print(`Wrote ${path.relative(process.cwd(), json)} and ${path.relative(process.cwd(), markdown)}`)
  host.print(`Took ${((performance.now() - started) / 1000).toFixed(1)} s`)
})
