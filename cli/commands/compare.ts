// `aqw compare`: quantize, compile, load both precisions on one device, measure, judge the outputs.
import type { Command } from 'commander'
import { checkWritable, writeFileAtomic } from '../../engine/common/files.ts'
import { existingFolder, modelFile, parseInteger } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import {
  addDatasetOptions,
  datasetOf,
  recipeOf,
  withSettings,
  type DatasetOptions,
} from '../runtime/quantization-options.ts'
import { addScenarioOptions, scenarioOf, type ScenarioOptions } from '../runtime/scenario-options.ts'
import { productVersion } from '../version.ts'

interface CompareOptions extends DatasetOptions, ScenarioOptions {
  model: string
  device: string
  json?: string
  markdown?: string
  hostCpu?: boolean
  evaluation?: string
  samples: string
  artifacts?: string
}

const EXAMPLES = `
Quality is measured on the device against the FP32 model on ONNX Runtime. The JSON is documented in
docs/comparison-schema.md; "--json -" prints it instead of the table.
Examples:
  aqw compare --model unet.onnx --calibration calib --device sim:Ascend310P3 --json comparison.json
  aqw compare --model unet.onnx --calibration calib --evaluation held_out --device npu:0 --recipe recipe.json
  aqw compare --model unet.onnx --calibration calib --device cpu --markdown comparison.md`

async function compareModels(host: Host, options: CompareOptions): Promise<void> {
  const outputs = [options.json, options.markdown].filter((file) => file !== undefined && file !== '-')
  for (const file of outputs) checkWritable(file ?? '')
  modelFile(options.model, ['.onnx', '.om'])
  const dataset = datasetOf(options)
  const recipe = withSettings(await recipeOf(options, options.model, host.log), options)
  const samples = parseInteger('--samples', options.samples, 1, 1_000_000)
  const evaluation =
    options.evaluation === undefined
      ? undefined
      : {
          folder: existingFolder(options.evaluation),
          inputShapes: dataset.inputShapes,
          batchSize: dataset.batchSize,
        }
  const { compare } = await import('../../engine/pipeline/compare.ts')
  const comparison = await compare(
    {
      modelPath: options.model,
      calibration: dataset,
      evaluation,
      device: options.device,
      recipe,
      scenario: scenarioOf(options),
      hostCpu: options.hostCpu === true,
      evaluationSamples: samples,
      artifactsFolder: options.artifacts,
      tool: { name: 'aqw', version: productVersion() },
    },
    host.ctx,
  )
  const json = `${JSON.stringify(comparison, null, 2)}\n`
  if (options.json !== undefined && options.json !== '-') writeFileAtomic(options.json, json)
  if (options.markdown !== undefined) {
    const { renderReport } = await import('../../engine/report/index.ts')
    writeFileAtomic(options.markdown, (await renderReport([{ comparison }], 'md', 'en')).bytes)
  }
  if (options.json === '-') {
    host.print(json.trimEnd())
    return
  }
  const { comparisonLines } = await import('../comparison-output.ts')
  for (const line of comparisonLines(comparison, host.paint)) host.print(line)
}

export function register(command: Command): void {
  command
    .requiredOption('--model <file>', 'the .onnx model, or an .om of the simulated compiler')
    .requiredOption('--device <device>', 'npu:0, sim:Ascend310P3, cpu, ... (see "aqw devices")')
  addDatasetOptions(command)
  command
    .option('--evaluation <folder>', 'held-out data for the quality figures (default: the calibration data)')
    .option('--samples <n>', 'samples used for the quality figures, spread evenly', '32')
    .option('--json <file>', 'write the comparison there ("-": print it)')
    .option('--markdown <file>', 'write it as a page')
    .option('--host-cpu', 'also measure FP32 against INT8 on the host CPU')
    .option('--artifacts <folder>', 'keep the quantized and compiled models there')
  addScenarioOptions(command)
  withCommonOptions(command, false).addHelpText('after', EXAMPLES)
  action<CompareOptions>(command, compareModels)
}
