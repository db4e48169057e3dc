// Generates Stable-Diffusion-shaped U-Nets with random weights, for trying the tools at any scale.
import { rmSync } from 'node:fs'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { checkWritable, temporaryName } from '../../common/files.ts'
import { DataType, makeModel, saveModel, type SavedModel } from '../../onnx/index.ts'
import { countParameters, planUnet, type UnetShape } from './unet.ts'
import { writeWeights } from './weights.ts'

export { writeCalibration } from './calibration.ts'
export { countParameters, planUnet, type UnetShape } from './unet.ts'

export interface UnetRequest extends UnetShape {
  output: string
  seed: number
}

export interface GeneratedModel {
  saved: SavedModel
  parameters: number
}

const MAX_WIDTH = 16_384
const MAX_LEVELS = 6
const MAX_LAYERS = 32

/** @throws E_ARGUMENT for a shape that no such U-Net can have */
export function checkUnetShape(shape: UnetShape): void {
  const { channels, layersPerBlock, size } = shape
  const refuse = (name: string, reason: string, expected: string): never => {
    throw new AppError('E_ARGUMENT', { name, reason, expected })
  }
  if (channels.length < 2 || channels.length > MAX_LEVELS) {
    refuse('channels', `${channels.length} levels given`, `2 to ${MAX_LEVELS} widths, e.g. 320,640,1280,1280`)
  }
  for (const width of channels) {
    const valid = Number.isInteger(width) && width >= 8 && width <= MAX_WIDTH && width % 8 === 0
    if (!valid)
      refuse('channels', `${width} is not usable as a width`, `multiples of 8 from 8 to ${MAX_WIDTH}`)
  }
  if (!Number.isInteger(layersPerBlock) || layersPerBlock < 1 || layersPerBlock > MAX_LAYERS) {
    refuse('layers per block', `${layersPerBlock} given`, `1 to ${MAX_LAYERS}`)
  }
  for (const level of shape.attentionLevels ?? []) {
    const valid = Number.isInteger(level) && level >= 0 && level < channels.length
    if (!valid) refuse('attention levels', `${level} given`, `levels from 0 to ${channels.length - 1}`)
  }
  const step = 2 ** (channels.length - 1)
  if (!Number.isInteger(size) || size < step || size > 1024 || size % step !== 0) {
    refuse('size', `${size} given`, `a multiple of ${step} up to 1024`)
  }
}

/**
 * Writes a U-Net to `request.output`; above 2 GB the weights go to a file beside it. Memory stays bounded.
 * @throws E_ARGUMENT, E_FILE_WRITE, E_CANCELLED; nothing stays behind then
 */
export async function generateUnet(request: UnetRequest, ctx: WorkContext = {}): Promise<GeneratedModel> {
  checkUnetShape(request)
  checkWritable(request.output)
  const { builder, output } = planUnet(request)
  const weightsFile = temporaryName(request.output)
  try {
    const tensors = await writeWeights(builder.weights, request.seed, weightsFile, ctx)
    const initializers = new Map(
      [...tensors, ...builder.constants.values()].map((tensor) => [tensor.name, tensor]),
    )
    const shape = output.dims.map((value) => ({ value }))
    const model = makeModel(
      {
        name: 'unet',
        nodes: builder.nodes,
        initializers,
        inputs: builder.inputs,
        outputs: [{ name: output.name, elementType: DataType.FLOAT, shape }],
      },
      [
        {
          key: 'generator',
          value: `aqw sample unet, channels ${request.channels.join(',')}, seed ${request.seed}`,
        },
      ],
    )
    if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
    const saved = saveModel(model, request.output, { external: 'auto' })
    return { saved, parameters: countParameters(builder) }
  } finally {
    rmSync(weightsFile, { force: true })
  }
}
