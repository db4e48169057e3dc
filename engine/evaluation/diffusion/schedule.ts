// Noise schedules of diffusion models: how much signal is left at every training step, and which steps a sampler visits.
import type { SamplerSettings, ScheduleSettings } from '../../../contract/evaluation-task.ts'
import { AppError } from '../../../contract/errors/index.ts'

/** One visit of the sampler: the model is asked at `timestep`, the sample then moves from `alpha` to `nextAlpha`. */
export interface SamplerStep {
  timestep: number
  /** Share of signal power now (alphas_cumprod). */
  alpha: number
  /** Share of signal power after the step; 1 is the finished result. */
  nextAlpha: number
}

/** Largest beta of the cosine schedule (Nichol and Dhariwal 2021, section 3.2). */
const COSINE_MAXIMUM_BETA = 0.999

function cosineBetas(count: number): number[] {
  const bar = (time: number): number => Math.cos(((time + 0.008) / 1.008) * (Math.PI / 2)) ** 2
  return Array.from({ length: count }, (_, step) =>
    Math.min(COSINE_MAXIMUM_BETA, 1 - bar((step + 1) / count) / bar(step / count)),
  )
}

function betas(settings: ScheduleSettings): number[] {
  const { num_train_timesteps: count, beta_start: start, beta_end: end, beta_schedule: kind } = settings
  if (settings.trained_betas) return settings.trained_betas
  if (kind === 'squaredcos_cap_v2') return cosineBetas(count)
  const at = (step: number, from: number, to: number): number => from + ((to - from) * step) / (count - 1)
  return Array.from({ length: count }, (_, step) =>
    kind === 'linear' ? at(step, start, end) : at(step, Math.sqrt(start), Math.sqrt(end)) ** 2,
  )
}

/** Share of signal power after every training step: the product of 1 - beta (Ho et al. 2020). */
export function signalShares(settings: ScheduleSettings): number[] {
  if (settings.alphas_cumprod) return settings.alphas_cumprod
  let product = 1
  return betas(settings).map((beta) => (product *= 1 - beta))
}

/** numpy.round: halves go to the even neighbour. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value)
  if (value - below !== 0.5) return Math.round(value)
  return below % 2 === 0 ? below : below + 1
}

/**
 * Training steps to visit, latest first (Lin et al. 2023, "Common Diffusion Noise Schedules", table 2), rounded as the
 * schedulers of diffusers do. The multistep solver leaves a last point, which is the finished result, out of its visits:
 * DPMSolverMultistepScheduler divides the way by one more for `leading` and `linspace`.
 */
function timesteps(settings: ScheduleSettings, { method, steps }: SamplerSettings): number[] {
  const { num_train_timesteps: count, timestep_spacing: spacing, steps_offset: offset } = settings
  const places = Array.from({ length: steps }, (_, index) => index)
  const multistep = method !== 'ddim'
  switch (spacing) {
    case 'leading': {
      const stride = Math.floor(count / (multistep ? steps + 1 : steps))
      return places.map((place) => (multistep ? place + 1 : place) * stride + offset).reverse()
    }
    case 'trailing':
      return places.map((place) => roundHalfEven(count - place * (count / steps)) - 1)
    case 'linspace': {
      const points = multistep ? steps : steps - 1
      const stride = (count - 1) / Math.max(1, points)
      return places.map((place) => roundHalfEven((points - place) * stride))
    }
  }
}

/** The visits of a sampler. @throws E_TASK_STEPS when there are more steps than the model was trained with */
export function samplerSteps(settings: ScheduleSettings, sampler: SamplerSettings): SamplerStep[] {
  const shares = signalShares(settings)
  const count = shares.length
  if (sampler.steps > count) throw new AppError('E_TASK_STEPS', { steps: sampler.steps, count })
  const visits = timesteps({ ...settings, num_train_timesteps: count }, sampler).map((step) =>
    Math.min(count - 1, step),
  )
  const stride = Math.floor(count / sampler.steps)
  // `set_alpha_to_one` is a setting of DDIM; the multistep solver ends without noise (final_sigmas_type "zero").
  const toResult = sampler.method !== 'ddim' || settings.set_alpha_to_one
  const last = toResult ? 1 : (shares[0] as number)
  return visits.map((timestep, visit) => {
    const next = sampler.method === 'ddim' ? timestep - stride : (visits[visit + 1] ?? -1)
    return {
      timestep,
      alpha: shares[timestep] as number,
      nextAlpha: next >= 0 ? (shares[next] as number) : last,
    }
  })
}
