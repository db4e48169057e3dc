// How a folder of pictures becomes calibration or evaluation data: the chain from decoded pixels to the values of an input.
import { z } from 'zod'

export const PREPARATION_SCHEMA = 'aqw.preparation/1'

const sizeSchema = z.tuple([z.number().int().min(1).max(16_384), z.number().int().min(1).max(16_384)])

export const preparationSchema = z.strictObject({
  schema: z.literal(PREPARATION_SCHEMA).default(PREPARATION_SCHEMA),
  /** Model input the files are for; part of the file names when given. */
  input: z.string().min(1).max(1000).optional(),
  /**
   * `stretch`: to height and width, whatever the shape was. `short_side`: the shorter side becomes the smaller of both
   * numbers, proportions stay. `fit`: the picture fits inside, the rest is `pad_value`. `none`: as it is.
   */
  resize: z
    .strictObject({ mode: z.enum(['none', 'stretch', 'short_side', 'fit']), size: sizeSchema.optional() })
    .default({ mode: 'none' }),
  filter: z.enum(['bilinear', 'nearest']).default('bilinear'),
  /** Height and width cut out of the middle, after resizing. */
  crop: sizeSchema.optional(),
  pad_value: z.number().int().min(0).max(255).default(0),
  channels: z.enum(['rgb', 'bgr', 'grey', 'rgba']).default('rgb'),
  /** Multiplies the 0..255 of a pixel: 1/255 is torchvision's ToTensor, 1 keeps bytes. */
  scale: z
    .number()
    .positive()
    .max(1000)
    .default(1 / 255),
  /** Then (value - mean) / std, one number for all channels or one each. */
  mean: z.array(z.number()).min(1).max(4).default([0]),
  std: z.array(z.number().positive()).min(1).max(4).default([1]),
  layout: z.enum(['CHW', 'HWC']).default('CHW'),
  dtype: z.enum(['float32', 'float16', 'uint8']).default('float32'),
  /** Pictures to take, at random by `seed`; all when left out. */
  count: z.number().int().positive().max(10_000_000).optional(),
  seed: z.number().int().nonnegative().default(0),
})
export type Preparation = z.infer<typeof preparationSchema>
export type PreparationRequest = z.input<typeof preparationSchema>

/** One picture on its way through the chain, for looking at. */
export const preparationStepSchema = z.object({
  /** `decoded`, `resized`, `cropped`, `values`. */
  step: z.enum(['decoded', 'resized', 'cropped', 'values']),
  width: z.number().int(),
  height: z.number().int(),
  channels: z.number().int(),
  min: z.number(),
  max: z.number(),
  mean: z.number(),
  /** PNG as a data URL; values are stretched to black and white. */
  picture: z.string(),
})
export type PreparationStep = z.infer<typeof preparationStepSchema>

export const preparationResultSchema = z.object({
  folder: z.string(),
  listFile: z.string(),
  files: z.number().int(),
  bytesPerFile: z.number().int(),
  shape: z.array(z.number().int()),
  layout: preparationSchema.shape.layout.unwrap(),
  dtype: preparationSchema.shape.dtype.unwrap(),
  sha256: z.string(),
})
export type PreparationResult = z.infer<typeof preparationResultSchema>
