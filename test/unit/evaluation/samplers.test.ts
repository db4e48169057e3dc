// Samplers against the exact solution for Gaussian data, schedules against published numbers.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { samplerSchema, scheduleSchema, type SamplerSettings } from '../../../contract/evaluation-task.ts'
import { normalNoise } from '../../../engine/evaluation/diffusion/noise.ts'
import { type Predict, runSampler, type Visit } from '../../../engine/evaluation/diffusion/samplers.ts'
import { samplerSteps, signalShares } from '../../../engine/evaluation/diffusion/schedule.ts'

const sampleSchedule = JSON.parse(
  readFileSync(new URL('../../../resources/samples/sprite-diffusion/schedule.json', import.meta.url), 'utf8'),
) as { timesteps: Record<string, number[]>; alphas_cumprod: number[] }

const stableDiffusion = scheduleSchema.parse({
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  steps_offset: 1,
})

/**
 * Data x0 ~ N(mean, deviation^2): the ideal prediction is known, and the probability flow keeps
 * (x_t - sqrt(a_t) mean) / sqrt(a_t deviation^2 + 1 - a_t).
 */
async function errorAgainstExact(
  sampler: SamplerSettings,
  kind: 'epsilon' | 'v_prediction' | 'sample',
): Promise<number> {
  const [mean, deviation] = [0.4, 0.3]
  // Log-SNR falls evenly from 4 to -6, so that every step is as hard as the next. What counts is the sample at the last
  // visit, where there is still noise: the jump to none at all is of first order for every sampler.
  const settings = scheduleSchema.parse({
    alphas_cumprod: Array.from({ length: 2000 }, (_, step) => 1 / (1 + Math.exp(step / 200 - 4))),
    prediction_type: kind,
    timestep_spacing: 'trailing',
  })
  const noise = normalNoise(3, 200)
  const steps = samplerSteps(settings, sampler)
  let result = noise
  const onVisit = ({ sample }: Visit): void => {
    result = sample
  }
  const predict: Predict = (sample, { alpha }) => {
    const variance = alpha * deviation ** 2 + 1 - alpha
    const prediction = sample.map((x) => {
      const expected = mean + ((Math.sqrt(alpha) * deviation ** 2) / variance) * (x - Math.sqrt(alpha) * mean)
      const epsilon = (x - Math.sqrt(alpha) * expected) / Math.sqrt(1 - alpha)
      if (kind === 'epsilon') return epsilon
      return kind === 'sample' ? expected : Math.sqrt(alpha) * epsilon - Math.sqrt(1 - alpha) * expected
    })
    return Promise.resolve(prediction)
  }
  await runSampler(settings, sampler, noise, predict, onVisit)
  const [start, end] = [steps[0]!.alpha, steps.at(-1)!.alpha]
  const spread = (share: number): number => Math.sqrt(share * deviation ** 2 + 1 - share)
  const exact = (x: number): number =>
    Math.sqrt(end) * mean + (spread(end) / spread(start)) * (x - Math.sqrt(start) * mean)
  return Math.max(...result.map((x, index) => Math.abs(x - exact(noise[index]!))))
}

describe('schedules', () => {
  it('of the sample model are recomputed from its betas', () => {
    const settings = scheduleSchema.parse({ ...sampleSchedule, alphas_cumprod: undefined })
    signalShares(settings).forEach((share, step) =>
      expect(share).toBeCloseTo(sampleSchedule.alphas_cumprod[step]!, 6),
    )
  })

  it.each(['10', '20', '50'])('visits the published steps of the sample model for %s', (steps) => {
    const settings = scheduleSchema.parse(sampleSchedule)
    const visits = samplerSteps(settings, samplerSchema.parse({ steps: Number(steps) }))
    expect(visits.map((visit) => visit.timestep)).toEqual(sampleSchedule.timesteps[steps])
    expect(visits.at(-1)!.nextAlpha).toBe(1)
    expect(visits[0]!.nextAlpha).toBe(visits[1]!.alpha)
  })

  it('of Stable Diffusion ends at the published signal share', () => {
    // alphas_cumprod of the CompVis weights: 0.9991 first, 0.0047 last.
    const shares = signalShares(stableDiffusion)
    expect(shares[0]).toBeCloseTo(0.99915, 5)
    expect(shares[999]).toBeCloseTo(0.00466, 5)
  })

  it('spacings of ten steps (Lin et al. 2023, table 2)', () => {
    const visits = (spacing: string): number[] =>
      samplerSteps(
        scheduleSchema.parse({ timestep_spacing: spacing }),
        samplerSchema.parse({ steps: 10 }),
      ).map((visit) => visit.timestep)
    expect(visits('leading')).toEqual([900, 800, 700, 600, 500, 400, 300, 200, 100, 0])
    expect(visits('trailing')).toEqual([999, 899, 799, 699, 599, 499, 399, 299, 199, 99])
    expect(visits('linspace')).toEqual([999, 888, 777, 666, 555, 444, 333, 222, 111, 0])
  })

  it('rounds halves to even and divides the way of DPM-Solver++ as diffusers does', () => {
    const visits = (spacing: string, method: string, steps: number): number[] =>
      samplerSteps(
        scheduleSchema.parse({ timestep_spacing: spacing, set_alpha_to_one: false }),
        samplerSchema.parse({ method, steps }),
      ).map((visit) => visit.timestep)
    // np.round(np.arange(1000, 0, -62.5)) - 1: 937.5, 812.5 and 687.5 go to 938, 812 and 688.
    expect(visits('trailing', 'ddim', 16).slice(0, 6)).toEqual([999, 937, 874, 811, 749, 687])
    // np.linspace(0, 999, 13).round()[::-1][:-1]: 166.5 and 499.5 go to 166 and 500.
    expect(visits('linspace', 'dpmsolver++2m', 12)).toEqual([
      999, 916, 832, 749, 666, 583, 500, 416, 333, 250, 166, 83,
    ])
    // (np.arange(0, 11) * (1000 // 11))[::-1][:-1]
    expect(visits('leading', 'dpmsolver++2m', 10)).toEqual([900, 810, 720, 630, 540, 450, 360, 270, 180, 90])
  })

  it('DPM-Solver++ ends without noise whatever DDIM does (final_sigmas_type "zero")', () => {
    const settings = scheduleSchema.parse({ set_alpha_to_one: false })
    const end = (method: string): number =>
      samplerSteps(settings, samplerSchema.parse({ method, steps: 10 })).at(-1)!.nextAlpha
    expect(end('dpmsolver++2m')).toBe(1)
    expect(end('ddim')).toBe(signalShares(settings)[0])
  })

  it('refuses more steps than training steps', () => {
    const settings = scheduleSchema.parse({ num_train_timesteps: 10 })
    expect(() => samplerSteps(settings, samplerSchema.parse({ steps: 11 }))).toThrow(
      expect.objectContaining({ code: 'E_TASK_STEPS', details: { steps: 11, count: 10 } }),
    )
  })
})

describe('samplers reach the exact solution', () => {
  it.each(['epsilon', 'v_prediction', 'sample'] as const)('DDIM, %s', async (kind) => {
    const coarse = await errorAgainstExact(samplerSchema.parse({ steps: 50 }), kind)
    const fine = await errorAgainstExact(samplerSchema.parse({ steps: 500 }), kind)
    expect(fine).toBeLessThan(0.02)
    // First order: a tenth of the step, about a tenth of the error.
    expect(fine).toBeLessThan(coarse / 4)
  })

  it('DPM-Solver++ 2M is of second order', async () => {
    const error = (method: SamplerSettings['method'], steps: number): Promise<number> =>
      errorAgainstExact(samplerSchema.parse({ method, steps }), 'epsilon')
    const [coarse, fine] = [await error('dpmsolver++2m', 10), await error('dpmsolver++2m', 40)]
    expect(coarse).toBeLessThan((await error('ddim', 10)) / 3)
    // A quarter of the step, about a sixteenth of the error.
    expect(fine).toBeLessThan(coarse / 9)
  })
})

describe('noise', () => {
  it('is standard normal and the same for the same seed', () => {
    const values = normalNoise(11, 100_001)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length
    const fourth = values.reduce((sum, value) => sum + value ** 4, 0) / values.length
    expect(mean).toBeCloseTo(0, 1)
    expect(square).toBeCloseTo(1, 1)
    expect(fourth).toBeGreaterThan(2.8)
    expect(fourth).toBeLessThan(3.2)
    expect(normalNoise(11, 100_001)).toEqual(values)
    expect(normalNoise(12, 5)).not.toEqual(values.slice(0, 5))
  })
})
