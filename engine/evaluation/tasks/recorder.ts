// Calibration data from real trajectories: what the denoiser was given at chosen steps, as bins with an index that tells the
// time step of each (docs/calibration.md).
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import type { DiffusionTask } from '../../../contract/evaluation-task.ts'
import { writeFileAtomic } from '../../common/files.ts'
import type { FloatTensor } from '../models.ts'
import type { VisitListener } from './diffusion.ts'

const recordedInputSchema = z.object({
  file: z.string(),
  shape: z.array(z.number().int()),
  dtype: z.literal('float32'),
})
type RecordedInput = z.infer<typeof recordedInputSchema>

const recordedSchema = z.object({
  id: z.number().int(),
  caption: z.string(),
  branch: z.enum(['caption', 'empty']),
  sampler_step: z.number().int(),
  timestep: z.number(),
  inputs: z.record(z.string(), recordedInputSchema),
})
type RecordedSample = z.infer<typeof recordedSchema>

/** Writes float32 bins of denoiser inputs; the caption and the empty prompt take turns where guidance uses both. */
export class TrajectoryRecorder {
  readonly #folder: string
  readonly #partial: string
  readonly #task: DiffusionTask
  readonly #samples: RecordedSample[] = []
  #picture: RecordedSample[] = []
  readonly #every: number

  /**
   * @param partial Folder for what is kept of finished pictures until all are done.
   * @param samplesPerPicture Steps recorded of each picture, evenly spread, another offset for every picture.
   */
  constructor(folder: string, partial: string, task: DiffusionTask, samplesPerPicture: number) {
    for (const one of [folder, partial]) mkdirSync(one, { recursive: true })
    this.#partial = partial
    this.#folder = folder
    this.#task = task
    this.#every = Math.max(1, Math.floor(task.sampler.steps / samplesPerPicture))
  }

  readonly listen: VisitListener = ({ planned, step, visit, caption, empty }) => {
    if ((step + planned.index) % this.#every !== 0) return
    const id = this.#samples.length + this.#picture.length
    const branch = empty && id % 4 === 3 ? 'empty' : 'caption'
    const condition = branch === 'empty' && empty ? empty : caption
    const { denoiser } = this.#task
    const inputs: Record<string, RecordedInput> = {}
    const put = (name: string | undefined, tensor: FloatTensor | null): void => {
      if (name !== undefined && tensor) inputs[name] = this.#write(id, name, tensor)
    }
    put(denoiser.sample, { dims: [1, ...denoiser.shape], data: visit.sample })
    put(denoiser.timestep, { dims: [1], data: Float32Array.of(visit.step.timestep) })
    put(denoiser.condition, condition.states)
    put(denoiser.pooled, condition.pooled)
    const { timestep } = visit.step
    this.#picture.push({ id, caption: planned.prompt.text, branch, sampler_step: step, timestep, inputs })
  }

  /** Keeps what was recorded of a picture, for a run that goes on later. */
  finishPicture(index: number): void {
    writeFileAtomic(this.#stored(index), JSON.stringify(this.#picture))
    this.#samples.push(...this.#picture)
    this.#picture = []
  }

  /** Takes over what an interrupted run recorded of a finished picture. @returns false where there is nothing of use */
  resume(index: number): boolean {
    try {
      const stored = z.array(recordedSchema).parse(JSON.parse(readFileSync(this.#stored(index), 'utf8')))
      const next = this.#samples.length
      const usable = stored.every(
        ({ id, inputs }, place) =>
          id === next + place &&
          Object.values(inputs).every(({ file }) => existsSync(path.join(this.#folder, path.basename(file)))),
      )
      if (usable) this.#samples.push(...stored)
      return usable
    } catch {
      return false
    }
  }

  #stored(index: number): string {
    return path.join(this.#partial, `${String(index).padStart(6, '0')}.json`)
  }

  #write(id: number, name: string, { dims, data }: FloatTensor): RecordedInput {
    const file = `${String(id).padStart(5, '0')}_${name.replace(/[^\w.-]/g, '_')}.bin`
    writeFileAtomic(path.join(this.#folder, file), Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    return { file, shape: dims, dtype: 'float32' }
  }

  /** Writes index.json. @returns samples recorded */
  finish(): number {
    const index = {
      description: `Denoiser inputs recorded on ${this.#task.sampler.steps}-step trajectories; raw little-endian float32`,
      guidance_scale: this.#task.sampler.guidance,
      samples: this.#samples,
    }
    writeFileAtomic(path.join(this.#folder, 'index.json'), `${JSON.stringify(index, null, 1)}\n`)
    rmSync(this.#partial, { recursive: true, force: true })
    return this.#samples.length
  }
}
