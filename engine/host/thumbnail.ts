// A picture of a tensor: RGB(A) where the channels suggest it, else the first channel in grey.

export interface Picture {
  width: number
  height: number
  /** height x width x 4, straight alpha. */
  rgba: Uint8Array
}

const MIN_SIDE = 8
const MAX_SIDE = 2048
/** Larger pictures are thinned to this side. */
const THUMBNAIL_SIDE = 96

interface Planes {
  channels: number
  height: number
  width: number
}

/** Channels first, batch of one (or of more, then the first): [N,C,H,W], [C,H,W] or [H,W]. */
function planesOf(dims: readonly number[]): Planes | null {
  const [height, width] = [dims.at(-2) ?? 0, dims.at(-1) ?? 0]
  if (dims.length < 2 || dims.length > 4) return null
  if (Math.min(height, width) < MIN_SIDE || Math.max(height, width) > MAX_SIDE) return null
  // A long thin matrix is a sequence, not a picture.
  if (Math.max(height, width) > 4 * Math.min(height, width)) return null
  const channels = dims.length === 2 ? 1 : (dims.at(-3) ?? 1)
  if (channels < 1 || channels > 4096) return null
  return { channels, height, width }
}

const toByte = (unit: number): number => Math.round(255 * Math.min(1, Math.max(0, unit)))

/** How values become 0..1: [-1,1] as diffusion models use it, [0,1], [0,255], or stretched from min to max. */
function unitScale(values: ArrayLike<number>, count: number): (value: number) => number {
  let min = Infinity
  let max = -Infinity
  for (let index = 0; index < count; index++) {
    const value = values[index] ?? 0
    if (value < min) min = value
    if (value > max) max = value
  }
  if (min >= 0 && max <= 1.001) return (value) => value
  if (min >= 0 && max > 2 && max <= 255) return (value) => value / 255
  if (min >= -1.5 && max <= 1.5) return (value) => (value + 1) / 2
  return (value) => (value - min) / (max - min || 1)
}

/** null when the shape is not that of a picture. */
export function tensorPicture(values: ArrayLike<number>, dims: readonly number[]): Picture | null {
  const planes = planesOf(dims)
  if (!planes) return null
  const { channels, height, width } = planes
  const plane = height * width
  if (values.length < plane * channels) return null
  const step = Math.max(1, Math.ceil(Math.max(height, width) / THUMBNAIL_SIDE))
  const [outHeight, outWidth] = [Math.floor(height / step), Math.floor(width / step)]
  const coloured = channels === 3 || channels === 4
  // Premultiplied RGBA is stored as 2 c - 1.
  const toUnit =
    channels === 4 ? (value: number) => (value + 1) / 2 : unitScale(values, coloured ? plane * 3 : plane)
  const rgba = new Uint8Array(outHeight * outWidth * 4)
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const at = y * step * width + x * step
      const value = (channel: number): number => toUnit(values[channel * plane + at] ?? 0)
      const alpha = channels === 4 ? Math.min(1, Math.max(0, value(3))) : 1
      const colours = coloured ? [value(0), value(1), value(2)] : [value(0), value(0), value(0)]
      const target = (y * outWidth + x) * 4
      colours.forEach((colour, index) => (rgba[target + index] = alpha > 0 ? toByte(colour / alpha) : 0))
      rgba[target + 3] = toByte(alpha)
    }
  }
  return { width: outWidth, height: outHeight, rgba }
}
