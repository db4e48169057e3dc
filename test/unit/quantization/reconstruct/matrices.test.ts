// The matrices of reconstruction: Cholesky factors, where the weights of a layer lie, what its patches are.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { choleskyUpper } from '../../../../engine/quantization/reconstruct/cholesky.ts'
import {
  groupElements,
  groupScales,
  layerMatrix,
  putGroup,
} from '../../../../engine/quantization/reconstruct/layer-matrix.ts'
import { spreadChoice, textSeed } from '../../../../engine/quantization/reconstruct/sampling.ts'
import { convTransposeLayout } from '../../../../engine/quantization/rules.ts'
import type { LayerAnatomy } from '../../../../engine/quantization/layers.ts'
import { makeNode } from '../../../../engine/onnx/index.ts'
import { randomHessian, randomNumbers } from './problems.ts'

describe('Cholesky', () => {
  test('U^T U is the matrix, across block borders', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.constantFrom(1, 2, 7, 47, 48, 49, 110),
        (seed, size) => {
          const matrix = randomHessian(size, randomNumbers(seed))
          for (let i = 0; i < size; i++) matrix[i * size + i]! += 0.01
          const factor = matrix.slice()
          expect(choleskyUpper(factor, size)).toBe(true)
          for (let i = 0; i < size; i++) {
            for (let j = i; j < size; j++) {
              let sum = 0
              for (let k = 0; k <= i; k++) sum += factor[k * size + i]! * factor[k * size + j]!
              expect(sum).toBeCloseTo(matrix[i * size + j]!, 10)
            }
          }
        },
      ),
      { numRuns: 14 },
    )
  })

  test('a matrix that is not positive definite is refused', () => {
    expect(choleskyUpper(Float64Array.of(1, 2, 2, 1), 2)).toBe(false)
    expect(choleskyUpper(Float64Array.of(Number.NaN), 1)).toBe(false)
    expect(choleskyUpper(Float64Array.of(0), 1)).toBe(false)
  })
})

function anatomy(opType: string, weightDims: number[]): LayerAnatomy {
  return { opType, weightDims } as LayerAnatomy
}

function node(opType: string, group = 1): ReturnType<typeof makeNode> {
  return makeNode({ opType, name: 'n', inputs: ['x', 'w'], outputs: ['y'], attributes: { group } })
}

describe('layer matrices', () => {
  test('a product has an input per row of its weight, an output per column', () => {
    const matrix = layerMatrix(anatomy('MatMul', [3, 2]), node('MatMul'))
    expect([...groupElements(matrix, 0, Float32Array.of(1, 2, 3, 4, 5, 6))]).toEqual([1, 3, 5, 2, 4, 6])
  })

  test('a grouped ConvTranspose: outputs on the second axis of each group', () => {
    // [4 inputs, 2 outputs per group, 3 taps], 2 groups: element (input, output, tap) holds 100 i + 10 o + t.
    const values = Float32Array.from(
      { length: 24 },
      (_, index) => 100 * Math.floor(index / 6) + 10 * (Math.floor(index / 3) % 2) + (index % 3),
    )
    const dims = [4, 2, 3]
    const matrix = layerMatrix(anatomy('ConvTranspose', dims), node('ConvTranspose', 2))
    expect([matrix.groups, matrix.rows, matrix.columns.length]).toEqual([2, 2, 6])
    expect([...groupElements(matrix, 1, values)]).toEqual([
      200, 201, 202, 300, 301, 302, 210, 211, 212, 310, 311, 312,
    ])
    const scales = groupScales(matrix, 1, convTransposeLayout(dims, 2), Float32Array.of(1, 2, 3, 4))
    expect([...scales]).toEqual([3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4])
  })

  test('groups written back fill the weight', () => {
    const dims = [6, 2, 3, 3]
    const matrix = layerMatrix(anatomy('Conv', dims), node('Conv', 3))
    const values = Int8Array.from({ length: 108 }, (_, index) => index)
    const target = new Int8Array(108)
    for (let group = 0; group < 3; group++)
      putGroup(matrix, group, groupElements(matrix, group, values), target)
    expect(target).toEqual(values)
  })
})

describe('choice of places', () => {
  test('as many as wanted, ascending, different, spread over all, the same for the same seed', () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.integer({ min: 1, max: 300 }), fc.nat(), (count, wanted, seed) => {
        const chosen = [...spreadChoice(count, wanted, seed)]
        expect(chosen).toHaveLength(Math.min(count, wanted))
        chosen.forEach((place, index) => {
          expect(place).toBeLessThan(count)
          if (index > 0) expect(place).toBeGreaterThan(chosen[index - 1]!)
        })
        expect([...spreadChoice(count, wanted, seed)]).toEqual(chosen)
      }),
    )
  })

  test('another name, another choice', () => {
    const choice = (name: string): string => spreadChoice(10_000, 50, textSeed(name)).join()
    expect(choice('00')).not.toBe(choice('01'))
  })
})
