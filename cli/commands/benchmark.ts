// `aqw benchmark`: latency and throughput of one or more models on one device, interleaved.
import path from 'node:path'
import type { Command } from 'commander'
import type { BenchmarkResult, LatencySummary, PercentileName } from '../../contract/benchmark.ts'
import { formatBytes, formatFigure } from '../../engine/common/units.ts'
import { AppError } from '../../contract/errors/index.ts'
import { existingFolder, modelFile, parseInputShapes } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { addScenarioOptions, scenarioOf, type ScenarioOptions } from '../runtime/scenario-options.ts'
import { textTable } from '../runtime/table.ts'

interface BenchmarkOptions extends ScenarioOptions {
  model: string[]
  device: string
  data?: string
  inputShape?: string
}

const EXAMPLES = `
The host CPU runs .onnx files, every other device .om files. Several models are measured in turns, the first is the
baseline. A percentile is shown only when there are enough runs for it.
Examples:
  aqw benchmark --model unet_fp16.om --device sim:Ascend310P3
  aqw benchmark --model unet_fp16.om --model unet_int8.om --device npu:0 --runs 1000
  aqw benchmark --model unet.onnx --device cpu --loop-count 100 --json`

function percentile(summary: LatencySummary, name: PercentileName): string {
  const value = summary[name]
  return value === null ? `(${summary.needed[name]} runs)` : formatFigure(value)
}

async function printResults(host: Host, results: readonly BenchmarkResult[]): Promise<void> {
  const [first] = results
  if (!first) return
  const { incomparable, latencyRatio } = await import('../../engine/benchmark/index.ts')
  const label = first.clock === 'simulated device clock' ? 'simulated' : 'measured'
  host.print(`${first.device.name} (${label}, ${first.clock}), batch ${first.batch}, milliseconds`)
  const titles = ['model', 'runs', 'mean', 'stddev', 'min', 'p50', 'p90', 'p99', 'QPS', 'size']
  const columns = titles.map((title, index) => ({
    title,
    align: index === 0 ? ('left' as const) : ('right' as const),
  }))
  const rows = results.map((result) => {
    const { execute } = result.latencyMs
    const { mean, stddev, min } = execute
    return [
      result.label,
      String(result.runs),
      ...[mean, stddev, min].map(formatFigure),
      ...(['p50', 'p90', 'p99'] as const).map((name) => percentile(execute, name)),
      formatFigure(result.qps.execute),
      formatBytes(result.model.bytes),
    ]
  })
  for (const line of textTable(columns, rows)) host.print(line)
  for (const result of results.slice(1)) {
    const ratio = latencyRatio(first, result)
    const interval =
      ratio.method === 'exact' ? 'exact' : `95 % interval ${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}`
    const text = ratio.noDifference ? 'no difference' : `latency x${ratio.ratio.toFixed(3)}`
    host.print(`${result.label} against ${first.label}: ${text} (${interval})`)
    for (const entry of incomparable(first, result)) {
      host.print(`  not comparable, ${entry.field}: ${entry.baseline} against ${entry.candidate}`)
    }
  }
  for (const result of results) {
    host.print(`${result.label}: ${result.verdict.valid ? 'VALID' : 'INVALID'}`)
    for (const reason of result.verdict.reasons) host.print(`  ${reason.message}`)
  }
}

/** File names, made unique by their order when two are the same. */
function labels(files: readonly string[]): string[] {
  const names = files.map((file) => path.basename(file))
  return names.map((name, index) => (names.indexOf(name) === index ? name : `${name} (${index + 1})`))
}

async function benchmark(host: Host, options: BenchmarkOptions): Promise<void> {
  const { parseDeviceSelector } = await import('../../engine/device/index.ts')
  const selector = parseDeviceSelector(options.device)
  if (options.model.length > 16) {
    throw new AppError('E_ARGUMENT', {
      name: '--model',
      reason: `${options.model.length} models given`,
      expected: '1 to 16',
    })
  }
  for (const file of options.model) modelFile(file, selector.kind === 'cpu' ? ['.onnx'] : ['.om'])
  const names = labels(options.model)
  const { benchmarkFiles } = await import('../../engine/pipeline/benchmark-files.ts')
  const results = await benchmarkFiles(
    {
      models: options.model.map((file, index) => ({ label: names[index] ?? file, path: file })),
      device: options.device,
      scenario: scenarioOf(options),
      data: options.data === undefined ? undefined : { folder: existingFolder(options.data) },
      inputShapes:
        options.inputShape === undefined ? undefined : parseInputShapes('--input-shape', options.inputShape),
    },
    host.ctx,
  )
  if (host.json) host.printJson({ results })
  else await printResults(host, results)
}

export function register(command: Command): void {
  command
    .requiredOption('--model <file>', 'a model; repeat it to compare', (file: string, all: string[] = []) => [
      ...all,
      file,
    ])
    .requiredOption('--device <device>', 'npu:0, sim:Ascend310P3, cpu, ... (see "aqw devices")')
    .option('--data <folder>', 'inputs as calibration data; the first sample is used (default: random)')
    .option('--input-shape <shapes>', 'shapes of open inputs, e.g. "sample_input_tensor:1,4,64,64"')
  addScenarioOptions(command)
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<BenchmarkOptions>(command, benchmark)
}
