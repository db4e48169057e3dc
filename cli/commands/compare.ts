// `aqw compare`: quantize, compile, load both precisions on one device, measure, judge the outputs.
import type { Command } from 'commander'
import type { Comparison } from '../../contract/comparison.ts'
import { AppError } from '../../contract/errors/index.ts'
import { parseGates } from '../../contract/gate-errors.ts'
import type { DatasetRequest } from '../../contract/quantization.ts'
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
  task?: string
  taskCount?: string
  seed: string
  gate?: string[]
  junit?: string
}

const EXAMPLES = `
Quality is measured on the device against the FP32 model on ONNX Runtime. The JSON is documented in
docs/comparison-schema.md; "--json -" prints it instead of the table.
--task also generates with FP32, FP16 and the quantized model and judges the results (docs/evaluation.md). A gate is a condition on figures
(docs/gates.md); when one does not hold, the exit code is 1.
Examples:
  aqw compare --model unet.onnx --calibration calib --device sim:Ascend310P3 --task task.json --task-count 64 \
      --gate "latency.mean <= 0.7*baseline && quality.fid_delta <= 1" --junit gates.xml
  aqw compare --model unet.onnx --calibration calib --device sim:Ascend310P3 --json comparison.json
  aqw compare --model unet.onnx --calibration calib --evaluation held_out --device npu:0 --recipe recipe.json
  aqw compare --model unet.onnx --calibration calib --device cpu --markdown comparison.md`

function taskOf(options: CompareOptions): { path: string; count?: number; seed: number } | undefined {
  if (options.task === undefined) return undefined
  return {
    path: options.task,
    ...(options.taskCount !== undefined && {
      count: parseInteger('--task-count', options.taskCount, 1, 1_000_000),
    }),
    seed: parseInteger('--seed', options.seed, 0, 2 ** 31 - 1),
  }
}

/** All of the held-out data, laid out as the calibration data are. @throws E_FOLDER_NOT_FOUND */
export function heldOut(folder: string, calibration: DatasetRequest): DatasetRequest {
  const { inputShapes, batchSize, layouts } = calibration
  return { folder: existingFolder(folder), inputShapes, batchSize, layouts }
}

/** @throws E_GATE_FAILED when a gate does not hold, so that scripts stop */
function reportGates({ gates }: Comparison): void {
  const failed = gates.filter((gate) => gate.outcome !== 'passed')
  if (failed.length === 0) return
  const reasons = failed.flatMap(({ candidate, checks }) =>
    checks
      .filter((check) => check.outcome !== 'passed')
      .map(({ text, left, right, missing }) =>
        missing.length > 0
          ? `${candidate}: ${text} (no ${missing.join(', ')})`
          : `${candidate}: ${text} (${left?.toPrecision(5)} against ${right?.toPrecision(5)})`,
      ),
  )
  throw new AppError('E_GATE_FAILED', { failed: failed.length, total: gates.length, reasons })
}

async function compareModels(host: Host, options: CompareOptions): Promise<void> {
  const outputs = [options.json, options.markdown, options.junit].filter(
    (file) => file !== undefined && file !== '-',
  )
  for (const file of outputs) checkWritable(file ?? '')
  modelFile(options.model, ['.onnx', '.om'])
  const gates = parseGates(options.gate ?? [])
  const dataset = datasetOf(options)
  const recipe = withSettings(await recipeOf(options, options.model, host.log), options)
  const samples = parseInteger('--samples', options.samples, 1, 1_000_000)
  const evaluation = options.evaluation === undefined ? undefined : heldOut(options.evaluation, dataset)
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
      task: taskOf(options),
      gates,
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
  if (options.junit !== undefined) {
    const { renderJunit } = await import('../../engine/report/index.ts')
    writeFileAtomic(options.junit, renderJunit(comparison))
  }
  if (options.json === '-') host.print(json.trimEnd())
  else await printComparison(host, comparison)
  reportGates(comparison)
}

async function printComparison(host: Host, comparison: Comparison): Promise<void> {
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
    .option('--host-cpu', 'also measure FP32 against the quantized model on the host CPU')
    .option('--artifacts <folder>', 'keep the quantized and compiled models, and what is generated, there')
    .option('--task <task>', 'quality task to generate by: a file or a folder')
    .option('--task-count <n>', 'pictures or sequences of the task')
    .option('--seed <n>', "added to every prompt's own seed", '0')
    .option('--gate <condition...>', 'condition that every candidate must meet; may be repeated')
    .option('--junit <file>', 'write the gates as JUnit XML')
  addScenarioOptions(command)
  withCommonOptions(command, false).addHelpText('after', EXAMPLES)
  action<CompareOptions>(command, compareModels)
}
