// A quality task: how results are generated with a model and what they are judged by. People write these files (docs/
// evaluation.md); for folders in diffusers layout they are made. Paths are relative to the task file.
import { z } from 'zod'

export const TASK_SCHEMA = 'aqw.task/1'

const fileSchema = z.string().min(1).max(4096)
const tensorNameSchema = z.string().min(1).max(1000)

const tokenizerSchema = z.discriminatedUnion('kind', [
  /** One token per word: `vocabulary` and `tokenizer` {length, pad, bos, eos} of a JSON file. */
  z.strictObject({ kind: z.literal('words'), file: fileSchema }),
  /** A tokenizer.json of the Hugging Face tokenizers, or CLIP's vocab.json with merges.txt beside it. */
  z.strictObject({
    kind: z.literal('tokenizer_json'),
    file: fileSchema,
    /** Tokens per prompt: longer ones are cut, shorter ones padded. */
    length: z.number().int().min(2).max(8192),
    pad: z.number().int().nonnegative(),
    /** The token that ends a prompt; kept when a prompt is cut. */
    eos: z.number().int().nonnegative().optional(),
  }),
])
export type TokenizerSpec = z.infer<typeof tokenizerSchema>

const textEncoderSchema = z.strictObject({
  model: fileSchema,
  tokenizer: tokenizerSchema,
  ids: tensorNameSchema,
  /** Hidden states that the denoiser attends to. */
  states: tensorNameSchema,
  /** Pooled embedding, for denoisers that take one (SDXL). */
  pooled: tensorNameSchema.optional(),
})
export type TextEncoderSpec = z.infer<typeof textEncoderSchema>

export const scheduleSchema = z.object({
  /** Class of diffusers; those of flow matching have no signal shares to go by. */
  _class_name: z
    .string()
    .refine((name) => !/flow/i.test(name), 'schedulers of flow matching are not supported')
    .optional(),
  num_train_timesteps: z.number().int().min(2).max(100_000).default(1000),
  beta_schedule: z.enum(['linear', 'scaled_linear', 'squaredcos_cap_v2']).default('linear'),
  beta_start: z.number().positive().max(1).default(0.0001),
  beta_end: z.number().positive().max(1).default(0.02),
  trained_betas: z.array(z.number().positive().max(1)).min(2).max(100_000).nullish(),
  alphas_cumprod: z.array(z.number().positive().max(1)).min(2).max(100_000).optional(),
  prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']).default('epsilon'),
  timestep_spacing: z.enum(['leading', 'trailing', 'linspace']).default('leading'),
  steps_offset: z.number().int().nonnegative().max(1000).default(0),
  set_alpha_to_one: z.boolean().default(true),
  /** Range the predicted result is clipped to; `true` means -1 to 1. */
  clip_sample: z.union([z.boolean(), z.tuple([z.number(), z.number()])]).default(false),
  clip_sample_range: z.number().positive().default(1),
  rescale_betas_zero_snr: z.literal(false).default(false),
})
export type ScheduleSettings = z.infer<typeof scheduleSchema>

export const samplerSchema = z.strictObject({
  method: z.enum(['ddim', 'dpmsolver++2m']).default('ddim'),
  steps: z.number().int().min(1).max(1000).default(20),
  /** Classifier-free guidance: null + guidance (caption - null); 1 leaves the empty prompt out. */
  guidance: z.number().min(0).max(100).default(7.5),
})
export type SamplerSettings = z.infer<typeof samplerSchema>

/** How a picture in [0, 1] becomes the input of an encoder. */
const pictureInputSchema = z.strictObject({
  /** `model`: values as the denoiser gives them, alpha included; `rgb`: three channels. */
  pixels: z.enum(['model', 'rgb']).default('rgb'),
  /** Height and width; the picture's own when left out. */
  size: z.tuple([z.number().int().positive(), z.number().int().positive()]).optional(),
  mean: z.array(z.number()).min(1).max(4).default([0.5, 0.5, 0.5]),
  std: z.array(z.number().positive()).min(1).max(4).default([0.5, 0.5, 0.5]),
})
export type PictureInput = z.infer<typeof pictureInputSchema>

const pictureEncoderSchema = z.strictObject({
  model: fileSchema,
  input: tensorNameSchema,
  output: tensorNameSchema,
  prepare: pictureInputSchema.prefault({}),
})
export type PictureEncoderSpec = z.infer<typeof pictureEncoderSchema>

export const promptSchema = z.object({
  text: z.string().max(10_000),
  seed: z.number().int().nonnegative().optional(),
})
export type Prompt = z.infer<typeof promptSchema>

export const diffusionTaskSchema = z.strictObject({
  schema: z.literal(TASK_SCHEMA),
  kind: z.literal('diffusion'),
  name: z.string().min(1).max(200),
  denoiser: z.strictObject({
    /** The FP32 model; the reference unless another is given. */
    model: fileSchema,
    sample: tensorNameSchema,
    timestep: tensorNameSchema,
    condition: tensorNameSchema.optional(),
    pooled: tensorNameSchema.optional(),
    /** SDXL: original size, crop and target size as six numbers. */
    time_ids: tensorNameSchema.optional(),
    output: tensorNameSchema,
    /** Channels, height and width of one sample. */
    shape: z.tuple([z.number().int().positive(), z.number().int().positive(), z.number().int().positive()]),
  }),
  text_encoders: z.array(textEncoderSchema).max(2).default([]),
  vae_decoder: z
    .strictObject({
      model: fileSchema,
      latent: tensorNameSchema,
      image: tensorNameSchema,
      scaling_factor: z.number().positive(),
      shift_factor: z.number().default(0),
    })
    .optional(),
  /** A scheduler configuration: in place, or a JSON file. */
  schedule: z.union([fileSchema, scheduleSchema]),
  sampler: samplerSchema.prefault({}),
  /** In place, or a JSON file; `list` names the property of the file that holds them. */
  prompts: z.union([
    z.array(promptSchema).min(1).max(100_000),
    z.strictObject({ file: fileSchema, list: z.string().optional() }),
  ]),
  negative_prompt: z.string().default(''),
  /** Zeros stand for an empty negative prompt (SDXL: force_zeros_for_empty_prompt). */
  zero_empty_prompt: z.boolean().default(false),
  /** Values of a finished sample: `rgb` in [-1, 1], or premultiplied RGBA in [-1, 1]. */
  pixels: z.enum(['rgb', 'rgba_premultiplied']).default('rgb'),
  /** Encoder behind FID, KID, precision and recall, with features of real pictures (float32 rows). */
  features: pictureEncoderSchema.extend({ reference: fileSchema.optional() }).optional(),
  /** Encoders behind the caption scores. */
  captions: z
    .strictObject({
      picture: pictureEncoderSchema,
      text: z.strictObject({
        model: fileSchema,
        tokenizer: tokenizerSchema,
        ids: tensorNameSchema,
        output: tensorNameSchema,
      }),
    })
    .optional(),
})
export type DiffusionTask = z.infer<typeof diffusionTaskSchema>

export const languageTaskSchema = z.strictObject({
  schema: z.literal(TASK_SCHEMA),
  kind: z.literal('language'),
  name: z.string().min(1).max(200),
  model: fileSchema,
  ids: tensorNameSchema,
  /** Filled with ones where the model wants an attention mask, with 0, 1, 2, ... where it wants positions. */
  attention_mask: tensorNameSchema.optional(),
  position_ids: tensorNameSchema.optional(),
  logits: tensorNameSchema,
  /** Tokens per run. */
  window: z.number().int().min(2).max(131_072),
  /** New tokens per run of a long text; a smaller stride gives every token more context. */
  stride: z.number().int().min(1).max(131_072).optional(),
  /** Token sequences of a JSON file (`list` names the property), or a text file with its tokenizer. */
  text: z.union([
    z.strictObject({ file: fileSchema, list: z.string().default('sequences') }),
    z.strictObject({ text_file: fileSchema, tokenizer: fileSchema }),
  ]),
  /** Pads the last window on the right. */
  pad: z.number().int().nonnegative().default(0),
})
export type LanguageTask = z.infer<typeof languageTaskSchema>

/** Labelled samples: a data set whose labels stand in a text file, one per line. */
export const classificationTaskSchema = z.strictObject({
  schema: z.literal(TASK_SCHEMA),
  kind: z.literal('classification'),
  name: z.string().min(1).max(200),
  model: fileSchema,
  /** Folder of bins, as for calibration. */
  data: fileSchema,
  labels: fileSchema.optional(),
  output: tensorNameSchema,
})
export type ClassificationTask = z.infer<typeof classificationTaskSchema>

export const taskSchema = z.discriminatedUnion('kind', [
  diffusionTaskSchema,
  languageTaskSchema,
  classificationTaskSchema,
])
export type Task = z.infer<typeof taskSchema>
