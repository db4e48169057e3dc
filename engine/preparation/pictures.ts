// Finding and decoding pictures.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import type { Preparation } from '../../contract/preparation.ts'
import { AppError } from '../../contract/errors/index.ts'
import { createRandom, randomIndex } from '../common/random.ts'
import { reasonOf } from '../common/hashing.ts'
import type { Pixels } from './chain.ts'

const PICTURE = /\.(png|jpe?g|webp|bmp|gif|tiff?|avif)$/i
const MAXIMUM_FILES = 1_000_000
const MAXIMUM_DEPTH = 8
/** Refuses what would not fit in memory: 268 megapixels, the limit of libvips' own default. */
const MAXIMUM_PIXELS = 268_402_689

/** All pictures below a folder, sorted by path; links to folders are not followed. @throws E_PREPARE_FOLDER */
export function findPictures(folder: string): string[] {
  const found: string[] = []
  const visit = (current: string, depth: number): void => {
    for (const entry of readdirSync(current, { withFileTypes: true })) {
      const file = path.join(current, entry.name)
      if (entry.isDirectory() && depth < MAXIMUM_DEPTH) visit(file, depth + 1)
      else if (!entry.isDirectory() && PICTURE.test(entry.name) && found.length < MAXIMUM_FILES)
        found.push(file)
    }
  }
  try {
    visit(folder, 0)
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: folder, reason: reasonOf(error) }, { cause: error })
  }
  if (found.length === 0)
    throw new AppError('E_PREPARE_FOLDER', { path: folder, expected: 'png, jpg, webp, bmp, gif, tiff, avif' })
  return found.sort((left, right) => (left < right ? -1 : left > right ? 1 : 0))
}

/** A random subset in path order: the same seed takes the same pictures. @throws E_PREPARE_COUNT */
export function choosePictures(
  files: readonly string[],
  folder: string,
  { count, seed }: Pick<Preparation, 'count' | 'seed'>,
): string[] {
  if (count === undefined) return [...files]
  if (count > files.length)
    throw new AppError('E_PREPARE_COUNT', { path: folder, wanted: count, available: files.length })
  const next = createRandom(seed)
  const places = files.map((_, index) => index)
  for (let place = 0; place < count; place++) {
    const other = place + randomIndex(next, places.length - place)
    const value = places[other] as number
    places[other] = places[place] as number
    places[place] = value
  }
  return places
    .slice(0, count)
    .sort((left, right) => left - right)
    .map((place) => files[place] as string)
}

/**
 * 8-bit pixels of the first frame, as stored: the camera's rotation flag is not applied and alpha is dropped, like Pillow's
 * convert('RGB').
 * @throws E_PREPARE_PICTURE
 */
export async function decodePicture(file: string, channels: Preparation['channels']): Promise<Pixels> {
  try {
    const image = sharp(file, { limitInputPixels: MAXIMUM_PIXELS, failOn: 'error' }).toColourspace('srgb')
    const wanted =
      channels === 'rgba'
        ? image.ensureAlpha()
        : channels === 'grey'
          ? image.removeAlpha().grayscale()
          : image.removeAlpha()
    const { data, info } = await wanted.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
    const pixels = { width: info.width, height: info.height, channels: info.channels, data }
    if (channels === 'grey') return firstChannel(pixels)
    return info.channels < 3 ? repeatGrey(pixels) : pixels
  } catch (error) {
    throw new AppError('E_PREPARE_PICTURE', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

function firstChannel({ width, height, channels, data }: Pixels): Pixels {
  const plane = Uint8Array.from({ length: width * height }, (_, pixel) => data[pixel * channels] ?? 0)
  return { width, height, channels: 1, data: plane }
}

function repeatGrey({ width, height, channels, data }: Pixels): Pixels {
  const colour = new Uint8Array(width * height * 3)
  for (let pixel = 0; pixel < width * height; pixel++)
    colour.fill(data[pixel * channels] as number, pixel * 3, pixel * 3 + 3)
  return { width, height, channels: 3, data: colour }
}
