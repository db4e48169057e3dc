// Evaluating a diffusion model: every side generates the same prompts from the same noise, picture by picture, and is judged
// against the reference and against real pictures.
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DiffusionTask, Prompt } from '../../../contract/evaluation-task.ts'
import type { MetricResult, SampleResult } from '../../../contract/evaluation.ts'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { writeFileAtomic } from '../../common/files.ts'
import { reasonOf } from '../../common/hashing.ts'
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
import { featureTarget, pictureMetrics } from './picture-metrics.ts'
import { readPrompts, readSchedule } from './read.ts'
import type { TrajectoryRecorder } from './recorder.ts'
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
    const results = await runModel(runner, { [ids]: { dims: [1, tokens.length], data: tokens } }, output)
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
  /** What the feature model says of the picture. */
  features: FloatTensor | null
}

class DiffusionEvaluation {
  readonly #task: DiffusionTask
  readonly #helpers: Helpers
  readonly #denoisers: { side: SideRequest; denoiser: Denoiser }[]
  readonly #outputFolder: string
  readonly #onVisit: VisitListener | undefined
  readonly #signal: AbortSignal | undefined

  constructor(
    { task, outputFolder, recorder }: DiffusionRun,
    helpers: Helpers,
    denoisers: { side: SideRequest; denoiser: Denoiser }[],
    signal: AbortSignal | undefined,
  ) {
    this.#task = task
    this.#helpers = helpers
    this.#denoisers = denoisers
    this.#outputFolder = outputFolder
    this.#onVisit = recorder?.listen
    this.#signal = signal
  }

  /** All sides of one picture, reference first. */
  async picture(planned: PlannedPicture): Promise<SideSample[]> {
    const { guidance } = this.#task.sampler
    const caption = await this.#helpers.prompts.encode(planned.prompt.text)
    const empty = guidance === 1 ? null : await this.#emptyCondition()
    const results: SideSample[] = []
    let reference: Generated | undefined
    for (const { side, denoiser } of this.#denoisers) {
      const started = performance.now()
      const generated = await this.#generate(side, denoiser, planned, caption, empty)
      if (!reference) this.#tell(planned, generated, caption, empty)
      reference ??= generated
      results.push({
        sample: this.#sampleResult(side, planned, generated, reference),
        vectors: await this.#vectors(generated, planned),
        seconds: (performance.now() - started) / 1000,
      })
    }
    return results
  }

  async #emptyCondition(): Promise<Condition> {
    const { negative_prompt: text, zero_empty_prompt: zero } = this.#task
    const { states, pooled } = await this.#helpers.prompts.encode(text)
    if (!zero || text !== '') return { states, pooled }
    const zeros = (tensor: FloatTensor | null): FloatTensor | null =>
      tensor && { dims: tensor.dims, data: new Float32Array(tensor.data.length) }
    return { states: zeros(states), pooled: zeros(pooled) }
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
      checkCancelled(this.#signal)
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
    return { sample, picture, visits, features: await this.#features(picture) }
  }

  #sampleResult(
    side: SideRequest,
    { index, prompt, seed }: PlannedPicture,
    generated: Generated,
    reference: Generated,
  ): SampleResult {
    const id = String(index).padStart(5, '0')
    // As part of a report, the path is the same on every system.
    const file = `${this.#folder(side)}/${id}.png`
    writeFileAtomic(path.join(this.#outputFolder, file), toPng(generated.picture, this.#task.pixels))
    return {
      id,
      prompt: prompt.text,
      seed,
      file,
      ...(generated === reference
        ? { values: {}, steps: null }
        : { values: pairValues(generated, reference), steps: stepErrors(generated, reference) }),
    }
  }

  #folder({ label }: SideRequest): string {
    const labels = this.#denoisers.map(({ side }) => side.label)
    return folderNames(labels)[labels.indexOf(label)] as string
  }

  async #features(picture: Picture): Promise<FloatTensor | null> {
    const { features: spec } = this.#task
    const runner = this.#helpers.features
    if (!spec || !runner) return null
    const results = await runModel(runner, { [spec.input]: encoderInput(picture, spec.prepare) }, spec.output)
    return outputOf(runner, results, spec.output, 'features')
  }

  /** Vectors for the metrics of whole sets. */
  async #vectors(
    { picture, features }: Generated,
    { prompt }: PlannedPicture,
  ): Promise<Record<string, Float32Array>> {
    const { pictureEncoder, captions } = this.#helpers
    const vectors: Record<string, Float32Array> = {}
    if (features) vectors['features'] = features.data
    const spec = this.#task.captions
    if (spec && pictureEncoder && captions) {
      const input = encoderInput(picture, spec.picture.prepare)
      const { output } = spec.picture
      const results = await runModel(pictureEncoder, { [spec.picture.input]: input }, output)
      vectors['embedding'] = outputOf(pictureEncoder, results, output, 'embedding').data
      vectors['caption'] = (await captions(prompt.text)).data
    }
    return vectors
  }
}

function pairValues(generated: Generated, reference: Generated): SampleResult['values'] {
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
  const [left, right] = [reference.features, generated.features]
  return {
    sqnr: finite(sqnrDb(reference.sample.data, generated.sample.data)),
    cosine: cosineSimilarity(reference.sample.data, generated.sample.data),
    psnr: finite(psnr(reference.picture, generated.picture)),
    ssim: ssim(reference.picture, generated.picture),
    ...(left && right && { lpips: featureDistance([featureMap(left)], [featureMap(right)]) }),
  }
}

function featureMap({ dims, data }: FloatTensor) {
  const [, channels = 1, ...rest] = dims
  return { channels, positions: rest.reduce((product, dim) => product * dim, 1), data }
}

/** SQNR of the sample the model was given, step by step: how far the trajectories have drifted apart. */
function stepErrors(generated: Generated, reference: Generated): SampleResult['steps'] {
  return generated.visits.map(({ step, sample }, index) => {
    const sqnr = sqnrDb((reference.visits[index] as Visit).sample, sample)
    return { at: step.timestep, value: Number.isFinite(sqnr) ? sqnr : null }
  })
}

/** Labels as folder names: letters and digits of any script; labels that come out the same are numbered. */
export function folderNames(labels: readonly string[]): string[] {
  const names: string[] = []
  for (const label of labels) {
    const plain = label
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 60)
    const base = plain === '' ? 'side' : plain
    let name = base
    for (let number = 2; names.includes(name); number++) name = `${base}-${number}`
    names.push(name)
  }
  return names
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
  recorder?: TrajectoryRecorder | undefined
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
  const prompts = readPrompts(task)
  const realFeatures = readFeatures(task.features?.reference)
  const helpers = await loadHelpers(task, models)
  const denoisers: { side: SideRequest; denoiser: Denoiser }[] = []
  for (const side of sides) {
    const runner = await models.load(side.device, side.modelPath)
    denoisers.push({ side, denoiser: { runner, task, schedule, sampler: task.sampler } })
  }
  for (const name of folderNames(sides.map(({ label }) => label)))
    mkdirSync(path.join(outputFolder, name), { recursive: true })
  const evaluation = new DiffusionEvaluation(run, helpers, denoisers, ctx.signal)
  const planned = planPictures(prompts, run.count, run.seed)
  const finished: SideSample[][] = []
  for (const picture of planned) {
    checkCancelled(ctx.signal)
    const item = picture.prompt.text
    ctx.onProgress?.({ stage: 'evaluate', done: picture.index, total: planned.length, item })
    let sample = checkpoints.read(picture.index)
    // A picture from before is recorded again with the steps it had then: see TrajectoryRecorder.resume.
    if (!sample || run.recorder?.resume(picture.index) === false) {
      sample = await evaluation.picture(picture)
      run.recorder?.finishPicture(picture.index)
      checkpoints.write(picture.index, sample)
    }
    finished.push(sample)
  }
  ctx.onProgress?.({ stage: 'evaluate', done: planned.length, total: planned.length })
  return await outcomesOf(run, finished, realFeatures, ctx)
}

/** Metrics of the sides. Those of thousands of pictures take a while: between two sides the work may be cancelled. */
async function outcomesOf(
  { task, sides }: DiffusionRun,
  finished: readonly SideSample[][],
  realFeatures: Float32Array | null,
  ctx: WorkContext,
): Promise<SideOutcome[]> {
  const samplesOf = (side: number): SideSample[] => finished.map((all) => all[side] as SideSample)
  const reference = samplesOf(0)
  const target = featureTarget(task, reference, realFeatures)
  const outcomes: SideOutcome[] = []
  for (const side of sides.keys()) {
    await nextTurn()
    checkCancelled(ctx.signal)
    const samples = samplesOf(side)
    outcomes.push({
      metrics: pictureMetrics({ task, samples, reference, isReference: side === 0, target }),
      samples: samples.map(({ sample }) => sample),
      seconds: samples.reduce((sum, { seconds }) => sum + seconds, 0),
    })
  }
  return outcomes
}

/** Features of real pictures, on a buffer of their own so that floats may lie over them. @throws E_FILE_READ, E_TASK_INVALID */
function readFeatures(file: string | undefined): Float32Array | null {
  if (file === undefined) return null
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
  if (bytes.byteLength % 4 !== 0) {
    const problems = [`${bytes.byteLength} bytes are no float32 numbers`]
    throw new AppError('E_TASK_INVALID', { path: file, problems })
  }
  const features = new Float32Array(bytes.byteLength / 4)
  new Uint8Array(features.buffer).set(bytes)
  return features
}
