// `aqw sample unet`: writes a Stable-Diffusion-shaped U-Net with random weights, and calibration bins for it.
import type { Command } from 'commander'
import { checkWritable } from '../../engine/common/files.ts'
import { formatBytes, formatCount } from '../../engine/common/units.ts'
import { AppError } from '../../contract/errors/index.ts'
import { parseInteger, parseIntegers } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, createCommand, withCommonOptions } from '../runtime/program.ts'

interface UnetOptions {
  output: string
  channels: string
  inputs: string
  layersPerBlock: string
  size: string
  attention?: string
  seed: string
  calibration?: string
  count: string
}

const EXAMPLES = `
Names are those of diffusers (unet.down_blocks.0.resnets.0.conv1.weight, ...). With --inputs full and the default
widths the model has the 859,520,964 parameters of Stable Diffusion 1.5 (3.2 GiB, weights in a second file).
Examples:
  aqw sample unet -o unet.onnx --channels 32,64,128,128
  aqw sample unet -o unet.onnx --channels 32,64,128,128 --calibration calib_data_bins --count 200
  aqw sample unet -o sd15.onnx --inputs full`

/** Levels from the option; undefined for the default. */
function attentionOf(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined
  return text === 'none' ? [] : parseIntegers('--attention', text, 0, 100)
}

async function sampleUnet(host: Host, options: UnetOptions): Promise<void> {
  const { checkUnetShape, generateUnet, writeCalibration } =
    await import('../../engine/pipeline/samples/index.ts')
  if (options.inputs !== 'single' && options.inputs !== 'full') {
    throw new AppError('E_ARGUMENT', {
      name: '--inputs',
      reason: `"${options.inputs}"`,
      expected: 'single or full',
    })
  }
  const shape = {
    channels: parseIntegers('--channels', options.channels, 1, 1_000_000),
    layersPerBlock: parseInteger('--layers-per-block', options.layersPerBlock, 1, 1000),
    inputs: options.inputs,
    size: parseInteger('--size', options.size, 1, 1_000_000),
    attentionLevels: attentionOf(options.attention),
  } as const
  const seed = parseInteger('--seed', options.seed, 0, 2 ** 32 - 1)
  const count = parseInteger('--count', options.count, 1, 100_000)
  checkUnetShape(shape)
  checkWritable(options.output)
  const bins =
    options.calibration === undefined
      ? []
      : await writeCalibration(options.calibration, count, shape, seed, host.ctx)
  const { saved, parameters } = await generateUnet({ ...shape, output: options.output, seed }, host.ctx)
  if (host.json) {
    const calibration =
      options.calibration === undefined ? null : { folder: options.calibration, count, bins }
    host.printJson({
      path: saved.path,
      bytes: saved.bytes,
      files: saved.files,
      parameters,
      seed,
      ...shape,
      calibration,
    })
    return
  }
  for (const file of saved.files) host.print(`Wrote ${file.path} (${formatBytes(file.bytes)})`)
  host.print(`${formatCount(parameters)} parameters, channels ${shape.channels.join(',')}, seed ${seed}`)
  if (options.calibration !== undefined)
    host.print(`Wrote ${count} calibration samples to ${options.calibration}`)
}

export function register(command: Command): void {
  const unet = createCommand('unet')
    .description('a U-Net in the layout of Stable Diffusion, with random weights')
    .requiredOption('-o, --output <file>', 'the .onnx file to write')
    .option('--channels <widths>', 'channels per level, highest resolution first', '320,640,1280,1280')
    .option('--layers-per-block <n>', 'residual blocks per level', '2')
    .option('--inputs <kind>', 'single: the sample only; full: sample, timestep and text states', 'single')
    .option('--size <pixels>', 'latent height and width', '64')
    .option('--attention <levels>', 'levels with transformer blocks, or none (default: all but the last)')
    .option('--seed <n>', 'seed of the weights', '0')
    .option('--calibration <folder>', 'also write calibration bins and calib_list.txt there')
    .option('--count <n>', 'number of calibration samples', '32')
    .addHelpText('after', EXAMPLES)
  withCommonOptions(unet, true)
  action<UnetOptions>(unet, sampleUnet)
  command.addCommand(unet)
}
