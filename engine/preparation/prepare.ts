// A folder of pictures to a folder of bins with a list file, all or nothing.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import {
  type Preparation,
  type PreparationRequest,
  type PreparationResult,
  preparationSchema,
  type PreparationStep,
} from '../../contract/preparation.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { makeTemporaryFolder } from '../common/files.ts'
import { reasonOf } from '../common/hashing.ts'
import { encodePng } from '../common/png.ts'
import { float32ToFloat16Bits } from '../onnx/index.ts'
import { crop, type Pixels, resize, toValues } from './chain.ts'
import { choosePictures, decodePicture, findPictures } from './pictures.ts'

const LIST_FILE = 'list.txt'
const SETTINGS_FILE = 'preparation.json'
const MINIMUM_DIGITS = 5

/** Checks what the schema cannot. @throws E_PREPARE_SETTINGS */
export function checkedPreparation(request: PreparationRequest): Preparation {
  const parsed = preparationSchema.safeParse(request)
  const problems = parsed.success
    ? settingsProblems(parsed.data)
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  if (problems.length > 0 || !parsed.success) throw new AppError('E_PREPARE_SETTINGS', { problems })
  return parsed.data
}

function settingsProblems({ resize, channels, mean, std, dtype, scale }: Preparation): string[] {
  const count = { rgb: 3, bgr: 3, rgba: 4, grey: 1 }[channels]
  const fits = (list: number[]): boolean => list.length === 1 || list.length === count
  return [
    ...(resize.mode !== 'none' && !resize.size ? [`resize ${resize.mode} needs a size`] : []),
    ...(fits(mean) ? [] : [`mean has ${mean.length} numbers for ${count} channels`]),
    ...(fits(std) ? [] : [`std has ${std.length} numbers for ${count} channels`]),
    ...(dtype === 'uint8' &&
    (scale !== 1 || mean.some((value) => value !== 0) || std.some((value) => value !== 1))
      ? ['uint8 keeps the pixels: scale must be 1, mean 0 and std 1']
      : []),
  ]
}

function encode(values: Float32Array, dtype: Preparation['dtype']): Uint8Array {
  if (dtype === 'uint8') return Uint8Array.from(values)
  const array = dtype === 'float16' ? Uint16Array.from(values, float32ToFloat16Bits) : values
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

function shapeOf({ width, height, channels }: Pixels, layout: Preparation['layout']): number[] {
  return layout === 'CHW' ? [channels, height, width] : [height, width, channels]
}

async function finalPixels(file: string, settings: Preparation): Promise<Pixels> {
  const decoded = await decodePicture(file, settings.channels)
  return crop(resize(decoded, settings), settings.crop, file)
}

/** @throws E_FILE_WRITE for what is there and is no empty folder */
export function checkTarget(folder: string): void {
  const refuse = (reason: string, cause?: unknown): AppError =>
    new AppError('E_FILE_WRITE', { path: folder, reason }, { cause })
  let found: string[]
  try {
    found = existsSync(folder) ? readdirSync(folder) : []
  } catch (error) {
    throw refuse(reasonOf(error), error)
  }
  if (found.length > 0) throw refuse('the folder is not empty')
}

/** A folder beside the target, to be renamed to it in the end. @throws E_FILE_WRITE */
export function besideTarget(target: string): string {
  try {
    mkdirSync(path.dirname(path.resolve(target)), { recursive: true })
    return makeTemporaryFolder(path.resolve(target))
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_WRITE', { path: target, reason: reasonOf(error) }, { cause: error })
  }
}

/** `00012.bin`, or `00012_input.bin` for one of several inputs. */
function fileName(index: number, total: number, input: string | undefined): string {
  const digits = Math.max(MINIMUM_DIGITS, String(total - 1).length)
  const suffix = input === undefined ? '' : `_${input.replace(/[^\w.-]/g, '_')}`
  return `${String(index).padStart(digits, '0')}${suffix}.bin`
}

/**
 * Prepares pictures. The same pictures and settings give the same bytes.
 * @throws E_PREPARE_*, E_FILE_WRITE, E_CANCELLED; nothing is left behind then
 */
export async function preparePictures(
  source: string,
  target: string,
  request: PreparationRequest,
  ctx: WorkContext = {},
): Promise<PreparationResult> {
  const settings = checkedPreparation(request)
  checkTarget(target)
  const files = choosePictures(findPictures(source), source, settings)
  const temporary = besideTarget(target)
  try {
    const written = await writeBins(source, files, temporary, settings, ctx)
    rmSync(target, { recursive: true, force: true })
    renameSync(temporary, target)
    return { ...written, folder: path.resolve(target), listFile: path.join(path.resolve(target), LIST_FILE) }
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_WRITE', { path: target, reason: reasonOf(error) }, { cause: error })
  }
}

async function writeBins(
  source: string,
  files: readonly string[],
  folder: string,
  settings: Preparation,
  ctx: WorkContext,
): Promise<Omit<PreparationResult, 'folder' | 'listFile'>> {
  const digest = createHash('sha256')
  const names: string[] = []
  let [shape, bytesPerFile]: [number[], number] = [[], 0]
  for (const [index, file] of files.entries()) {
    if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
    ctx.onProgress?.({ stage: 'prepare', done: index, total: files.length, item: path.basename(file) })
    const pixels = await finalPixels(file, settings)
    const own = shapeOf(pixels, settings.layout)
    if (index > 0 && own.join() !== shape.join()) {
      const text = (dims: number[]): string => `[${dims.join(', ')}]`
      throw new AppError('E_PREPARE_SHAPES', { path: file, found: text(own), expected: text(shape) })
    }
    shape = own
    const bytes = encode(toValues(pixels, settings), settings.dtype)
    bytesPerFile = bytes.byteLength
    digest.update(bytes)
    const name = fileName(index, files.length, settings.input)
    writeFileSync(path.join(folder, name), bytes)
    names.push(name)
  }
  ctx.onProgress?.({ stage: 'prepare', done: files.length, total: files.length })
  writeFileSync(path.join(folder, LIST_FILE), `${names.join('\n')}\n`)
  const origin = files.map((file, index) => ({ file: names[index], picture: path.relative(source, file) }))
  writeFileSync(
    path.join(folder, SETTINGS_FILE),
    `${JSON.stringify({ ...settings, shape, files: origin }, null, 1)}\n`,
  )
  return {
    files: files.length,
    bytesPerFile,
    shape,
    layout: settings.layout,
    dtype: settings.dtype,
    sha256: digest.digest('hex'),
  }
}

function stepOf(step: PreparationStep['step'], pixels: Pixels, values: ArrayLike<number>): PreparationStep {
  let [min, max, sum] = [Infinity, -Infinity, 0]
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number
    min = Math.min(min, value)
    max = Math.max(max, value)
    sum += value
  }
  const { width, height, channels } = pixels
  return {
    step,
    width,
    height,
    channels,
    min,
    max,
    mean: sum / values.length,
    picture: `data:image/png;base64,${encodePng(width, height, rgbaOf(pixels)).toString('base64')}`,
  }
}

function rgbaOf({ width, height, channels, data }: Pixels): Uint8Array {
  const rgba = new Uint8Array(width * height * 4).fill(255)
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++)
      rgba[pixel * 4 + channel] = data[pixel * channels + Math.min(channel, channels - 1)] as number
    if (channels === 4) rgba[pixel * 4 + 3] = data[pixel * 4 + 3] as number
  }
  return rgba
}

/** Values as pixels for looking at: the smallest black, the largest white, layout undone. */
function visible(pixels: Pixels, values: Float32Array, { layout }: Preparation): Pixels {
  const { width, height, channels } = pixels
  const [min, max] = values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  ) as [number, number]
  const area = width * height
  const data = Uint8Array.from(values, (_, index) => {
    const place = layout === 'HWC' ? index : (index % channels) * area + Math.floor(index / channels)
    return Math.round((255 * ((values[place] as number) - min)) / Math.max(1e-30, max - min))
  })
  return { width, height, channels, data }
}

/** The chain step by step for one picture, without writing anything. */
export async function previewPreparation(
  source: string,
  request: PreparationRequest,
  index = 0,
): Promise<{ file: string; available: number; steps: PreparationStep[] }> {
  const settings = checkedPreparation(request)
  const all = findPictures(source)
  const files = choosePictures(all, source, settings)
  const file = files[Math.min(index, files.length - 1)] as string
  const decoded = await decodePicture(file, settings.channels)
  const resized = resize(decoded, settings)
  const cropped = crop(resized, settings.crop, file)
  const values = toValues(cropped, settings)
  return {
    file,
    available: all.length,
    steps: [
      stepOf('decoded', decoded, decoded.data),
      stepOf('resized', resized, resized.data),
      stepOf('cropped', cropped, cropped.data),
      stepOf('values', visible(cropped, values, settings), values),
    ],
  }
}
