// Input and output channels of a weight of any layer type: where they lie, how large they are, scaling and slicing them.
import type { LayerAnatomy } from '../layers.ts'

export type ChannelSide = 'input' | 'output'

/**
 * A weight as `first` x `second` blocks of `inner` elements. The first dimension counts channels of one side over all
 * groups; the second those of the other side within one group.
 */
export interface WeightChannels {
  first: number
  second: number
  inner: number
  groups: number
  /** Side of the first dimension: output for Conv, input for ConvTranspose, Gemm and MatMul. */
  firstSide: ChannelSide
}

/** @param group The node's `group`; 1 for Gemm and MatMul. */
export function weightChannels(
  anatomy: Pick<LayerAnatomy, 'opType' | 'weightDims'>,
  group: number,
): WeightChannels {
  const [first = 1, second = 1, ...kernel] = anatomy.weightDims
  return {
    first,
    second,
    inner: kernel.reduce((product, dim) => product * dim, 1),
    groups: group,
    firstSide: anatomy.opType === 'Conv' ? 'output' : 'input',
  }
}

export function channelCount(channels: WeightChannels, side: ChannelSide): number {
  return side === channels.firstSide ? channels.first : channels.second * channels.groups
}

/** Calls `visit` for each block of elements of one input and one output channel, in the order they are stored. */
export function forEachBlock(
  channels: WeightChannels,
  visit: (input: number, output: number, start: number, end: number) => void,
): void {
  const { first, second, inner, groups, firstSide } = channels
  const perGroup = first / groups
  for (let one = 0, start = 0; one < first; one++) {
    const base = Math.floor(one / perGroup) * second
    for (let two = 0; two < second; two++, start += inner) {
      const other = base + two
      if (firstSide === 'input') visit(one, other, start, start + inner)
      else visit(other, one, start, start + inner)
    }
  }
}

/** Largest magnitude of each channel of one side. */
export function channelMaxima(
  values: Float32Array,
  channels: WeightChannels,
  side: ChannelSide,
): Float32Array {
  const maxima = new Float32Array(channelCount(channels, side))
  forEachBlock(channels, (input, output, start, end) => {
    const channel = side === 'input' ? input : output
    let largest = maxima[channel] as number
    for (let index = start; index < end; index++) {
      const magnitude = Math.abs(values[index] as number)
      if (magnitude > largest) largest = magnitude
    }
    maxima[channel] = largest
  })
  return maxima
}

/** Sum of squares of each input channel. */
export function inputEnergies(values: Float32Array, channels: WeightChannels): Float64Array {
  const energies = new Float64Array(channelCount(channels, 'input'))
  forEachBlock(channels, (input, _output, start, end) => {
    let sum = 0
    for (let index = start; index < end; index++) sum += (values[index] as number) ** 2
    energies[input] = (energies[input] as number) + sum
  })
  return energies
}

/** The weight with channels multiplied, computed in double precision. Factors of a side left out are 1. */
export function scaleChannels(
  values: Float32Array,
  channels: WeightChannels,
  factors: { input?: Float64Array; output?: Float64Array },
): Float32Array {
  const scaled = new Float32Array(values.length)
  forEachBlock(channels, (input, output, start, end) => {
    const factor = (factors.input?.[input] ?? 1) * (factors.output?.[output] ?? 1)
    for (let index = start; index < end; index++) scaled[index] = (values[index] as number) * factor
  })
  return scaled
}

/** The part of an ungrouped weight that reads the input channels from `start` to `end`, `end` left out. */
export function sliceInputs(
  values: Float32Array,
  channels: WeightChannels,
  start: number,
  end: number,
): Float32Array {
  const { first, second, inner, firstSide } = channels
  const row = second * inner
  if (firstSide === 'input') return values.slice(start * row, end * row)
  const part = new Float32Array(first * (end - start) * inner)
  for (let output = 0; output < first; output++) {
    const slice = values.subarray(output * row + start * inner, output * row + end * inner)
    part.set(slice, output * (end - start) * inner)
  }
  return part
}
