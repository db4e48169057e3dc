// `aqw convert IN OUT`: quantized models between QuantizeLinear / DequantizeLinear and Ascend's form.
import type { Command } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import { formatBytes } from '../../engine/common/units.ts'
import { modelFile } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { logNotes } from '../runtime/notes.ts'
import { action, withCommonOptions } from '../runtime/program.ts'

interface ConvertOptions {
  to?: string
}

const EXAMPLES = `
ascend: AscendQuant, integer layers, AscendDequant, which atc takes. qdq: QuantizeLinear and DequantizeLinear, which ONNX
Runtime runs. What is lost on the way is listed on stderr; docs/interop.md says what becomes of what.
Examples:
  aqw convert resnet_qdq.onnx resnet_deploy_model.onnx --to ascend
  aqw convert unet_deploy_model.onnx unet_qdq.onnx`

function targetOf(to: string | undefined): 'ascend' | 'qdq' | undefined {
  if (to === undefined || to === 'ascend' || to === 'qdq') return to
  throw new AppError('E_ARGUMENT', {
    name: '--to',
    reason: `"${to}" is not a form`,
    expected: 'ascend or qdq',
  })
}

async function convert(host: Host, options: ConvertOptions, args: string[]): Promise<void> {
  const [input = '', output = ''] = args
  const to = targetOf(options.to)
  const { convertModelFile } = await import('../../engine/quantization/index.ts')
  const result = convertModelFile({ modelPath: modelFile(input, ['.onnx']), outputPath: output, to })
  logNotes(host.log, result.notes)
  if (host.json) {
    host.printJson({ path: result.saved.path, bytes: result.saved.bytes, to: result.to, notes: result.notes })
    return
  }
  for (const file of result.saved.files) host.print(`Wrote ${file.path} (${formatBytes(file.bytes)})`)
}

export function register(command: Command): void {
  command
    .argument('<input>', 'a quantized .onnx model')
    .argument('<output>', 'the .onnx file to write')
    .option('--to <form>', 'ascend or qdq (default: the one that the model is not in)')
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<ConvertOptions>(command, convert)
}
