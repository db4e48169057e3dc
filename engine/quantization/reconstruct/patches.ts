// What a row of a layer's weight matrix is multiplied with at each place of its output: a row of the input of a product,
// the window of a convolution, the taps that reach a place of a transposed convolution.
import { intAttribute, intsAttribute, type Node, stringAttribute } from '../../onnx/index.ts'
import type { LayerAnatomy } from '../layers.ts'

/** The input of a layer in one run. */
export interface LayerInput {
  data: Float32Array
  dims: readonly number[]
}

export interface PatchSource {
  /** Places of the output in this run. */
  count: number
  /** Writes the inputs of one place and group, in the order of the layer's columns. `target` holds zeros there. */
  fill: (place: number, group: number, target: Float32Array, start: number) => void
}

/** One spatial axis: where in the input tap `tap` of output place `place` lies; negative when it reads nothing. */
interface Axis {
  taps: number
  inputSize: number
  outputSize: number
  inputAt: (place: number, tap: number) => number
}

interface Window {
  size: number
  taps: number
  stride: number
  dilation: number
  before: number
  after: number
  automatic: string
}

function windows(node: Node, sizes: readonly number[], kernel: readonly number[]): Window[] {
  const rank = kernel.length
  const ones = kernel.map(() => 1)
  const strides = intsAttribute(node, 'strides', ones)
  const dilations = intsAttribute(node, 'dilations', ones)
  const pads = intsAttribute(node, 'pads', [...ones, ...ones].fill(0))
  const automatic = stringAttribute(node, 'auto_pad', 'NOTSET')
  return kernel.map((taps, axis) => ({
    size: sizes[axis] ?? 1,
    taps,
    stride: strides[axis] ?? 1,
    dilation: dilations[axis] ?? 1,
    before: automatic === 'NOTSET' ? (pads[axis] ?? 0) : 0,
    after: automatic === 'NOTSET' ? (pads[axis + rank] ?? 0) : 0,
    automatic,
  }))
}

function reach({ taps, dilation }: Window): number {
  return (taps - 1) * dilation + 1
}

function convolutionAxis(window: Window): Axis {
  const { size, taps, stride, dilation, automatic } = window
  let { before, after } = window
  if (automatic.startsWith('SAME')) {
    const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach(window) - size)
    before = automatic === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)
    after = total - before
  }
  return {
    taps,
    inputSize: size,
    outputSize: Math.max(0, Math.floor((size + before + after - reach(window)) / stride) + 1),
    inputAt: (place, tap) => place * stride - before + tap * dilation,
  }
}

/** The size is given, or follows from padding; a given size says what is cut off instead (ONNX, ConvTranspose). */
function transposedAxis(window: Window, extra: number, given: number | undefined): Axis {
  const { size, taps, stride, dilation, automatic } = window
  const full = stride * (size - 1) + extra + reach(window)
  const same = automatic.startsWith('SAME') ? size * stride : undefined
  const outputSize = given ?? same ?? full - window.before - window.after
  const total = Math.max(0, full - outputSize)
  const halved = automatic === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)
  const before = given === undefined && same === undefined ? window.before : halved
  return {
    taps,
    inputSize: size,
    outputSize,
    inputAt: (place, tap) => {
      const numerator = place + before - tap * dilation
      return numerator % stride === 0 ? numerator / stride : -1
    },
  }
}

function axesOf(anatomy: LayerAnatomy, node: Node, sizes: readonly number[]): Axis[] {
  const all = windows(node, sizes, anatomy.weightDims.slice(2))
  if (anatomy.opType === 'Conv') return all.map(convolutionAxis)
  const extra = intsAttribute(
    node,
    'output_padding',
    sizes.map(() => 0),
  )
  // Some exporters list batch and channels too.
  const given = intsAttribute(node, 'output_shape', []).slice(-sizes.length)
  return all.map((window, axis) => transposedAxis(window, extra[axis] ?? 0, given[axis]))
}

function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1)
}

/** Offset in one channel of every tap at a place, -1 where a tap reads padding. */
function tapOffsets(axes: readonly Axis[], place: number, offsets: Int32Array): void {
  let [inputStride, rest] = [1, place]
  offsets.fill(0)
  let repeat = 1
  for (const axis of axes.toReversed()) {
    const at = rest % axis.outputSize
    rest = Math.floor(rest / axis.outputSize)
    for (let index = 0; index < offsets.length; index++) {
      const input = axis.inputAt(at, Math.floor(index / repeat) % axis.taps)
      if (input < 0 || input >= axis.inputSize) offsets[index] = -1
      else if (offsets[index] !== -1) offsets[index] = (offsets[index] as number) + input * inputStride
    }
    repeat *= axis.taps
    inputStride *= axis.inputSize
  }
}

function convolutionPatches(anatomy: LayerAnatomy, node: Node, { data, dims }: LayerInput): PatchSource {
  const [batch = 1, channels = 1, ...sizes] = dims
  const axes = axesOf(anatomy, node, sizes)
  const outputs = product(axes.map((axis) => axis.outputSize))
  const inputs = product(sizes)
  const perGroup = channels / intAttribute(node, 'group', 1)
  const offsets = new Int32Array(product(axes.map((axis) => axis.taps)))
  let current = -1
  return {
    count: batch * outputs,
    fill(place, group, target, start) {
      const spatial = place % outputs
      if (spatial !== current) tapOffsets(axes, spatial, offsets)
      current = spatial
      const first = (Math.floor(place / outputs) * channels + group * perGroup) * inputs
      let column = start
      for (let channel = 0; channel < perGroup; channel++) {
        const base = first + channel * inputs
        for (const offset of offsets) {
          if (offset >= 0) target[column] = data[base + offset] as number
          column++
        }
      }
    },
  }
}

/** @param node The layer's node, for the attributes of a convolution. */
export function patchSource(anatomy: LayerAnatomy, node: Node, input: LayerInput): PatchSource {
  if (anatomy.opType === 'Conv' || anatomy.opType === 'ConvTranspose') {
    return convolutionPatches(anatomy, node, input)
  }
  const columns = anatomy.weightDims[0] ?? 1
  return {
    count: columns === 0 ? 0 : input.data.length / columns,
    fill: (place, _group, target, start) => {
      target.set(input.data.subarray(place * columns, (place + 1) * columns), start)
    },
  }
}
