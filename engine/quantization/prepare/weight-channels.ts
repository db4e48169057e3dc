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

/** Factors on channels of either side; a side left out has 1. */
export interface ChannelFactors {
  input?: Float64Array
  output?: Float64Array
}

function ones(count: number): Float64Array {
  return new Float64Array(count).fill(1)
}

/** Factors in the order of the weight's dimensions. */
function byDimension(
  channels: WeightChannels,
  { input, output }: ChannelFactors,
): { first: Float64Array; second: Float64Array } {
  const inputs = input ?? ones(channelCount(channels, 'input'))
  const outputs = output ?? ones(channelCount(channels, 'output'))
  return channels.firstSide === 'input'
    ? { first: inputs, second: outputs }
    : { first: outputs, second: inputs }
}

/** Channel of the second dimension at which the block row `one` begins. */
function secondBase({ first, second, groups }: WeightChannels, one: number): number {
  return Math.floor(one / (first / groups)) * second
}

// The loops below run once per parameter of a model: no call per block, which a matrix has as many of as elements.

/** Largest magnitude of each channel of one side, the factors applied. */
export function channelMaxima(
  values: Float32Array,
  channels: WeightChannels,
  side: ChannelSide,
  factors: ChannelFactors = {},
): Float32Array {
  const { first, second, inner, firstSide } = channels
  const maxima = new Float32Array(channelCount(channels, side))
  const scale = byDimension(channels, factors)
  for (let one = 0, index = 0; one < first; one++) {
    const base = secondBase(channels, one)
    const firstFactor = scale.first[one] as number
    for (let two = base; two < base + second; two++) {
      let largest = 0
      for (const end = index + inner; index < end; index++) {
        const magnitude = Math.abs(values[index] as number)
        if (magnitude > largest) largest = magnitude
      }
      const channel = side === firstSide ? one : two
      const scaled = largest * firstFactor * (scale.second[two] as number)
      if (scaled > (maxima[channel] as number)) maxima[channel] = scaled
    }
  }
  return maxima
}

/** What a repair note says of factors: no spread into arguments, which a layer may have too many channels for. */
export function factorFacts(factors: Float32Array | Float64Array): {
  channels: number
  smallest: number
  largest: number
} {
  let [smallest, largest] = [Infinity, -Infinity]
  for (const factor of factors) {
    smallest = Math.min(smallest, factor)
    largest = Math.max(largest, factor)
  }
  return { channels: factors.length, smallest, largest }
}

/** Sum of squares of each input channel. */
export function inputEnergies(values: Float32Array, channels: WeightChannels): Float64Array {
  const { first, second, inner, firstSide } = channels
  const energies = new Float64Array(channelCount(channels, 'input'))
  for (let one = 0, index = 0; one < first; one++) {
    const base = secondBase(channels, one)
    for (let two = base; two < base + second; two++) {
      const channel = firstSide === 'input' ? one : two
      let sum = energies[channel] as number
      for (const end = index + inner; index < end; index++) {
        const value = values[index] as number
        sum += value * value
      }
      energies[channel] = sum
    }
  }
  return energies
}

/** The weight with channels multiplied, computed in double precision. */
export function scaleChannels(
  values: Float32Array,
  channels: WeightChannels,
  factors: ChannelFactors,
): Float32Array {
  const { first, second, inner } = channels
  const scaled = new Float32Array(values.length)
  const scale = byDimension(channels, factors)
  for (let one = 0, index = 0; one < first; one++) {
    const base = secondBase(channels, one)
    const firstFactor = scale.first[one] as number
    for (let two = base; two < base + second; two++) {
      const factor = firstFactor * (scale.second[two] as number)
      for (const end = index + inner; index < end; index++) scaled[index] = (values[index] as number) * factor
    }
  }
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
