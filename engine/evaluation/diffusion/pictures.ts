// From a finished sample to a picture people and encoders can look at.
import type { PictureInput } from '../../../contract/evaluation-task.ts'
import { encodePng } from '../../common/png.ts'
import { resizePlane } from '../../common/resize.ts'
import type { Picture } from '../metrics/pictures.ts'
import type { FloatTensor } from '../models.ts'

export type Pixels = 'rgb' | 'rgba_premultiplied'

/** Values in [-1, 1] of shape [1, channels, height, width] as a picture in [0, 1]; what lies outside is cut off. */
export function toPicture({ dims, data }: FloatTensor): Picture {
  const [, channels = 1, height = 1, width = 1] = dims
  return { width, height, channels, data: data.map((value) => Math.min(1, Math.max(0, (value + 1) / 2))) }
}

function byte(value: number): number {
  return Math.round(Math.min(1, Math.max(0, value)) * 255)
}

/** 8-bit PNG; premultiplied colour is divided by alpha again. */
export function toPng({ width, height, channels, data }: Picture, pixels: Pixels): Buffer {
  const size = width * height
  const rgba = new Uint8Array(size * 4).fill(255)
  for (let pixel = 0; pixel < size; pixel++) {
    const at = (channel: number): number => data[Math.min(channel, channels - 1) * size + pixel] as number
    const alpha = pixels === 'rgba_premultiplied' ? at(3) : 1
    for (let channel = 0; channel < 3; channel++)
      rgba[pixel * 4 + channel] = alpha > 0 ? byte(at(channel) / alpha) : 0
    rgba[pixel * 4 + 3] = byte(alpha)
  }
  return encodePng(width, height, rgba)
}

/** The three colour channels; premultiplied colour already stands on black. */
function colours(picture: Picture): Picture {
  const size = picture.width * picture.height
  return { ...picture, channels: 3, data: picture.data.slice(0, 3 * size) }
}

/** The input of an encoder: [1, channels, height, width], resized and normalised. */
export function encoderInput(picture: Picture, { pixels, size, mean, std }: PictureInput): FloatTensor {
  const source = pixels === 'rgb' ? colours(picture) : picture
  const [height, width] = size ?? [source.height, source.width]
  const area = height * width
  const data = new Float32Array(source.channels * area)
  for (let channel = 0; channel < source.channels; channel++) {
    const from = source.width * source.height
    const plane = source.data.subarray(channel * from, (channel + 1) * from)
    const resized =
      height === source.height && width === source.width
        ? plane
        : resizePlane(plane, source, { width, height })
    const centre = mean[Math.min(channel, mean.length - 1)] as number
    const spread = std[Math.min(channel, std.length - 1)] as number
    for (let index = 0; index < area; index++)
      data[channel * area + index] = ((resized[index] as number) - centre) / spread
  }
  return { dims: [1, source.channels, height, width], data }
}
