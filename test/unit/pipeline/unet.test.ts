// The generated U-Net against public facts of Stable Diffusion 1.5: parameter count, names, skip connections.
import { describe, expect, it } from 'vitest'
import { RandomStream } from '../../../engine/pipeline/samples/random.ts'
import {
  checkUnetShape,
  countParameters,
  planUnet,
  type UnetShape,
} from '../../../engine/pipeline/samples/index.ts'

const SD15: UnetShape = { channels: [320, 640, 1280, 1280], layersPerBlock: 2, inputs: 'full', size: 64 }
const SMALL: UnetShape = { channels: [32, 64, 128, 128], layersPerBlock: 2, inputs: 'single', size: 64 }

describe('planUnet', () => {
  it('has the 859,520,964 parameters of Stable Diffusion 1.5 at its widths', () => {
    expect(countParameters(planUnet(SD15).builder)).toBe(859_520_964)
  })

  it('names weights as diffusers does', () => {
    const names = new Map(planUnet(SD15).builder.weights.map((plan) => [plan.name, plan.dims]))
    expect(names.get('unet.conv_in.weight')).toEqual([320, 4, 3, 3])
    expect(names.get('unet.down_blocks.2.resnets.0.conv_shortcut.weight')).toEqual([1280, 640, 1, 1])
    expect(names.get('unet.up_blocks.1.resnets.2.conv1.weight')).toEqual([1280, 1920, 3, 3])
    expect(names.get('unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight')).toEqual([
      768, 320,
    ])
    expect(names.get('unet.mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight')).toEqual([
      1280, 10_240,
    ])
    expect(names.has('unet.down_blocks.3.attentions.0.proj_in.weight')).toBe(false)
    expect(names.has('unet.up_blocks.0.attentions.0.proj_in.weight')).toBe(false)
  })

  it('has the layers that the documented amct_config.json names', () => {
    const { builder } = planUnet(SMALL)
    const weights = builder.weights.map((plan) => plan.name)
    expect(weights).toContain('unet.up_blocks.3.resnets.2.norm1.weight')
    expect(weights).toContain('unet.conv_out.weight')
    expect(weights).toContain('unet.down_blocks.0.resnets.0.norm1.weight')
    expect(builder.inputs.map((input) => input.name)).toEqual(['sample_input_tensor'])
  })

  it('uses every value it makes, in topological order, under unique names', () => {
    for (const shape of [
      SMALL,
      { ...SMALL, inputs: 'full' as const, layersPerBlock: 1, channels: [16, 24] },
    ]) {
      const { builder, output } = planUnet(shape)
      const known = new Set([
        '',
        ...builder.inputs.map((input) => input.name),
        ...builder.constants.keys(),
        ...builder.weights.map((plan) => plan.name),
      ])
      const used = new Set<string>([output.name])
      for (const node of builder.nodes) {
        for (const input of node.inputs) {
          expect(known.has(input), `${node.name} reads ${input}`).toBe(true)
          used.add(input)
        }
        for (const value of node.outputs) {
          expect(known.has(value), `${value} is made twice`).toBe(false)
          known.add(value)
        }
      }
      expect([...known].filter((name) => name !== '' && !used.has(name))).toEqual([])
      expect(new Set(builder.nodes.map((node) => node.name)).size).toBe(builder.nodes.length)
    }
  })
})

describe('checkUnetShape', () => {
  it.each([
    [{ ...SMALL, channels: [32] }, /1 levels/],
    [{ ...SMALL, channels: [32, 30] }, /30 is not usable/],
    [{ ...SMALL, layersPerBlock: 0 }, /0 given/],
    [{ ...SMALL, size: 12 }, /12 given/],
  ])('refuses %o', (shape, message) => {
    expect(() => checkUnetShape(shape)).toThrow(message)
  })
})

describe('RandomStream', () => {
  it('is normal enough: mean, variance, kurtosis of a sum of four uniforms', () => {
    const values = new Float32Array(200_000)
    new RandomStream(1, 'w').fillNormal(values, 2)
    const moment = (power: number): number =>
      values.reduce((sum, value) => sum + value ** power, 0) / values.length
    expect(Math.abs(moment(1))).toBeLessThan(0.02)
    expect(moment(2)).toBeCloseTo(4, 1)
    // Irwin-Hall of n uniforms has kurtosis 3 - 6 / (5 n).
    expect(moment(4) / moment(2) ** 2).toBeCloseTo(3 - 6 / 20, 1)
  })

  it('repeats for the same seed and name and differs otherwise', () => {
    const draw = (seed: number, name: string): number[] => {
      const values = new Float32Array(8)
      new RandomStream(seed, name).fillNormal(values, 1)
      return [...values]
    }
    expect(draw(1, 'a')).toEqual(draw(1, 'a'))
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'))
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'))
  })
})
