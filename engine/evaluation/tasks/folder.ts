// Tasks for folders in diffusers layout, as Optimum exports them to ONNX: unet/model.onnx, text_encoder/model.onnx,
// vae_decoder/model.onnx, scheduler/scheduler_config.json, tokenizer/tokenizer.json, and the second encoder of SDXL.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import {
  scheduleSchema,
  type Task,
  TASK_SCHEMA,
  type TextEncoderSpec,
} from '../../../contract/evaluation-task.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { type Model, openModel } from '../../onnx/index.ts'
import { openTokenizer, propertyOf, readJsonFile } from '../tokenizers.ts'

/** CLIP's tokenizer: 77 tokens, ended by 49407, which pads too unless its configuration names another token. */
const CLIP_LENGTH = 77
const CLIP_END = 49_407
/** Latent scale of Stable Diffusion 1 and 2 (diffusers, AutoencoderKL). */
const DEFAULT_SCALING = 0.18215

const PROMPTS = [
  'a photograph of an astronaut riding a horse',
  'a bowl of fruit on a wooden table, soft light',
  'a watercolour painting of a lighthouse at dawn',
  'a red bicycle leaning against a brick wall',
  'portrait of an old fisherman, detailed, studio lighting',
  'a snowy mountain village at night',
  'a robot reading a book in a library',
  'a close-up of a dragonfly on a leaf',
]

function refuse(folder: string, reason: string): AppError {
  return new AppError('E_TASK_FOLDER', { path: folder, reason })
}

/** The model of a component, relative to the folder. */
function component(folder: string, names: readonly string[]): string | undefined {
  return names.map((name) => `${name}/model.onnx`).find((file) => existsSync(path.join(folder, file)))
}

function pick(known: readonly string[], wanted: readonly string[]): string | undefined {
  return wanted.find((name) => known.includes(name))
}

function names(model: Model): { inputs: string[]; outputs: string[] } {
  const { graph } = model
  const inputs = graph.inputs.map((input) => input.name).filter((name) => !graph.initializers.has(name))
  return { inputs, outputs: graph.outputs.map((output) => output.name) }
}

function required(
  folder: string,
  model: string,
  found: string | undefined,
  what: string,
  known: string[],
): string {
  if (found !== undefined) return found
  throw refuse(folder, `${model} has no ${what} among ${known.join(', ')}`)
}

/** Sizes of the latent: fixed in the model, else 64 x 64 (512 pixels). */
function latentShape(model: Model, sample: string): [number, number, number] {
  const shape = model.graph.inputs.find((input) => input.name === sample)?.shape ?? []
  const size = (position: number, fallback: number): number => {
    const dim = shape[position]
    return dim && 'value' in dim && Number(dim.value) > 0 ? Number(dim.value) : fallback
  }
  return [size(1, 4), size(2, 64), size(3, 64)]
}

/** A special token as configurations write it: its text, or an object with it. */
const specialSchema = z.union([
  z.string(),
  z.object({ content: z.string() }).transform(({ content }) => content),
])

/**
 * The token that fills prompts up. The tokenizers of Stable Diffusion 2 and of SDXL's second encoder pad with "!" (0), that of
 * Stable Diffusion 1 with the end token.
 */
function paddingOf(folder: string, tokenizer: string): number {
  const base = path.join(folder, path.dirname(tokenizer))
  for (const name of ['special_tokens_map.json', 'tokenizer_config.json']) {
    const file = path.join(base, name)
    if (!existsSync(file)) continue
    const token = specialSchema.safeParse(propertyOf(readJsonFile(file), 'pad_token'))
    if (token.success) return openTokenizer(path.join(folder, tokenizer)).token_to_id(token.data) ?? CLIP_END
  }
  return CLIP_END
}

/** Tokenizer files as exports have them: the one of Stable Diffusion 1 has no tokenizer.json. */
function tokenizerFile(folder: string, suffix: string): string {
  const files = ['tokenizer.json', 'vocab.json'].map((name) => `tokenizer${suffix}/${name}`)
  const found = files.find((file) => existsSync(path.join(folder, file)))
  if (found === undefined) throw refuse(folder, `neither ${files.join(' nor ')} is there`)
  return found
}

function textEncoder(folder: string, suffix: string): TextEncoderSpec | undefined {
  const model = component(folder, [`text_encoder${suffix}`])
  if (model === undefined) return undefined
  const tokenizer = tokenizerFile(folder, suffix)
  const { inputs, outputs } = names(openModel(path.join(folder, model)))
  const twice = component(folder, ['text_encoder_2']) !== undefined
  const states = pick(outputs, [
    // SDXL attends to the last but one layer of both encoders.
    ...(twice ? penultimate(outputs) : []),
    'last_hidden_state',
    'hidden_states',
  ])
  const pooled = pick(outputs, ['text_embeds'])
  return {
    model,
    tokenizer: {
      kind: 'tokenizer_json',
      file: tokenizer,
      length: CLIP_LENGTH,
      pad: paddingOf(folder, tokenizer),
      eos: CLIP_END,
    },
    ids: required(folder, model, pick(inputs, ['input_ids']), 'input', inputs),
    states: required(folder, model, states, 'hidden states', outputs),
    ...(pooled !== undefined && { pooled }),
  }
}

/** `hidden_states.N` of the last but one layer, where the encoder gives all of them. */
function penultimate(outputs: readonly string[]): string[] {
  const layers = outputs.flatMap((name) => {
    const layer = /^hidden_states\.(\d+)$/.exec(name)?.[1]
    return layer === undefined ? [] : [Number(layer)]
  })
  if (layers.length < 2) return []
  const sorted = layers.sort((a, b) => b - a)
  return [`hidden_states.${sorted[1]}`]
}

const vaeConfigSchema = z.object({
  scaling_factor: z.number().positive().default(DEFAULT_SCALING),
  shift_factor: z.number().nullish(),
})

function vaeDecoder(folder: string) {
  const model = component(folder, ['vae_decoder'])
  if (model === undefined) return undefined
  const { inputs, outputs } = names(openModel(path.join(folder, model)))
  const file = path.join(folder, 'vae_decoder/config.json')
  const config = vaeConfigSchema.safeParse(existsSync(file) ? readJsonFile(file) : {})
  const { scaling_factor, shift_factor } = config.data ?? { scaling_factor: DEFAULT_SCALING, shift_factor: 0 }
  const latent = pick(inputs, ['latent_sample', 'latent', 'sample'])
  return {
    model,
    latent: required(folder, model, latent, 'latent input', inputs),
    image: required(folder, model, outputs[0], 'output', outputs),
    scaling_factor,
    shift_factor: shift_factor ?? 0,
  }
}

/** Whether zeros stand for the empty prompt: the pipeline's own setting in model_index.json. */
function zeroEmptyPrompt(folder: string): boolean {
  const file = path.join(folder, 'model_index.json')
  return existsSync(file) && propertyOf(readJsonFile(file), 'force_zeros_for_empty_prompt') === true
}

/**
 * A task for a folder in diffusers layout; paths are relative to the folder.
 * @throws E_TASK_FOLDER, E_ONNX_*
 */
export function taskForFolder(folder: string): Task {
  const model = component(folder, ['unet', 'transformer'])
  if (model === undefined) throw refuse(folder, 'there is no unet/model.onnx')
  const schedulerFile = 'scheduler/scheduler_config.json'
  if (!existsSync(path.join(folder, schedulerFile))) throw refuse(folder, `${schedulerFile} is missing`)
  const schedule = scheduleSchema.safeParse(readJsonFile(path.join(folder, schedulerFile)))
  if (!schedule.success) {
    const [issue] = schedule.error.issues
    throw refuse(folder, `${schedulerFile}: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const denoiser = openModel(path.join(folder, model))
  const { inputs, outputs } = names(denoiser)
  const sample = required(folder, model, pick(inputs, ['sample', 'hidden_states']), 'sample input', inputs)
  const timestep = required(folder, model, pick(inputs, ['timestep', 't']), 'timestep input', inputs)
  const output = pick(outputs, ['out_sample', 'sample', 'noise_pred']) ?? outputs[0]
  const condition = pick(inputs, ['encoder_hidden_states'])
  const pooled = pick(inputs, ['text_embeds'])
  const timeIds = pick(inputs, ['time_ids'])
  const vae = vaeDecoder(folder)
  return {
    schema: TASK_SCHEMA,
    kind: 'diffusion',
    name: path.basename(path.resolve(folder)),
    denoiser: {
      model,
      sample,
      timestep,
      ...(condition !== undefined && { condition }),
      ...(pooled !== undefined && { pooled }),
      ...(timeIds !== undefined && { time_ids: timeIds }),
      output: required(folder, model, output, 'output', outputs),
      shape: latentShape(denoiser, sample),
    },
    text_encoders: ['', '_2'].flatMap((suffix) => textEncoder(folder, suffix) ?? []),
    ...(vae && { vae_decoder: vae }),
    schedule: schedulerFile,
    sampler: { method: 'ddim', steps: 20, guidance: 7.5 },
    prompts: PROMPTS.map((text, seed) => ({ text, seed })),
    negative_prompt: '',
    zero_empty_prompt: zeroEmptyPrompt(folder),
    pixels: 'rgb',
  }
}
