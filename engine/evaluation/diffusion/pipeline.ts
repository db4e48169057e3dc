// A text-to-image pipeline around one denoiser: prompt -> text states -> sampler -> (VAE) -> picture.
import type { LoadedModel } from '../../../contract/device.ts'
import type { DiffusionTask, SamplerSettings, ScheduleSettings } from '../../../contract/evaluation-task.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { findTensor, type FloatTensor, type ModelRunner, outputOf, runModel } from '../models.ts'
import type { Encoder } from '../tokenizers.ts'
import { normalNoise } from './noise.ts'
import { runSampler, type Visit } from './samplers.ts'

/** What the denoiser is told about a prompt. */
export interface Condition {
  states: FloatTensor | null
  pooled: FloatTensor | null
}

export interface TextStage {
  runner: ModelRunner
  encode: Encoder
  ids: string
  states: string
  pooled?: string | undefined
}

/** Joins hidden states of two encoders along the last dimension (SDXL). */
function joinStates(parts: readonly FloatTensor[]): FloatTensor | null {
  const [first, second] = parts
  if (!first || !second) return first ?? null
  const [batch = 1, tokens = 1, left = 1] = first.dims
  const right = second.dims[2] ?? 1
  const data = new Float32Array(batch * tokens * (left + right))
  for (let row = 0; row < batch * tokens; row++) {
    data.set(first.data.subarray(row * left, (row + 1) * left), row * (left + right))
    data.set(second.data.subarray(row * right, (row + 1) * right), row * (left + right) + left)
  }
  return { dims: [batch, tokens, left + right], data }
}

/** Encoded prompts held in memory: the states of SDXL are 630 KB each, and a set has thousands of prompts. */
const KEPT_PROMPTS = 64

/** Encodes prompts; those used last are remembered. */
export class PromptEncoder {
  readonly #stages: readonly TextStage[]
  readonly #known = new Map<string, Promise<Condition>>()

  constructor(stages: readonly TextStage[]) {
    this.#stages = stages
  }

  encode(text: string): Promise<Condition> {
    const known = this.#known.get(text) ?? this.#run(text)
    this.#known.delete(text)
    this.#known.set(text, known)
    for (const oldest of [...this.#known.keys()].slice(0, -KEPT_PROMPTS)) this.#known.delete(oldest)
    return known
  }

  async #run(text: string): Promise<Condition> {
    const states: FloatTensor[] = []
    let pooled: FloatTensor | null = null
    for (const stage of this.#stages) {
      const ids = stage.encode(text)
      const wanted = [stage.states, ...(stage.pooled === undefined ? [] : [stage.pooled])]
      const feeds = { [stage.ids]: { dims: [1, ids.length], data: ids } }
      const results = await runModel(stage.runner, feeds, ...wanted)
      states.push(outputOf(stage.runner, results, stage.states, 'text states'))
      if (stage.pooled !== undefined) pooled = outputOf(stage.runner, results, stage.pooled, 'pooled text')
    }
    return { states: joinStates(states), pooled }
  }
}

/** Everything that stays the same for all pictures of a side. */
export interface Denoiser {
  runner: ModelRunner
  task: DiffusionTask
  schedule: ScheduleSettings
  sampler: SamplerSettings
}

/** Rows the model takes at once: 1, or 2 where the empty prompt and the caption go through together. */
function batchOf(model: LoadedModel, task: DiffusionTask): 1 | 2 {
  const spec = findTensor(model, 'input', task.denoiser.sample, 'sample')
  const [batch = -1] = spec.dims
  if (batch === 2) return 2
  if (batch === 1 || batch < 0) return 1
  throw new AppError('E_TASK_SHAPE', {
    model: model.path,
    tensor: spec.name,
    found: `[${spec.dims.join(', ')}]`,
    expected: 'a batch of 1, 2 or any size',
  })
}

/** Repeats or joins rows to the batch. */
function rows(parts: readonly FloatTensor[]): FloatTensor {
  const [first] = parts as [FloatTensor]
  const data = new Float32Array(first.data.length * parts.length)
  parts.forEach((part, row) => data.set(part.data, row * first.data.length))
  return { dims: [parts.length, ...first.dims.slice(1)], data }
}

/** SDXL was trained with the size of the picture: original, crop corner, target. */
function timeIds(task: DiffusionTask): number[] {
  const [, height, width] = task.denoiser.shape
  const scale = task.vae_decoder ? 8 : 1
  return [height * scale, width * scale, 0, 0, height * scale, width * scale]
}

type Feeds = Record<string, { dims: number[]; data: ArrayLike<number> }>

/** Feeds of one call with one condition per row. */
function feedsOf(
  { runner, task }: Denoiser,
  sample: Float32Array,
  timestep: number,
  conditions: readonly Condition[],
): Feeds {
  const { denoiser } = task
  const batch = conditions.length
  const one: FloatTensor = { dims: [1, ...denoiser.shape], data: sample }
  const time = findTensor(runner.model, 'input', denoiser.timestep, 'timestep')
  const feeds: Feeds = {
    [denoiser.sample]: rows(conditions.map(() => one)),
    [denoiser.timestep]:
      time.dims.length === 0
        ? { dims: [], data: [timestep] }
        : time.dims[0] === 1
          ? { dims: [1], data: [timestep] }
          : { dims: [batch], data: Array<number>(batch).fill(timestep) },
  }
  const add = (name: string | undefined, pick: (condition: Condition) => FloatTensor | null): void => {
    const parts = conditions.flatMap((condition) => pick(condition) ?? [])
    if (name !== undefined && parts.length === batch) feeds[name] = rows(parts)
  }
  add(denoiser.condition, (condition) => condition.states)
  add(denoiser.pooled, (condition) => condition.pooled)
  if (denoiser.time_ids !== undefined) {
    const ids = timeIds(task)
    feeds[denoiser.time_ids] = { dims: [batch, 6], data: conditions.flatMap(() => ids) }
  }
  return feeds
}

/** The guided prediction at one step. */
async function predict(
  denoiser: Denoiser,
  sample: Float32Array,
  timestep: number,
  caption: Condition,
  empty: Condition | null,
): Promise<Float32Array> {
  const { runner, task, sampler } = denoiser
  const call = async (conditions: readonly Condition[]): Promise<Float32Array> => {
    const { output } = task.denoiser
    const results = await runModel(runner, feedsOf(denoiser, sample, timestep, conditions), output)
    const { data, dims } = outputOf(runner, results, output, 'prediction')
    if (data.length === sample.length * conditions.length) return data
    // Models that also predict a variance have twice the channels.
    throw new AppError('E_TASK_SHAPE', {
      model: runner.model.path,
      tensor: output,
      found: `[${dims.join(', ')}]`,
      expected: `[${[conditions.length, ...task.denoiser.shape].join(', ')}]`,
    })
  }
  const joint = batchOf(runner.model, task) === 2
  if (!empty) {
    const result = await call(joint ? [caption, caption] : [caption])
    return joint ? result.slice(0, sample.length) : result
  }
  const [unguided, guided] = joint
    ? await call([empty, caption]).then((both) => [
        both.subarray(0, sample.length),
        both.subarray(sample.length),
      ])
    : [await call([empty]), await call([caption])]
  const { guidance } = sampler
  return Float32Array.from(unguided as Float32Array, (value, index) => {
    return value + guidance * (((guided as Float32Array)[index] as number) - value)
  })
}

/** One picture to generate. */
export interface GenerationRequest {
  seed: number
  caption: Condition
  /** null leaves guidance out. */
  empty: Condition | null
  onVisit?: (visit: Visit) => void
}

/** The finished sample (a latent where there is a VAE), [1, channels, height, width]. */
export async function generate(denoiser: Denoiser, request: GenerationRequest): Promise<FloatTensor> {
  const { shape } = denoiser.task.denoiser
  const noise = normalNoise(request.seed, shape[0] * shape[1] * shape[2])
  const data = await runSampler(
    denoiser.schedule,
    denoiser.sampler,
    noise,
    (sample, { timestep }) => predict(denoiser, sample, timestep, request.caption, request.empty),
    request.onVisit,
  )
  return { dims: [1, ...shape], data }
}

/** The picture values of a latent, by the decoder of the task. */
export async function decodeLatent(
  runner: ModelRunner | null,
  task: DiffusionTask,
  sample: FloatTensor,
): Promise<FloatTensor> {
  const vae = task.vae_decoder
  if (!vae || !runner) return sample
  const data = sample.data.map((value) => value / vae.scaling_factor + vae.shift_factor)
  const results = await runModel(runner, { [vae.latent]: { dims: sample.dims, data } }, vae.image)
  return outputOf(runner, results, vae.image, 'decoded picture')
}
