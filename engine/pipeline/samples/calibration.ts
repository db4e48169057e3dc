// Random calibration inputs for a generated U-Net: noise at the strength the sampler would feed, as raw bins.
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { writeFileAtomic } from '../../common/files.ts'
import { reasonOf } from '../../common/hashing.ts'
import { RandomStream } from './random.ts'
import { LATENT_CHANNELS, TEXT_TOKENS, TEXT_WIDTH, type UnetShape } from './unet.ts'

const TRAINING_STEPS = 1000

function asBytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function normal(seed: number, name: string, count: number): Float32Array {
  const values = new Float32Array(count)
  new RandomStream(seed, name).fillNormal(values, 1)
  return values
}

/** Values per input of one sample; the only input of the single variant has an empty name. */
function sampleInputs(
  id: string,
  progress: number,
  shape: Pick<UnetShape, 'inputs' | 'size'>,
  seed: number,
): [string, Float32Array][] {
  const sample = normal(seed, `${id}.sample`, LATENT_CHANNELS * shape.size * shape.size)
  if (shape.inputs === 'single') return [['', sample]]
  const timestep = Math.round((1 - progress) * (TRAINING_STEPS - 1))
  return [
    ['sample_input_tensor', sample],
    ['timestep', Float32Array.of(timestep)],
    ['encoder_hidden_states', normal(seed, `${id}.text`, TEXT_TOKENS * TEXT_WIDTH)],
  ]
}

/**
 * Writes `count` samples into `folder` (created when missing, must be empty otherwise) and `calib_list.txt` naming them:
 * `calib_0000.bin` for one input, `calib_0000_<input>.bin` for several.
 * @returns names of the bins, in order
 * @throws E_FILE_WRITE, E_CANCELLED; nothing stays behind then
 */
export async function writeCalibration(
  folder: string,
  count: number,
  shape: Pick<UnetShape, 'inputs' | 'size'>,
  seed: number,
  ctx: WorkContext,
): Promise<string[]> {
  const created = prepareFolder(folder)
  const written: string[] = []
  const lines: string[] = []
  const write = (name: string, content: Uint8Array | string): string => {
    writeFileAtomic(path.join(folder, name), content)
    written.push(name)
    return name
  }
  try {
    for (let index = 0; index < count; index++) {
      if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
      const id = `calib_${String(index).padStart(4, '0')}`
      const inputs = sampleInputs(id, index / count, shape, seed)
      // The list file names one file per input on each line, in the model's order.
      const names = inputs.map(([input, values]) =>
        write(input === '' ? `${id}.bin` : `${id}_${input}.bin`, asBytes(values)),
      )
      lines.push(names.join(' '))
      ctx.onProgress?.({ stage: 'calibration', done: index + 1, total: count })
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    const bins = [...written]
    write('calib_list.txt', `${lines.join('\n')}\n`)
    return bins
  } catch (error) {
    for (const name of written) rmSync(path.join(folder, name), { force: true })
    if (created) rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** Returns whether the folder had to be made. */
function prepareFolder(folder: string): boolean {
  try {
    const created = mkdirSync(folder, { recursive: true }) !== undefined
    if (readdirSync(folder).length === 0) return created
  } catch (error) {
    throw new AppError('E_FILE_WRITE', { path: folder, reason: reasonOf(error) }, { cause: error })
  }
  throw new AppError('E_FILE_WRITE', { path: folder, reason: 'the folder is not empty' })
}
