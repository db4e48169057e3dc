// `aqw compile`: ONNX model in, .om for a device out.
import type { Command } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import type { Precision } from '../../contract/cost.ts'
import { checkWritable } from '../../engine/common/files.ts'
import { formatBytes, formatFigure } from '../../engine/common/units.ts'
import { addGearOptions, gearsOf, type GearOptions } from '../runtime/gear-options.ts'
import { modelFile, parseInputShapes } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { keyValues } from '../runtime/table.ts'

interface CompileOptions extends GearOptions {
  model: string
  precision: string
  device: string
  output: string
  inputShape?: string
}

const PRECISIONS: readonly Precision[] = ['fp16', 'int8', 'fp32']

const EXAMPLES = `
For a simulated device the simulated compiler writes the .om; for a real NPU the atc of CANN does. int8 needs the deploy
model that "aqw quantize" wrote.
Examples:
  aqw compile --model unet.onnx --precision fp16 --device sim:Ascend310P3 -o unet_fp16.om
  aqw compile --model unet_deploy_model.onnx --precision int8 --device sim:Ascend310P3 -o unet_int8.om
  aqw compile --model unet.onnx --device npu:0 -o unet.om --input-shape "sample_input_tensor:1,4,64,64"
  aqw compile --model resnet.onnx --device sim:Ascend310P3 -o resnet.om --input-shape "x:-1,3,224,224" --dynamic-batch 1,4,8`

function precisionOf(text: string): Precision {
  const found = PRECISIONS.find((precision) => precision === text.toLowerCase())
  if (found) return found
  throw new AppError('E_ARGUMENT', {
    name: '--precision',
    reason: `"${text}" is not known`,
    expected: PRECISIONS.join(', '),
  })
}

async function compile(host: Host, options: CompileOptions): Promise<void> {
  const { compileForDevice } = await import('../../engine/pipeline/compile-for-device.ts')
  const precision = precisionOf(options.precision)
  const gears = gearsOf(options)
  const inputShapes =
    options.inputShape === undefined
      ? undefined
      : parseInputShapes('--input-shape', options.inputShape, gears !== undefined)
  modelFile(options.model, ['.onnx'])
  checkWritable(options.output)
  const request = {
    modelPath: options.model,
    device: options.device,
    precision,
    outputPath: options.output,
    inputShapes,
    gears,
  }
  const result = await compileForDevice(request, host.ctx)
  if (host.json) {
    host.printJson(result)
    return
  }
  const pairs: [string, string][] = [
    ['compiled', `${options.output} (${formatBytes(result.bytes)})`],
    ['for', `${result.soc}, ${precision}, by ${result.compiler}`],
  ]
  if (result.estimate) {
    const { milliseconds, validation } = result.estimate
    pairs.push([
      'estimated',
      `${formatFigure(milliseconds)} ms per run (${validation.status}, x/÷ ${validation.band.factor})`,
    ])
  }
  for (const line of keyValues(pairs)) host.print(line)
}

export function register(command: Command): void {
  command
    .requiredOption('--model <file>', 'the .onnx model')
    .requiredOption('--device <device>', 'npu:0, sim:Ascend310P3, ... (see "aqw devices")')
    .requiredOption('-o, --output <file>', 'the .om file to write')
    .option('--precision <precision>', PRECISIONS.join(', '), 'fp16')
    .option(
      '--input-shape <shapes>',
      'shapes of open inputs, e.g. "sample_input_tensor:1,4,64,64;timestep:1"',
    )
  addGearOptions(command)
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<CompileOptions>(command, compile)
}
