// Which shapes a model is compiled for, and what is said when they are missing or wrong.
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import type { OmGears } from '../../../contract/om.ts'
import { planShapes } from '../../../engine/compile/input-shapes.ts'
import { socSpec } from '../../../engine/cost/index.ts'
import type { Model } from '../../../engine/onnx/index.ts'

const inputs = (shapes: Record<string, (number | string)[]>): Model =>
  ({
    graph: {
      inputs: Object.entries(shapes).map(([name, dims]) => ({
        name,
        elementType: 1,
        shape: dims.map((dim) => (typeof dim === 'number' ? { value: dim } : { symbol: dim })),
      })),
    },
  }) as unknown as Model

function failure(call: () => unknown): AppError {
  try {
    call()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('planShapes', () => {
  const model = inputs({ sample: ['N', 4, 64, 64], mask: ['N', 8], fixed: [3] })

  it('names the exact option for an open input', () => {
    const error = failure(() => planShapes(model, {}, null, 'm.onnx'))
    expect(error.code).toBe('E_COMPILE_INPUT_SHAPE')
    expect(error.hint).toContain('--input-shape "sample:1,4,64,64"')
    expect(error.message).toContain('[N, 4, 64, 64]')
  })

  it('lets a symbol hold for the other inputs', () => {
    const plan = planShapes(model, { sample: [2, 4, 64, 64] }, null, 'm.onnx')
    expect(plan.declared).toEqual({ sample: [2, 4, 64, 64], mask: [2, 8], fixed: [3] })
    expect(plan.gearShapes).toHaveLength(1)
  })

  it('refuses unknown inputs and shapes that do not fit', () => {
    const unknown = failure(() => planShapes(model, { sampel: [1] }, null, 'm.onnx'))
    expect(unknown.code).toBe('E_COMPILE_UNKNOWN_INPUT')
    expect(unknown.hint).toContain('sample')
    for (const given of [
      [1, 4, 64],
      [1, 5, 64, 64],
      [0, 4, 64, 64],
      [1.5, 4, 64, 64],
    ]) {
      const error = failure(() => planShapes(model, { sample: given }, null, 'm.onnx'))
      expect(error.code).toBe('E_COMPILE_SHAPE_MISMATCH')
    }
  })

  it('expands gears in the order of the -1 axes', () => {
    const gears: OmGears = {
      kind: 'dims',
      values: [
        [1, 8, 1],
        [4, 16, 4],
      ],
    }
    const open = inputs({ a: ['N', 'S'], b: ['N', 2] })
    const plan = planShapes(open, { a: [-1, -1], b: [-1, 2] }, gears, 'm.onnx')
    expect(plan.gearShapes).toEqual([
      { a: [1, 8], b: [1, 2] },
      { a: [4, 16], b: [4, 2] },
    ])
    const image: OmGears = {
      kind: 'image',
      values: [
        [64, 32],
        [128, 96],
      ],
    }
    const planImage = planShapes(inputs({ i: [1, 3, 'H', 'W'] }), { i: [1, 3, -1, -1] }, image, 'm.onnx')
    expect(planImage.gearShapes[1]).toEqual({ i: [1, 3, 128, 96] })
  })
})

describe('socSpec', () => {
  it('suggests the nearest names of an unknown SoC', () => {
    const error = failure(() => socSpec('ascend310p'))
    expect(error.code).toBe('E_SOC_UNKNOWN')
    expect(error.hint).toMatch(/Did you mean Ascend310P?/)
  })

  it('derives peaks that agree with the published ones', () => {
    // Atlas 300I Pro: 70 TFLOPS FP16, 140 TOPS INT8; Atlas 200: 22 TOPS; 910A: 256 TFLOPS.
    const tera = (value: number): number => value / 1e12
    expect(tera(socSpec('Ascend310P3').peakFp16Flops)).toBeCloseTo(69.5, 0)
    expect(tera(socSpec('Ascend310P3').peakInt8Ops)).toBeCloseTo(139, 0)
    expect(tera(socSpec('Ascend310').peakInt8Ops)).toBeCloseTo(22.3, 0)
    expect(Math.abs(tera(socSpec('Ascend910A').peakFp16Flops) / 256 - 1)).toBeLessThan(0.03)
  })
})
