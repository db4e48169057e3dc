// Roles of layers by their names and without them, and the presets that follow.
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { type LayerRole, recipePresetSchema } from '../../../contract/presets.ts'
import { type Model, openModel } from '../../../engine/onnx/index.ts'
import {
  presetOf,
  presetsAndRecognition,
  presetsForModel,
} from '../../../engine/quantization/presets/index.ts'
import { recogniseModel } from '../../../engine/quantization/presets/recognise.ts'
import { selectLayers } from '../../../engine/quantization/selection.ts'
import { deployFloatReason } from '../../../engine/quantization/weight-only.ts'
import {
  autoencoderDecoder,
  diffusionTransformer,
  generatedUnet,
  mixtureOfExperts,
  withoutNames,
} from '../../fixtures/role-models.ts'

const SAMPLES = path.resolve('resources/samples')
const sample = (file: string): Model => openModel(path.join(SAMPLES, file))

/** Counts by role. */
function roles(model: Model): Partial<Record<LayerRole, number>> {
  return Object.fromEntries(recogniseModel(model).roles.map(({ role, layers }) => [role, layers]))
}

/** Roles layer by layer, in graph order. */
function roleList(model: Model): LayerRole[] {
  return recogniseModel(model).layers.map(({ role }) => role)
}

const models: [string, () => Model][] = [
  ['the sample U-Net', () => sample('sprite-diffusion/unet.onnx')],
  ['the sample text encoder', () => sample('sprite-diffusion/text_encoder.onnx')],
  ['the sample language model', () => sample('tiny-lm/lm.onnx')],
  [
    'Stable Diffusion 1.5',
    () => generatedUnet({ channels: [320, 640, 1280, 1280], layersPerBlock: 2, inputs: 'full', size: 64 }),
  ],
  [
    'a U-Net without conditions',
    () => generatedUnet({ channels: [32, 64], layersPerBlock: 1, inputs: 'single', size: 16 }),
  ],
  ['a DiT', diffusionTransformer],
  ['a mixture of experts', mixtureOfExperts],
  ['a decoder of pictures', autoencoderDecoder],
]

describe.each(models)('%s', (_name, build) => {
  it('has the same roles without any name', () => {
    const model = build()
    const bare = withoutNames(model)
    expect(roleList(bare)).toEqual(roleList(model))
    expect(recogniseModel(bare).kind).toBe(recogniseModel(model).kind)
  })

  it('gets presets whose recipes name layers that are there', () => {
    for (const model of [build(), withoutNames(build())]) {
      const presets = presetsForModel(model)
      expect(presets.filter((preset) => preset.recommended)).toHaveLength(1)
      expect(presets[0]?.recommended || presets[0]?.family === 'general').toBe(true)
      for (const preset of presets) {
        expect(recipePresetSchema.parse(preset)).toEqual(preset)
        const { kept } = selectLayers(model, preset.recipe)
        const reasons = new Map([...kept.values()].map((layer) => [layer.name, layer.reason]))
        for (const { layer, precision, fixed, role } of preset.proposals) {
          if (fixed) expect(reasons.get(layer), `${preset.id} ${role}`).toBe('two_dynamic_inputs')
          else if (precision === 'fp16') expect(reasons.get(layer), layer).toBe('fp16_by_recipe')
        }
      }
    }
  })
})

describe('kinds and roles', () => {
  it('knows every layer of the sample U-Net', () => {
    const { kind, family } = recogniseModel(sample('sprite-diffusion/unet.onnx'))
    expect([kind, family]).toEqual(['diffusion_unet', 'diffusion'])
    // Counted in its module tree: 8 resolutions of two or three resnets and the middle, six transformers.
    expect(roles(sample('sprite-diffusion/unet.onnx'))).toEqual({
      time_embedding: 2,
      added_embedding: 2,
      time_projection: 22,
      input_convolution: 1,
      output_convolution: 1,
      convolution: 44,
      skip_convolution: 14,
      downsampler: 3,
      upsampler: 3,
      transformer_input: 6,
      transformer_output: 6,
      attention_query: 12,
      attention_key: 12,
      attention_value: 12,
      attention_output: 12,
      attention_scores: 12,
      attention_mix: 12,
      feed_forward_input: 6,
      feed_forward_output: 6,
    })
  })

  it('tells a picture encoder, a text encoder and a language model apart', () => {
    const encoder = recogniseModel(sample('sprite-diffusion/image_encoder.onnx'))
    expect([encoder.kind, encoder.family]).toEqual(['convolutional_network', 'convolutional'])
    expect(roles(sample('sprite-diffusion/image_encoder.onnx'))).toMatchObject({
      patch_embedding: 1,
      skip_convolution: 3,
      classifier: 1,
    })
    expect(recogniseModel(sample('sprite-diffusion/text_encoder.onnx')).kind).toBe('text_encoder')
    const language = recogniseModel(sample('tiny-lm/lm.onnx'))
    expect(language.kind).toBe('language_model')
    expect(roles(sample('tiny-lm/lm.onnx'))).toMatchObject({
      language_head: 1,
      feed_forward_gate: 4,
      feed_forward_input: 4,
      feed_forward_output: 4,
    })
  })

  it('finds modulation, fused attention and the last layer of a DiT', () => {
    const model = recogniseModel(diffusionTransformer())
    expect(model.kind).toBe('diffusion_transformer')
    expect(roles(diffusionTransformer())).toEqual({
      time_embedding: 2,
      modulation: 3,
      patch_embedding: 1,
      attention_qkv: 2,
      attention_scores: 2,
      attention_mix: 2,
      attention_output: 2,
      feed_forward_input: 2,
      feed_forward_output: 2,
      output_projection: 1,
    })
  })

  it('finds router, experts and head of a mixture of experts', () => {
    expect(recogniseModel(mixtureOfExperts()).kind).toBe('language_model')
    expect(roles(mixtureOfExperts())).toMatchObject({
      router: 1,
      feed_forward_gate: 2,
      feed_forward_input: 2,
      feed_forward_output: 2,
      attention_query: 1,
      attention_output: 1,
      language_head: 1,
    })
  })

  it('finds the decoder of an autoencoder', () => {
    expect(recogniseModel(autoencoderDecoder()).kind).toBe('vae_decoder')
    expect(roles(autoencoderDecoder())).toEqual({
      input_convolution: 1,
      convolution: 4,
      upsampler: 1,
      skip_convolution: 1,
      output_convolution: 1,
    })
  })
})

describe('presets', () => {
  it('keep what measurements on the sample U-Net say, and say why', () => {
    const { presets, recognised } = presetsAndRecognition(sample('sprite-diffusion/unet.onnx'))
    expect(recognised?.kind).toBe('diffusion_unet')
    expect(presets.map((preset) => preset.id)).toEqual([
      'diffusion_w8a8',
      'diffusion_w8a8_full',
      'diffusion_w4a8',
      'balanced',
      'accurate',
      'symmetric',
      'convolutions',
    ])
    const [first] = presets
    const kept = new Set(first?.proposals.filter(({ fixed }) => !fixed).map(({ role }) => role))
    expect(kept).toEqual(
      new Set([
        'skip_convolution',
        'input_convolution',
        'output_convolution',
        'time_embedding',
        'time_projection',
        'added_embedding',
      ]),
    )
    // Samplers cost 17 % of the work and bring nothing.
    expect(first?.recipe.fp16_layers.some((layer) => layer.includes('samplers'))).toBe(false)
    expect(first?.proposals.every(({ reason }) => reason.en !== '' && reason.zh !== '')).toBe(true)
  })

  it('without a model are the general ones', () => {
    const { presets, recognised } = presetsAndRecognition(null)
    expect(recognised).toBeNull()
    expect(presets.map((preset) => preset.id)).toEqual(['balanced', 'accurate', 'symmetric', 'convolutions'])
  })

  it('recommend nothing that the device computes mostly in floating point', () => {
    for (const [, build] of models) {
      const model = build()
      const [first] = presetsForModel(model)
      expect(first?.recommended).toBe(true)
      const { chosen, weightOnly } = selectLayers(model, first!.recipe)
      const floating = weightOnly.filter((layer) => deployFloatReason(model, layer) !== undefined)
      expect(chosen.length + weightOnly.length, first?.id).toBeGreaterThan(2 * floating.length)
    }
  })

  it('leave something to quantize', () => {
    const ids = presetsForModel(sample('tiny-lm/lm.onnx')).map((preset) => preset.id)
    expect(ids).toEqual([
      'language_w8a8',
      'language_w8a16',
      'language_w4a16',
      'balanced',
      'accurate',
      'symmetric',
    ])
  })

  it('refuse an unknown id with the known ones', () => {
    const ask = (): unknown => presetOf(sample('tiny-lm/lm.onnx'), 'diffusion_w8a8')
    expect(ask).toThrow(AppError)
    expect(ask).toThrow(/no preset "diffusion_w8a8"/)
  })
})
