// The chain from decoded pixels to the values of a model input, as torchvision's Resize, CenterCrop, ToTensor and Normalize
// compute it: 8-bit pixels are rounded after each direction of resizing (Pillow), everything after that is floating point.
import type { Preparation } from '../../contract/preparation.ts'
import { AppError } from '../../contract/errors/index.ts'
import { resizePlane, type Size } from '../common/resize.ts'

/** 8-bit pixels, interleaved [height, width, channels]. */
export interface Pixels extends Size {
  channels: number
  data: Uint8Array
}

function planeOf({ channels, data }: Pixels, channel: number): Uint8Array {
  return Uint8Array.from(
    { length: data.length / channels },
    (_, pixel) => data[pixel * channels + channel] ?? 0,
  )
}

/** The size after resizing: torchvision cuts the longer side to whole pixels. */
export function resizedSize({ width, height }: Size, { mode, size }: Preparation['resize']): Size {
  if (mode === 'none' || !size) return { width, height }
  const [rows, columns] = size
  if (mode === 'stretch') return { width: columns, height: rows }
  if (mode === 'short_side') {
    const short = Math.min(rows, columns)
    return width <= height
      ? { width: short, height: Math.max(1, Math.trunc((short * height) / width)) }
      : { width: Math.max(1, Math.trunc((short * width) / height)), height: short }
  }
  const factor = Math.min(columns / width, rows / height)
  return {
    width: Math.max(1, Math.min(columns, Math.round(width * factor))),
    height: Math.max(1, Math.min(rows, Math.round(height * factor))),
  }
}

function nearestPlane(plane: Uint8Array, from: Size, to: Size): Uint8Array {
  return Uint8Array.from({ length: to.width * to.height }, (_, pixel) => {
    const x = Math.floor((((pixel % to.width) + 0.5) * from.width) / to.width)
    const y = Math.floor(((Math.floor(pixel / to.width) + 0.5) * from.height) / to.height)
    return plane[y * from.width + x] as number
  })
}

export function resize(pixels: Pixels, settings: Preparation): Pixels {
  const to = resizedSize(pixels, settings.resize)
  if (to.width === pixels.width && to.height === pixels.height) return padded(pixels, settings)
  const data = new Uint8Array(to.width * to.height * pixels.channels)
  for (let channel = 0; channel < pixels.channels; channel++) {
    const plane = planeOf(pixels, channel)
    const resized =
      settings.filter === 'nearest' ? nearestPlane(plane, pixels, to) : resizePlane(plane, pixels, to, true)
    for (let pixel = 0; pixel < resized.length; pixel++)
      data[pixel * pixels.channels + channel] = resized[pixel] as number
  }
  return padded({ ...to, channels: pixels.channels, data }, settings)
}

/** For `fit`: the picture in the middle of its frame. */
function padded(pixels: Pixels, { resize: { mode, size }, pad_value: fill }: Preparation): Pixels {
  if (mode !== 'fit' || !size) return pixels
  const [height, width] = size
  const data = new Uint8Array(width * height * pixels.channels).fill(fill)
  const left = Math.floor((width - pixels.width) / 2)
  const top = Math.floor((height - pixels.height) / 2)
  const row = pixels.width * pixels.channels
  for (let y = 0; y < pixels.height; y++) {
    data.set(pixels.data.subarray(y * row, (y + 1) * row), ((y + top) * width + left) * pixels.channels)
  }
  return { width, height, channels: pixels.channels, data }
}

/** The middle of a picture; offsets are rounded as torchvision's CenterCrop does. @throws E_PREPARE_SIZE */
export function crop(pixels: Pixels, size: readonly [number, number] | undefined, file: string): Pixels {
  if (!size) return pixels
  const [height, width] = size
  if (pixels.width < width || pixels.height < height) {
    throw new AppError('E_PREPARE_SIZE', {
      path: file,
      found: `${pixels.height} x ${pixels.width}`,
      expected: `a crop of ${height} x ${width}`,
    })
  }
  const top = roundHalfEven((pixels.height - height) / 2)
  const left = roundHalfEven((pixels.width - width) / 2)
  const row = width * pixels.channels
  const data = new Uint8Array(height * row)
  for (let y = 0; y < height; y++) {
    const start = ((y + top) * pixels.width + left) * pixels.channels
    data.set(pixels.data.subarray(start, start + row), y * row)
  }
  return { width, height, channels: pixels.channels, data }
}

/** Python's round. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value)
  if (value - below !== 0.5) return Math.round(value)
  return below % 2 === 0 ? below : below + 1
}

/** Values in the order and layout of the model input. */
export function toValues(pixels: Pixels, settings: Preparation): Float32Array {
  const { width, height, channels, data } = pixels
  const area = width * height
  const values = new Float32Array(area * channels)
  for (let channel = 0; channel < channels; channel++) {
    const source = settings.channels === 'bgr' ? channels - 1 - channel : channel
    const mean = settings.mean[Math.min(channel, settings.mean.length - 1)] as number
    const std = settings.std[Math.min(channel, settings.std.length - 1)] as number
    for (let pixel = 0; pixel < area; pixel++) {
      // Every step in single precision, as the tensors of the usual recipe are.
      const scaled = Math.fround((data[pixel * channels + source] as number) * settings.scale)
      const place = settings.layout === 'CHW' ? channel * area + pixel : pixel * channels + channel
      values[place] = Math.fround(scaled - Math.fround(mean)) / Math.fround(std)
    }
  }
  return values
}
