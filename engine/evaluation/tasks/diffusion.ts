// Evaluating a diffusion model: every side generates the same prompts from the same noise, picture by picture, and is judged
// against the reference and against real pictures.
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { DiffusionTask, Prompt } from '../../../contract/evaluation-task.ts'
import type { MetricResult, SampleResult } from '../../../contract/evaluation.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { writeFileAtomic } from '../../common/files.ts'
import {
  type Condition,
  decodeLatent,
  type Denoiser,
  generate,
  PromptEncoder,
  type TextStage,
} from '../diffusion/pipeline.ts'
import { encoderInput, toPicture, toPng } from '../diffusion/pictures.ts'
import type { Visit } from '../diffusion/samplers.ts'
import { featureDistance, type Picture, psnr, ssim } from '../metrics/index.ts'
import { type FloatTensor, type ModelRunner, outputOf, runModel } from '../models.ts'
import { cosineSimilarity, sqnrDb } from '../signal.ts'
import { type Encoder, promptEncoder } from '../tokenizers.ts'
import type { Checkpoints, SideSample } from './checkpoint.ts'
import { pictureMetrics } from './picture-metrics.ts'
import { readPrompts, readSchedule } from './read.ts'
import { checkCancelled, type Models, type SideRequest } from './sides.ts'

const HOST = 'cpu'

/** One picture to make. */
export interface PlannedPicture {
  index: number
  prompt: Prompt
  seed: number
}

/** Prompts in order, again with other seeds when more pictures are wanted than there are prompts. */
export function planPictures(prompts: readonly Prompt[], count: number, seed: number): PlannedPicture[] {
  return Array.from({ length: count }, (_, index) => {
    const prompt = prompts[index % prompts.length] as Prompt
    const round = Math.floor(index / prompts.length)
    return { index, prompt, seed: (prompt.seed ?? index % prompts.length) + seed + round * 1_000_003 }
  })
}

/** What all sides share, loaded once on the host CPU. */
interface Helpers {
  prompts: PromptEncoder
  vae: ModelRunner | null
  features: ModelRunner | null
  pictureEncoder: ModelRunner | null
  captions: ((text: string) => Promise<FloatTensor>) | null
}

async function textStages(task: DiffusionTask, models: Models): Promise<TextStage[]> {
  const stages: TextStage[] = []
  for (const { model, tokenizer, ids, states, pooled } of task.text_encoders) {
    const runner = await models.load(HOST, model)
    stages.push({ runner, encode: promptEncoder(tokenizer), ids, states, pooled })
  }
  return stages
}

function captionEncoder(
  runner: ModelRunner,
  encode: Encoder,
  ids: string,
  output: string,
): (text: string) => Promise<FloatTensor> {
  return async (text) => {
    const tokens = encode(text)
    const results = await runModel(runner, { [ids]: { dims: [1, tokens.length], data: tokens } })
    return outputOf(runner, results, output, 'caption embedding')
  }
}

async function loadHelpers(task: DiffusionTask, models: Models): Promise<Helpers> {
  const { vae_decoder, features, captions } = task
  const load = (model: string | undefined): Promise<ModelRunner> | null =>
    model === undefined ? null : models.load(HOST, model)
  const text = captions && (await models.load(HOST, captions.text.model))
  return {
    prompts: new PromptEncoder(await textStages(task, models)),
    vae: await load(vae_decoder?.model),
    features: await load(features?.model),
    pictureEncoder: await load(captions?.picture.model),
    captions:
      captions && text
        ? captionEncoder(
            text,
            promptEncoder(captions.text.tokenizer),
            captions.text.ids,
            captions.text.output,
          )
        : null,
  }
}

/** A generated picture with the way it came about. */
interface Generated {
  sample: FloatTensor
  picture: Picture
  visits: Visit[]
}

class DiffusionEvaluation {
  readonly #task: DiffusionTask
  readonly #helpers: Helpers
  readonly #denoisers: { side: SideRequest; denoiser: Denoiser }[]
  readonly #outputFolder: string
  readonly #onVisit: VisitListener | undefined

  constructor(
    task: DiffusionTask,
    helpers: Helpers,
    denoisers: { side: SideRequest; denoiser: Denoiser }[],
    outputFolder: string,
    onVisit: VisitListener | undefined,
  ) {
    this.#task = task
    this.#helpers = helpers
    this.#denoisers = denoisers
    this.#outputFolder = outputFolder
    this.#onVisit = onVisit
  }

  /** All sides of one picture, reference first. */
  async picture(planned: PlannedPicture): Promise<SideSample[]> {
    const { guidance } = this.#task.sampler
    const caption = await this.#helpers.prompts.encode(planned.prompt.text)
    const empty = guidance === 1 ? null : await this.#helpers.prompts.encode(this.#task.negative_prompt)
    const results: SideSample[] = []
    let reference: Generated | undefined
    for (const { side, denoiser } of this.#denoisers) {
      const started = performance.now()
      const generated = await this.#generate(side, denoiser, planned, caption, empty)
      if (!reference) this.#tell(planned, generated, caption, empty)
      reference ??= generated
      results.push({
        sample: await this.#sampleResult(side, planned, generated, reference),
        vectors: await this.#vectors(generated.picture, planned),
        seconds: (performance.now() - started) / 1000,
      })
    }
    return results
  }

  #tell(planned: PlannedPicture, { visits }: Generated, caption: Condition, empty: Condition | null): void {
    for (const [step, visit] of visits.entries()) this.#onVisit?.({ planned, step, visit, caption, empty })
  }

  async #generate(
    side: SideRequest,
    denoiser: Denoiser,
    planned: PlannedPicture,
    caption: Condition,
    empty: Condition | null,
  ): Promise<Generated> {
    const visits: Visit[] = []
    const onVisit = (visit: Visit): void => {
      const broken = visit.prediction.find((value) => !Number.isFinite(value))
      if (broken !== undefined) {
        throw new AppError('E_GENERATION_NOT_FINITE', {
          side: side.label,
          prompt: planned.prompt.text,
          seed: planned.seed,
          value: String(broken),
          step: visits.length + 1,
          steps: denoiser.sampler.steps,
        })
      }
      visits.push(visit)
    }
    const sample = await generate(denoiser, { seed: planned.seed, caption, empty, onVisit })
    const picture = toPicture(await decodeLatent(this.#helpers.vae, this.#task, sample))
    return { sample, picture, visits }
  }

  async #sampleResult(
    side: SideRequest,
    { index, prompt, seed }: PlannedPicture,
    generated: Generated,
    reference: Generated,
  ): Promise<SampleResult> {
    const id = String(index).padStart(5, '0')
    const file = path.join(folderName(side.label), `${id}.png`)
    writeFileAtomic(path.join(this.#outputFolder, file), toPng(generated.picture, this.#task.pixels))
    return {
      id,
      prompt: prompt.text,
      seed,
      file,
      ...(generated === reference
        ? { values: {}, steps: null }
        : { values: await this.#pairValues(generated, reference), steps: stepErrors(generated, reference) }),
    }
  }

  async #pairValues(generated: Generated, reference: Generated): Promise<SampleResult['values']> {
    const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
    const { features } = this.#helpers
    const lpips =
      features && featureDistance([await this.#featureMap(reference)], [await this.#featureMap(generated)])
    return {
      sqnr: finite(sqnrDb(reference.sample.data, generated.sample.data)),
      cosine: cosineSimilarity(reference.sample.data, generated.sample.data),
      psnr: finite(psnr(reference.picture, generated.picture)),
      ssim: ssim(reference.picture, generated.picture),
      ...(lpips !== null && { lpips }),
    }
  }

  async #featureMap({ picture }: Generated) {
    const { dims, data } = await this.#features(picture)
    const [, channels = 1, ...rest] = dims
    return { channels, positions: rest.reduce((product, dim) => product * dim, 1), data }
  }

  async #features(picture: Picture): Promise<FloatTensor> {
    const { features: spec } = this.#task
    const runner = this.#helpers.features
    if (!spec || !runner) throw new Error('no feature model')
    const results = await runModel(runner, { [spec.input]: encoderInput(picture, spec.prepare) })
    return outputOf(runner, results, spec.output, 'features')
  }

  /** Vectors for the metrics of whole sets. */
  async #vectors(picture: Picture, { prompt }: PlannedPicture): Promise<Record<string, Float32Array>> {
    const { features, pictureEncoder, captions } = this.#helpers
    const vectors: Record<string, Float32Array> = {}
    if (features) vectors['features'] = (await this.#features(picture)).data
    const spec = this.#task.captions
    if (spec && pictureEncoder && captions) {
      const input = encoderInput(picture, spec.picture.prepare)
      const results = await runModel(pictureEncoder, { [spec.picture.input]: input })
      vectors['embedding'] = outputOf(pictureEncoder, results, spec.picture.output, 'embedding').data
      vectors['caption'] = (await captions(prompt.text)).data
    }
    return vectors
  }
}

/** SQNR of the sample the model was given, step by step: how far the trajectories have drifted apart. */
function stepErrors(generated: Generated, reference: Generated): SampleResult['steps'] {
  return generated.visits.map(({ step, sample }, index) => {
    const sqnr = sqnrDb((reference.visits[index] as Visit).sample, sample)
    return { at: step.timestep, value: Number.isFinite(sqnr) ? sqnr : null }
  })
}

/** A label as a folder name. */
export function folderName(label: string): string {
  return (
    label
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '') || 'side'
  )
}

/** Shown every step of the reference, with what the model was told: calibration data on real trajectories. */
export type VisitListener = (seen: {
  planned: PlannedPicture
  step: number
  visit: Visit
  caption: Condition
  empty: Condition | null
}) => void

export interface DiffusionRun {
  task: DiffusionTask
  sides: readonly SideRequest[]
  seed: number
  count: number
  outputFolder: string
  checkpoints: Checkpoints
  models: Models
  onVisit?: VisitListener | undefined
}

export interface SideOutcome {
  metrics: MetricResult[]
  samples: SampleResult[]
  seconds: number
}

/** Generates and judges all pictures; finished ones are taken from the checkpoints. */
export async function evaluateDiffusion(run: DiffusionRun, ctx: WorkContext): Promise<SideOutcome[]> {
  const { task, sides, models, outputFolder, checkpoints } = run
  const schedule = readSchedule(task)
  const helpers = await loadHelpers(task, models)
  const denoisers: { side: SideRequest; denoiser: Denoiser }[] = []
  for (const side of sides) {
    const runner = await models.load(side.device, side.modelPath)
    denoisers.push({ side, denoiser: { runner, task, schedule, sampler: task.sampler } })
    mkdirSync(path.join(outputFolder, folderName(side.label)), { recursive: true })
  }
  const evaluation = new DiffusionEvaluation(task, helpers, denoisers, outputFolder, run.onVisit)
  const planned = planPictures(readPrompts(task), run.count, run.seed)
  const finished: SideSample[][] = []
  for (const picture of planned) {
    checkCancelled(ctx.signal)
    const item = picture.prompt.text
    ctx.onProgress?.({ stage: 'evaluate', done: picture.index, total: planned.length, item })
    let sample = checkpoints.read(picture.index)
    if (!sample) {
      sample = await evaluation.picture(picture)
      checkpoints.write(picture.index, sample)
    }
    finished.push(sample)
  }
  ctx.onProgress?.({ stage: 'evaluate', done: planned.length, total: planned.length })
  const reference = task.features?.reference
  const realFeatures = reference === undefined ? null : new Float32Array(readAligned(reference))
  return sides.map((_, side) => {
    const samples = finished.map((all) => all[side] as SideSample)
    const first = finished.map((all) => all[0] as SideSample)
    return {
      metrics: pictureMetrics({ task, samples, reference: first, isReference: side === 0, realFeatures }),
      samples: samples.map(({ sample }) => sample),
      seconds: samples.reduce((sum, { seconds }) => sum + seconds, 0),
    }
  })
}

/** File contents on a buffer of their own, so that floats may lie over them. */
function readAligned(file: string): ArrayBuffer {
  const bytes = readFileSync(file)
  const copy = new ArrayBuffer(bytes.byteLength - (bytes.byteLength % 4))
  new Uint8Array(copy).set(bytes.subarray(0, copy.byteLength))
  return copy
}
