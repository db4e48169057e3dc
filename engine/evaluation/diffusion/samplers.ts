// Samplers of diffusion models: from noise to result, one model call per step. Arithmetic in float32, as the references
// compute it, with coefficients in float64.
import type { SamplerSettings, ScheduleSettings } from '../../../contract/evaluation-task.ts'
import { samplerSteps, type SamplerStep } from './schedule.ts'

/** What the model says of a noisy sample, guidance already applied. */
export type Predict = (sample: Float32Array, step: SamplerStep) => Promise<Float32Array>

/** What was seen at one step: the sample the model was given and its prediction. */
export interface Visit {
  step: SamplerStep
  sample: Float32Array
  prediction: Float32Array
}

type Prediction = ScheduleSettings['prediction_type']

/** left * a + right * b, elementwise. */
function combine(left: Float32Array, a: number, right: Float32Array, b: number): Float32Array {
  return left.map((value, index) => value * a + (right[index] as number) * b)
}

/** The finished result the prediction stands for (Salimans and Ho 2022, appendix D). */
function predictedResult(
  kind: Prediction,
  sample: Float32Array,
  prediction: Float32Array,
  alpha: number,
): Float32Array {
  const [signal, noise] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)]
  switch (kind) {
    case 'epsilon':
      return combine(sample, 1 / signal, prediction, -noise / signal)
    case 'v_prediction':
      return combine(sample, signal, prediction, -noise)
    case 'sample':
      return prediction.slice()
  }
}

function clipRange({
  clip_sample: clip,
  clip_sample_range: range,
}: ScheduleSettings): [number, number] | null {
  if (Array.isArray(clip)) return clip
  return clip ? [-range, range] : null
}

function clipped(values: Float32Array, range: [number, number] | null): Float32Array {
  if (!range) return values
  const [low, high] = range
  return values.map((value) => (value < low ? low : value > high ? high : value))
}

/**
 * Deterministic DDIM (Song et al. 2021, equation 12 with sigma 0). The noise is taken from the clipped result, so that
 * both belong together.
 */
function ddimStep(
  sample: Float32Array,
  result: Float32Array,
  { alpha, nextAlpha }: SamplerStep,
): Float32Array {
  const noise = combine(sample, 1 / Math.sqrt(1 - alpha), result, -Math.sqrt(alpha / (1 - alpha)))
  return combine(result, Math.sqrt(nextAlpha), noise, Math.sqrt(1 - nextAlpha))
}

/** Half the logarithm of the signal-to-noise ratio. */
function halfLogSnr(alpha: number): number {
  return 0.5 * Math.log(alpha / (1 - alpha))
}

/** What the multistep solver remembers of the step before. */
interface Memory {
  result: Float32Array
  lambda: number
}

/** DPM-Solver++(2M) (Lu et al. 2022, algorithm 2); the first step and the one to the finished result are of first order. */
function multistep(
  sample: Float32Array,
  result: Float32Array,
  { alpha, nextAlpha }: SamplerStep,
  before: Memory | undefined,
): Float32Array {
  if (nextAlpha >= 1) return result
  const lambda = halfLogSnr(alpha)
  const h = halfLogSnr(nextAlpha) - lambda
  const ratio = before ? (lambda - before.lambda) / h : 0
  const direction = before ? combine(result, 1 + 1 / (2 * ratio), before.result, -1 / (2 * ratio)) : result
  const shrink = Math.sqrt((1 - nextAlpha) / (1 - alpha))
  return combine(sample, shrink, direction, -Math.sqrt(nextAlpha) * Math.expm1(-h))
}

/**
 * Runs a sampler from noise to the finished result.
 * @param onVisit Is shown every step before the sample moves on.
 */
export async function runSampler(
  schedule: ScheduleSettings,
  sampler: SamplerSettings,
  noise: Float32Array,
  predict: Predict,
  onVisit?: (visit: Visit) => void,
): Promise<Float32Array> {
  const range = clipRange(schedule)
  let sample = noise
  let memory: Memory | undefined
  for (const step of samplerSteps(schedule, sampler)) {
    const prediction = await predict(sample, step)
    onVisit?.({ step, sample, prediction })
    const result = clipped(predictedResult(schedule.prediction_type, sample, prediction, step.alpha), range)
    sample =
      sampler.method === 'ddim' ? ddimStep(sample, result, step) : multistep(sample, result, step, memory)
    memory = { result, lambda: halfLogSnr(step.alpha) }
  }
  return sample
}
