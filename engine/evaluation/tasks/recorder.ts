// Calibration data from real trajectories: what the denoiser was given at chosen steps, as bins with an index that tells the
// time step of each (docs/calibration.md).
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import type { DiffusionTask } from '../../../contract/evaluation-task.ts'
import { writeFileAtomic } from '../../common/files.ts'
import type { FloatTensor } from '../models.ts'
import type { VisitListener } from './diffusion.ts'

interface RecordedInput {
  file: string
  shape: number[]
  dtype: 'float32'
}

interface RecordedSample {
  id: number
  caption: string
  branch: 'caption' | 'empty'
  sampler_step: number
  timestep: number
  inputs: Record<string, RecordedInput>
}

/** Writes float32 bins of denoiser inputs; the caption and the empty prompt take turns where guidance uses both. */
export class TrajectoryRecorder {
  readonly #folder: string
  readonly #task: DiffusionTask
  readonly #samples: RecordedSample[] = []
  readonly #every: number

  /** @param samplesPerPicture Steps recorded of each picture, evenly spread, another offset for every picture. */
  constructor(folder: string, task: DiffusionTask, samplesPerPicture: number) {
    mkdirSync(folder, { recursive: true })
    this.#folder = folder
    this.#task = task
    this.#every = Math.max(1, Math.floor(task.sampler.steps / samplesPerPicture))
  }

  readonly listen: VisitListener = ({ planned, step, visit, caption, empty }) => {
    if ((step + planned.index) % this.#every !== 0) return
    const id = this.#samples.length
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
    this.#samples.push({ id, caption: planned.prompt.text, branch, sampler_step: step, timestep, inputs })
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
    return this.#samples.length
  }
}
