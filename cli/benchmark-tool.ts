// `benchmark_tool --model_path=... --device_id=0 --loop_count=100 ...`: one model, a report for people and for scripts.
import { enableCompileCache } from 'node:module'
import type { BenchmarkResult, LatencySummary } from '../contract/benchmark.ts'
import { checkWritable, writeFileAtomic } from '../engine/common/files.ts'
import { formatBytes, formatFigure } from '../engine/common/units.ts'
import { existingFolder, modelFile, parseInputShapes, parseInteger } from './runtime/arguments.ts'
import type { Host } from './runtime/host.ts'
import { runCommand } from './runtime/host.ts'
import { createCommand, runProgram } from './runtime/program.ts'
import { productVersion } from './version.ts'

enableCompileCache()

const NOTES = `
A simulated .om runs on the simulated SoC that it names, a real one on the NPU of that number, an .onnx on the host CPU.
Examples:
  benchmark_tool --model_path=./unet_fp16.om --device_id=0 --loop_count=100 \\
    --input_tensor_shape="sample_input_tensor:1,4,64,64" --output_json=./benchmark_fp16.json`

interface Options {
  model_path: string
  device_id: string
  loop_count: string
  warmup_count?: string
  input_tensor_shape?: string
  input_data?: string
  output_json?: string
  log_level: string
}

function summaryLine(name: string, summary: LatencySummary | null): string | null {
  if (!summary) return null
  const p99 = summary.p99 === null ? `needs ${summary.needed.p99} runs` : formatFigure(summary.p99)
  const p50 = summary.p50 === null ? `needs ${summary.needed.p50} runs` : formatFigure(summary.p50)
  const { min, max, mean, stddev } = summary
  return (
    `[INFO] ${name} (ms): min = ${formatFigure(min)}, max = ${formatFigure(max)}, mean = ${formatFigure(mean)}, ` +
    `median = ${p50}, percentile(99%) = ${p99}, std = ${formatFigure(stddev)}`
  )
}

function printReport(host: Host, result: BenchmarkResult, modelPath: string): void {
  const { device, latencyMs, memory } = result
  const label = result.clock === 'simulated device clock' ? 'simulated' : 'measured'
  const mean = latencyMs.execute.mean
  host.print(
    `[INFO] load model ${modelPath} success (${formatBytes(result.model.bytes)}, ${formatFigure(result.model.loadMs)} ms)`,
  )
  host.print(`[INFO] device ${device.id}: ${device.name}, ${label}, clock: ${result.clock}`)
  host.print(`[INFO] warm up ${result.warmup.runs} done, loop ${result.runs}, batchsize ${result.batch}`)
  host.print('[INFO] model execute success')
  host.print(`Inference average time: ${mean.toFixed(6)} ms`)
  const first = result.samples.executeMs[0] ?? 0
  const others = result.runs > 1 ? (mean * result.runs - first) / (result.runs - 1) : mean
  host.print(`Inference average time without first time: ${others.toFixed(6)} ms`)
  host.print('[INFO] -----------------Performance Summary------------------')
  for (const line of [
    summaryLine('H2D_latency', latencyMs.h2d),
    summaryLine('NPU_compute_time', latencyMs.execute),
    summaryLine('D2H_latency', latencyMs.d2h),
  ]) {
    if (line !== null) host.print(line)
  }
  host.print(
    `[INFO] throughput 1000*batchsize.mean(${result.batch})/NPU_compute_time.mean(${formatFigure(mean)}): ${formatFigure(result.qps.execute)}`,
  )
  host.print(`[INFO] throughput with copies: ${formatFigure(result.qps.endToEnd)}`)
  if (memory.deviceBytes !== null) host.print(`[INFO] device memory: ${formatBytes(memory.deviceBytes)}`)
  host.print('[INFO] ------------------------------------------------------')
  host.print(`[INFO] verdict: ${result.verdict.valid ? 'VALID' : 'INVALID'}`)
  for (const reason of result.verdict.reasons) host.print(`[INFO]   ${reason.message}`)
}

async function run(host: Host, options: Options): Promise<void> {
  if (options.output_json !== undefined) checkWritable(options.output_json)
  const modelPath = modelFile(options.model_path, ['.om', '.onnx'])
  const deviceId = parseInteger('--device_id', options.device_id, 0, 255)
  const loopCount = parseInteger('--loop_count', options.loop_count, 1, 10_000_000)
  const warmup =
    options.warmup_count === undefined
      ? {}
      : { warmupRuns: parseInteger('--warmup_count', options.warmup_count, 0, 1_000_000) }
  const shapes =
    options.input_tensor_shape === undefined
      ? undefined
      : parseInputShapes('--input_tensor_shape', options.input_tensor_shape)
  const data = options.input_data === undefined ? undefined : { folder: existingFolder(options.input_data) }
  const { benchmarkToolReport, deviceForModel } = await import('../engine/pipeline/benchmark-tool.ts')
  const { benchmarkFiles } = await import('../engine/pipeline/benchmark-files.ts')
  const device = deviceForModel(modelPath, deviceId)
  const [result] = await benchmarkFiles(
    {
      models: [{ label: modelPath, path: modelPath }],
      device,
      scenario: { loopCount, ...warmup },
      data,
      inputShapes: shapes,
    },
    host.ctx,
  )
  if (!result) throw new Error('the device returned no result')
  if (options.output_json !== undefined) {
    const report = benchmarkToolReport(result, { modelPath: options.model_path, deviceId })
    writeFileAtomic(options.output_json, `${JSON.stringify(report, null, 2)}\n`)
  }
  printReport(host, result, options.model_path)
  if (options.output_json !== undefined) host.print(`[INFO] report saved in ${options.output_json}`)
}

const program = createCommand('benchmark_tool')
  .description('measures the latency of one model on one device')
  .version(productVersion(), '--version', 'show the version')
  .requiredOption('--model_path <file>', 'an .om or .onnx model')
  .option('--device_id <n>', 'number of the device', '0')
  .option('--loop_count <n>', 'runs to measure', '100')
  .option('--warmup_count <n>', 'runs before measuring')
  .option('--input_tensor_shape <shapes>', 'shapes, e.g. "sample_input_tensor:1,4,64,64;timestep:1"')
  .option('--input_data <folder>', 'inputs as .bin files (default: random)')
  .option('--output_json <file>', 'write the report there')
  .option('--log_level <level>', 'debug, info, warning or error', 'info')
  .addHelpText('after', NOTES)
program.action(async () => {
  const options = program.opts<Options>()
  await runCommand('benchmark_tool', { logLevel: options.log_level }, (host) => run(host, options))
})
await runProgram(program, process.argv.slice(2))
