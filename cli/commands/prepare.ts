// `aqw prepare`: pictures, token sequences and arrays become calibration data.
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { Preparation, PreparationRequest } from '../../contract/preparation.ts'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../../engine/common/hashing.ts'
import { existingFile, existingFolder, parseInteger, parseIntegers } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { keyValues } from '../runtime/table.ts'

interface PrepareOptions {
  output: string
  settings?: string
  input?: string
  resize?: Preparation['resize']['mode']
  size?: string
  filter?: PreparationRequest['filter']
  crop?: string
  channels?: PreparationRequest['channels']
  scale?: string
  mean?: string
  std?: string
  layout?: PreparationRequest['layout']
  dtype?: PreparationRequest['dtype']
  count?: string
  seed?: string
  window?: string
  list: string
  ids: 'int64' | 'int32'
}

const EXAMPLES = `
The usual recipe of torchvision (Resize((256, 256)), ToTensor, Normalize(0.5, 0.5)), kept as HWC:
  aqw prepare pictures -o calib --resize stretch --size 256,256 --mean 0.5 --std 0.5 --layout HWC
ImageNet, 500 pictures chosen by a seed:
  aqw prepare val -o calib --resize short_side --size 256,256 --crop 224,224 \\
      --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --count 500 --seed 1
Token sequences of a JSON file, for a language model:
  aqw prepare calibration.json -o calib --window 128 --input input_ids
Arrays of numpy, samples along the first dimension; the arrays of an .npz are named like the inputs:
  aqw prepare calibration.npz -o calib --count 64 --seed 1
Writes 00000.bin, 00001.bin, ..., list.txt and preparation.json (docs/data.md).`

function numbers(name: string, text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)))
  if (values.every(Number.isFinite)) return values
  throw new AppError('E_ARGUMENT', {
    name,
    reason: `"${text}" is not usable`,
    expected: 'numbers with commas',
  })
}

function oneNumber(name: string, text: string): number {
  const [value, ...rest] = numbers(name, text)
  if (value !== undefined && rest.length === 0) return value
  throw new AppError('E_ARGUMENT', { name, reason: `"${text}" is not usable`, expected: 'one number' })
}

function pair(name: string, text: string): [number, number] {
  const [height, width, ...rest] = parseIntegers(name, text, 1, 16_384)
  if (height !== undefined && rest.length === 0) return [height, width ?? height]
  throw new AppError('E_ARGUMENT', { name, reason: `"${text}" is not usable`, expected: 'HEIGHT,WIDTH' })
}

function fromFile(file: string | undefined): PreparationRequest {
  if (file === undefined) return {}
  try {
    // A preparation.json written before also lists its pictures.
    const { shape: _shape, files: _files, ...settings } = JSON.parse(readFileSync(existingFile(file), 'utf8'))
    return settings as PreparationRequest
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

function settingsOf(options: PrepareOptions): PreparationRequest {
  const base = fromFile(options.settings)
  const { input, filter, channels, layout, dtype } = options
  const mode = options.resize ?? (options.size === undefined ? undefined : 'stretch')
  return {
    ...base,
    ...(input !== undefined && { input }),
    ...(mode !== undefined && {
      resize: { mode, ...(options.size !== undefined && { size: pair('--size', options.size) }) },
    }),
    ...(filter !== undefined && { filter }),
    ...(options.crop !== undefined && { crop: pair('--crop', options.crop) }),
    ...(channels !== undefined && { channels }),
    ...(options.scale !== undefined && { scale: oneNumber('--scale', options.scale) }),
    ...(options.mean !== undefined && { mean: numbers('--mean', options.mean) }),
    ...(options.std !== undefined && { std: numbers('--std', options.std) }),
    ...(layout !== undefined && { layout }),
    ...(dtype !== undefined && { dtype }),
    ...(options.count !== undefined && { count: parseInteger('--count', options.count, 1, 10_000_000) }),
    ...(options.seed !== undefined && { seed: parseInteger('--seed', options.seed, 0, 2 ** 31 - 1) }),
  }
}

/** Sequences of a JSON file. */
async function tokens(host: Host, options: PrepareOptions, source: string): Promise<void> {
  if (options.window === undefined) {
    const expected = 'tokens per sample'
    throw new AppError('E_ARGUMENT', {
      name: '--window',
      reason: 'a JSON file of sequences needs it',
      expected,
    })
  }
  const { prepareTokens } = await import('../../engine/preparation/index.ts')
  const result = prepareTokens(
    source,
    options.output,
    {
      input: options.input,
      window: parseInteger('--window', options.window, 1, 1_000_000),
      list: options.list,
      dtype: options.ids,
      count: options.count === undefined ? undefined : parseInteger('--count', options.count, 1, 10_000_000),
    },
    host.ctx,
  )
  if (host.json) return host.printJson(result)
  const pairs: [string, string][] = [
    ['folder', result.folder],
    ['samples', `${result.files}, ${result.dtype} [${result.shape.join(', ')}]`],
    ['sha256', result.sha256],
  ]
  for (const line of keyValues(pairs)) host.print(line)
}

/** Samples along the first dimension of numpy's arrays. */
async function arrays(host: Host, options: PrepareOptions, source: string): Promise<void> {
  const { prepareArrays } = await import('../../engine/preparation/index.ts')
  const result = await prepareArrays(
    source,
    options.output,
    {
      input: options.input,
      count: options.count === undefined ? undefined : parseInteger('--count', options.count, 1, 10_000_000),
      seed: options.seed === undefined ? 0 : parseInteger('--seed', options.seed, 0, 2 ** 31 - 1),
    },
    host.ctx,
  )
  if (host.json) return host.printJson(result)
  const pairs: [string, string][] = [
    ['folder', result.folder],
    ['samples', `${result.samples} in ${result.files} files`],
    ...result.arrays.map(({ name, dtype, shape }): [string, string] => [
      name === '' ? 'array' : name,
      `${dtype} [${shape.join(', ')}]`,
    ]),
    ['sha256', result.sha256],
  ]
  for (const line of keyValues(pairs)) host.print(line)
}

async function prepare(host: Host, options: PrepareOptions, [source = '']: string[]): Promise<void> {
  if (source.toLowerCase().endsWith('.json')) return tokens(host, options, existingFile(source))
  if (/\.np[yz]$/i.test(source)) return arrays(host, options, existingFile(source))
  const { preparePictures } = await import('../../engine/preparation/index.ts')
  const settings = settingsOf(options)
  const result = await preparePictures(existingFolder(source), options.output, settings, host.ctx)
  if (host.json) return host.printJson(result)
  const shape = `${result.dtype} ${result.layout} [${result.shape.join(', ')}]`
  const pairs: [string, string][] = [
    ['folder', result.folder],
    ['samples', `${result.files} of ${result.bytesPerFile} bytes, ${shape}`],
    ['list', result.listFile],
    ['sha256', result.sha256],
  ]
  for (const line of keyValues(pairs)) host.print(line)
}

const choice = (flags: string, text: string, values: string[]): Option =>
  new Option(flags, text).choices(values)

export function register(command: Command): void {
  command
    .argument(
      '<source>',
      'folder of pictures (sub-folders too), a JSON file of token sequences, or a .npy or .npz',
    )
    .requiredOption('-o, --output <folder>', 'folder to write, empty or new')
    .option('--settings <file>', 'settings as JSON, such as a preparation.json; options win over it')
    .option('--input <name>', 'model input, when there are several')
    .addOption(choice('--resize <mode>', 'how the size is reached', ['none', 'stretch', 'short_side', 'fit']))
    .option('--size <height,width>', 'size to resize to')
    .addOption(choice('--filter <filter>', 'antialiased bilinear, or nearest', ['bilinear', 'nearest']))
    .option('--crop <height,width>', 'cut this out of the middle')
    .addOption(choice('--channels <order>', 'order of the channels', ['rgb', 'bgr', 'grey', 'rgba']))
    .option('--scale <x>', 'multiplies pixels of 0 to 255 (default: 1/255)')
    .option('--mean <x,...>', 'taken off after scaling (default: 0)')
    .option('--std <x,...>', 'divides after that (default: 1)')
    .addOption(choice('--layout <layout>', 'order of the dimensions (default: CHW)', ['CHW', 'HWC']))
    .addOption(choice('--dtype <type>', 'element type (default: float32)', ['float32', 'float16', 'uint8']))
    .option('--count <n>', 'take n pictures at random (default: all)')
    .option('--seed <n>', 'which ones')
    .option('--window <n>', 'tokens per sample, for token sequences')
    .option('--list <name>', 'property of the JSON file that holds the sequences', 'sequences')
    .addOption(choice('--ids <type>', 'element type of token ids', ['int64', 'int32']).default('int64'))
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<PrepareOptions>(command, prepare)
}
