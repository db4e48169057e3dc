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
  const write = (name: string, content: Uint8Array | string): void => {
    writeFileAtomic(path.join(folder, name), content)
    written.push(name)
  }
  try {
    for (let index = 0; index < count; index++) {
      if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
      const id = `calib_${String(index).padStart(4, '0')}`
      const sample = normal(seed, `${id}.sample`, LATENT_CHANNELS * shape.size * shape.size)
      if (shape.inputs === 'single') write(`${id}.bin`, asBytes(sample))
      else {
        const timestep = Math.round(((count - index) / count) * (TRAINING_STEPS - 1))
        write(`${id}_sample_input_tensor.bin`, asBytes(sample))
        write(`${id}_timestep.bin`, asBytes(Float32Array.of(timestep)))
        write(
          `${id}_encoder_hidden_states.bin`,
          asBytes(normal(seed, `${id}.text`, TEXT_TOKENS * TEXT_WIDTH)),
        )
      }
      ctx.onProgress?.({ stage: 'calibration', done: index + 1, total: count })
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    const bins = [...written]
    write('calib_list.txt', `${bins.join('\n')}\n`)
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
