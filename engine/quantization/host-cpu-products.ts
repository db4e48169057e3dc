// Convolutions as integer matrix products: ONNX Runtime has fast kernels for uint8 x int8 products with a float32 result,
// but none for convolutions unless their result is quantized, too, which the deploy model does not do (its ConvInteger was
// four to seven times slower than its float32 Conv where this was measured). Patches of the quantized input are laid
// side by side, channels last, so that one product with the rearranged weight is the convolution, exactly.
import { intAttribute, intsAttribute, type Node, stringAttribute } from '../onnx/index.ts'

/** `Slice` ends here when it goes to the end of an axis. */
const TO_THE_END = 2 ** 31 - 1

/** Channels of the result are computed in vectors of this many. */
const VECTOR = 16

/**
 * Multiply-adds per result position from which the integer product wins over the float32 convolution. Measured on one
 * thread with AVX-512 VNNI: with patches to copy, 16 x 16 channels lost (0.7x) and 24 x 24 won (1.6x); without,
 * everything but the smallest layers gained or came out even.
 */
const WORTHWHILE = { patches: 6000, pointwise: 1000 }

/** A convolution in the form the product needs: kernel, stride, dilation and padding per spatial axis. */
export interface Window {
  kernel: number[]
  strides: number[]
  dilations: number[]
  /** Before each axis, then behind each. */
  pads: number[]
}

/** The window of a Conv; undefined where the product cannot stand for it. */
export function productWindow(node: Node, weightDims: readonly number[]): Window | undefined {
  const [outputs = 1, inputs = 1, ...kernel] = weightDims
  const automatic = stringAttribute(node, 'auto_pad', 'NOTSET')
  if (intAttribute(node, 'group', 1) !== 1 || (automatic !== 'NOTSET' && automatic !== 'VALID'))
    return undefined
  const taps = kernel.reduce((product, size) => product * size, 1)
  const work = taps * inputs * Math.ceil(outputs / VECTOR) * VECTOR
  if (work < (taps === 1 ? WORTHWHILE.pointwise : WORTHWHILE.patches)) return undefined
  const ones = kernel.map(() => 1)
  const zeros = [...kernel, ...kernel].map(() => 0)
  return {
    kernel,
    strides: intsAttribute(node, 'strides', ones),
    dilations: intsAttribute(node, 'dilations', ones),
    pads: automatic === 'VALID' ? zeros : intsAttribute(node, 'pads', zeros),
  }
}

const BLOCK = 32

/** Elements of a weight [outputs, inputs, k...] in the order of the product: [k..., inputs] rows, one column per output. */
export function productWeight(weight: Int8Array, dims: readonly number[]): Int8Array {
  const [outputs = 1, inputs = 1, ...kernel] = dims
  const taps = kernel.reduce((product, size) => product * size, 1)
  const row = inputs * taps
  const result = new Int8Array(weight.length)
  // Some outputs at a time: both sides then stay in the cache.
  for (let block = 0; block < outputs; block += BLOCK) {
    const end = Math.min(outputs, block + BLOCK)
    for (let column = 0; column < row; column++) {
      const target = ((column % taps) * inputs + Math.floor(column / taps)) * outputs
      for (let output = block; output < end; output++)
        result[target + output] = weight[output * row + column]!
    }
  }
  return result
}

/** What the patches are built with: nodes and constants of the model being written. */
export interface PatchBuilder {
  node(
    opType: string,
    inputs: string[],
    label: string,
    attributes?: Record<string, number | number[]>,
  ): string
  integers(values: readonly number[]): string
  /** An int32 constant, made once per name. */
  indices(name: string, dims: readonly number[], make: () => Int32Array): string
}

/**
 * Channels from which one copy per tap is long enough, and from which copying pixel by pixel (Gather) beats copying twice
 * (Slice, Concat). Measured with 3 x 3 kernels.
 */
const LONG_COPY = 64
const LONG_PIXEL = 128
/** Indices of a Gather, at most: 16 MiB. */
const MAX_INDICES = 4 * 1024 * 1024

/**
 * Turns a channels-first uint8 value into rows of patches: [N, out..., k... * C].
 * @param dims Of the value; null where unknown.
 * @param zeroPoint Name of the quantized zero, which pads.
 */
export function addPatches(
  builder: PatchBuilder,
  value: string,
  dims: readonly (number | null)[],
  window: Window,
  zeroPoint: string,
): string {
  const { kernel, strides, pads } = window
  const rank = kernel.length
  const axes = kernel.map((_, axis) => axis)
  let rows = builder.node('Transpose', [value], 'channels_last', {
    perm: [0, ...axes.map((axis) => axis + 2), 1],
  })
  if (pads.some((size) => size !== 0)) {
    const sizes = [0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank), 0]
    rows = builder.node('Pad', [rows, builder.integers(sizes), zeroPoint], 'padded')
  }
  if (axes.every((axis) => kernel[axis] === 1 && strides[axis] === 1)) return rows
  const channels = dims[1] ?? 0
  const padded = axes.map((axis) => (dims[axis + 2] ?? 0) + pads[axis]! + pads[axis + rank]!)
  const known = dims.slice(2).length === rank && dims.slice(2).every((size) => size !== null)
  if (known && channels >= LONG_PIXEL) {
    const gathered = addGather(builder, rows, channels, padded, window)
    if (gathered !== undefined) return gathered
  }
  // The last axis first: its taps end up next to each other, as in the weight.
  const groups = channels >= LONG_COPY ? [axes] : axes.toReversed().map((axis) => [axis])
  for (const group of groups) rows = addShifts(builder, rows, group, window)
  return rows
}

/** Every combination of one number below each size, the last one fastest. */
function combinations(sizes: readonly number[]): number[][] {
  let all: number[][] = [[]]
  for (const size of sizes) {
    all = all.flatMap((start) => Array.from({ length: size }, (_, place) => [...start, place]))
  }
  return all
}

/** The pixels of every patch by their number in the padded input. */
function addGather(
  builder: PatchBuilder,
  rows: string,
  channels: number,
  padded: readonly number[],
  { kernel, strides, dilations }: Window,
): string | undefined {
  const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1)
  const outputs = kernel.map(
    (size, axis) => Math.floor((padded[axis]! - dilations[axis]! * (size - 1) - 1) / strides[axis]!) + 1,
  )
  const taps = product(kernel)
  const count = product(outputs) * taps
  if (count > MAX_INDICES) return undefined
  const steps = padded.map((_, axis) => product(padded.slice(axis + 1)))
  const pixel = (place: readonly number[], factors: readonly number[]): number =>
    place.reduce((sum, value, axis) => sum + value * factors[axis]! * steps[axis]!, 0)
  const name = `patches.${[padded, kernel, strides, dilations].map((sizes) => sizes.join('x')).join('_')}`
  const indices = builder.indices(name, [count / taps, taps], () => {
    const offsets = combinations(kernel).map((tap) => pixel(tap, dilations))
    return Int32Array.from(
      combinations(outputs).flatMap((place) => {
        const first = pixel(place, strides)
        return offsets.map((offset) => first + offset)
      }),
    )
  })
  const pixels = builder.node('Reshape', [rows, builder.integers([0, -1, channels])], 'pixels')
  const patches = builder.node('Gather', [pixels, indices], 'patches', { axis: 1 })
  const shape = builder.integers([0, ...outputs, taps * channels])
  return builder.node('Reshape', [patches, shape], 'rows')
}

/** One shifted copy per combination of taps along some axes, joined along the channels. */
function addShifts(builder: PatchBuilder, rows: string, axes: readonly number[], window: Window): string {
  const { kernel, strides, dilations } = window
  if (axes.every((axis) => kernel[axis] === 1 && strides[axis] === 1)) return rows
  const shifts = combinations(axes.map((axis) => kernel[axis]!)).map((tap) => {
    const starts = axes.map((axis, index) => tap[index]! * dilations[axis]!)
    const ends = axes.map((axis, index) => {
      const remaining = (kernel[axis]! - 1 - tap[index]!) * dilations[axis]!
      return remaining === 0 ? TO_THE_END : -remaining
    })
    const inputs = [starts, ends, axes.map((axis) => axis + 1), axes.map((axis) => strides[axis]!)]
    const names = inputs.map((values) => builder.integers(values))
    return builder.node('Slice', [rows, ...names], `tap${tap.join('_')}`)
  })
  const channelAxis = kernel.length + 1
  return shifts.length === 1 ? shifts[0]! : builder.node('Concat', shifts, 'patches', { axis: channelAxis })
}
