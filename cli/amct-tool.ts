// `amct_tool --config=amct_config.json --log_level=info`: quantizes as the configuration says.
import { enableCompileCache } from 'node:module'
import path from 'node:path'
import { formatBytes } from '../engine/common/units.ts'
import { createCommand, runProgram } from './runtime/program.ts'
import { runCommand } from './runtime/host.ts'
import { productVersion } from './version.ts'

enableCompileCache()

const NOTES = `
The model may be an .onnx file or an .om of the simulated compiler. Beside the output: the deploy model for atc, its
runnable twin, the node mapping and the record of scales. Paths are relative to the current folder.
Examples:
  amct_tool --config=amct_config.json --log_level=info
  amct_tool --config=amct_config.json --soc_version=Ascend910B4`

interface Options {
  config: string
  log_level: string
  soc_version?: string
  json?: boolean
}

const program = createCommand('amct_tool')
  .description('quantizes a model with the options of an amct_config.json')
  .version(productVersion(), '--version', 'show the version')
  .requiredOption('--config <file>', 'amct_config.json')
  .option('--log_level <level>', 'debug, info, warning or error', 'info')
  .option('--soc_version <soc>', 'SoC of the .om to write (default: that of the source .om)')
  .option('--json', 'print the result as JSON')
  .addHelpText('after', NOTES)
program.action(async () => {
  const options = program.opts<Options>()
  await runCommand('amct_tool', { json: options.json, logLevel: options.log_level }, async (host) => {
    const { runAmctTool } = await import('../engine/pipeline/amct-tool.ts')
    const request = { configPath: options.config, soc: options.soc_version }
    const result = await runAmctTool(request, host.ctx, host.log)
    if (host.json) {
      host.printJson(result)
      return
    }
    const relative = (file: string): string => path.relative(process.cwd(), file) || file
    for (const layer of result.layers) {
      if (!layer.quantized)
        host.log.debug(`kept in floating point: ${layer.name} (${layer.reason ?? 'unknown'})`)
    }
    const quantized = result.layers.filter((layer) => layer.quantized).length
    host.print(`Quantized ${quantized} of ${result.layers.length} layers with ${result.samples} samples.`)
    for (const file of result.files) host.print(`Wrote ${relative(file)}`)
    host.print(`Size: ${formatBytes(result.outputBytes)} (source ${formatBytes(result.sourceBytes)})`)
  })
})
await runProgram(program, process.argv.slice(2))
