// Channels of weights against the definition of each operator's weight layout (ONNX operator specifications).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  channelCount,
  channelMaxima,
  forEachBlock,
  inputEnergies,
  scaleChannels,
  sliceInputs,
  weightChannels,
  factorFacts,
} from '../../../../engine/quantization/prepare/weight-channels.ts'

interface Case {
  opType: string
  weightDims: number[]
  group: number
}

const small = fc.integer({ min: 1, max: 3 })
const anyCase: fc.Arbitrary<Case> = fc.oneof(
  fc.tuple(small, small, small, small).map(([group, inputs, outputs, kernel]) => ({
    opType: 'Conv',
    weightDims: [group * outputs, inputs, kernel],
    group,
  })),
  fc.tuple(small, small, small, small).map(([group, inputs, outputs, kernel]) => ({
    opType: 'ConvTranspose',
    weightDims: [group * inputs, outputs, kernel],
    group,
  })),
  fc
    .tuple(small, small)
    .map(([inputs, outputs]) => ({ opType: 'Gemm', weightDims: [inputs, outputs], group: 1 })),
)

/** Input and output channel of every element, from the operator's definition. */
function definition({ opType, weightDims, group }: Case): { input: number; output: number }[] {
  const [first = 1, second = 1, ...kernel] = weightDims
  const inner = kernel.reduce((product, dim) => product * dim, 1)
  return Array.from({ length: first * second * inner }, (_, index) => {
    const b = Math.floor(index / inner) % second
    const a = Math.floor(index / inner / second)
    if (opType === 'Conv') return { input: Math.floor(a / (first / group)) * second + b, output: a }
    return { input: a, output: Math.floor(a / (first / group)) * second + b }
  })
}

function values(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => Math.sin(1 + 3 * index) * (1 + index))
}

describe('channels of weights', () => {
  it('are visited block by block in the order of the elements', () => {
    fc.assert(
      fc.property(anyCase, (shape) => {
        const expected = definition(shape)
        let next = 0
        forEachBlock(weightChannels(shape, shape.group), (input, output, start, end) => {
          expect(start).toBe(next)
          for (let index = start; index < end; index++) expect({ input, output }).toEqual(expected[index])
          next = end
        })
        expect(next).toBe(expected.length)
      }),
    )
  })

  it('have the largest magnitudes and energies of their elements', () => {
    fc.assert(
      fc.property(anyCase, (shape) => {
        const places = definition(shape)
        const weight = values(places.length)
        const channels = weightChannels(shape, shape.group)
        for (const side of ['input', 'output'] as const) {
          const maxima = channelMaxima(weight, channels, side)
          expect(maxima.length).toBe(channelCount(channels, side))
          maxima.forEach((maximum, channel) => {
            const own = weight.filter((_, index) => places[index]![side] === channel)
            expect(maximum).toBe(Math.max(...own.map(Math.abs)))
          })
        }
        inputEnergies(weight, channels).forEach((energy, channel) => {
          const own = weight.filter((_, index) => places[index]!.input === channel)
          expect(energy).toBeCloseTo(
            [...own].reduce((sum, value) => sum + value ** 2, 0),
            6,
          )
        })
      }),
    )
  })

  it('are scaled on both sides', () => {
    fc.assert(
      fc.property(anyCase, (shape) => {
        const places = definition(shape)
        const weight = values(places.length)
        const channels = weightChannels(shape, shape.group)
        const factors = (side: 'input' | 'output'): Float64Array =>
          Float64Array.from({ length: channelCount(channels, side) }, (_, channel) => 1.5 + channel)
        const [input, output] = [factors('input'), factors('output')]
        const scaled = scaleChannels(weight, channels, { input, output })
        scaled.forEach((value, index) => {
          const place = places[index]!
          expect(value).toBe(Math.fround(weight[index]! * (input[place.input]! * output[place.output]!)))
        })
        expect(scaleChannels(weight, channels, {})).toEqual(weight)
      }),
    )
  })

  it('come apart in ranges of inputs', () => {
    const ungrouped = anyCase.filter(({ group }) => group === 1)
    fc.assert(
      fc.property(ungrouped, fc.nat(), (shape, seed) => {
        const places = definition(shape)
        const weight = values(places.length)
        const channels = weightChannels(shape, 1)
        const count = channelCount(channels, 'input')
        const start = seed % count
        const end = start + 1 + (seed % (count - start))
        const own = weight.filter((_, index) => places[index]!.input >= start && places[index]!.input < end)
        expect(sliceInputs(weight, channels, start, end)).toEqual(own)
      }),
    )
  })
})

it('sums up factors of more channels than a call takes arguments', () => {
  const factors = new Float64Array(400_000).fill(1)
  factors[7] = 0.25
  factors[399_999] = 3
  expect(factorFacts(factors)).toEqual({ channels: 400_000, smallest: 0.25, largest: 3 })
})
