// Are the samples enough? How far each added sample extends what the samples before it have shown, tensor by tensor.
import type { CalibrationSample, Coverage, TensorSample } from '../../../contract/calibration.ts'
import type { ClipRange } from '../observers/index.ts'

/** The last quarter of the samples decides; a tensor still grows when both limits are passed. */
export const COVERAGE_RULE = {
  tailShare: 0.25,
  growth: 0.01,
  clipped: 1e-4,
  minimumSamples: 8,
} as const

const LISTED = 50

/** What the grid of a range reaches: zero is always on it, and a symmetric one reaches as far in both directions. */
export function gridRange({ min, max }: ClipRange, symmetric: boolean): ClipRange {
  if (!symmetric) return { min: Math.min(0, min), max: Math.max(0, max) }
  const limit = Math.max(Math.abs(min), Math.abs(max))
  return { min: -limit, max: limit }
}

function joined(left: ClipRange, right: ClipRange): ClipRange {
  return { min: Math.min(left.min, right.min), max: Math.max(left.max, right.max) }
}

/** Share of `after` that `before` did not have; 0 to 1. */
export function growthOf(before: ClipRange, after: ClipRange): number {
  const extent = after.max - after.min
  return extent > 0 ? 1 - (before.max - before.min) / extent : 0
}

function shareOutside(data: Float32Array, { min, max }: ClipRange): number {
  let outside = 0
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number
    if (value < min || value > max) outside++
  }
  return data.length === 0 ? 0 : outside / data.length
}

/** Follows one tensor over the samples in the order in which they are added. */
export class CoverageTracker {
  readonly #symmetric: boolean
  #range: ClipRange | undefined

  constructor(symmetric: boolean) {
    this.#symmetric = symmetric
  }

  /** The first sample is all new. */
  add(values: { data: Float32Array; min: number; max: number }): TensorSample {
    const { data, min, max } = values
    const before = this.#range
    const own = gridRange(values, this.#symmetric)
    const after = before ? joined(before, own) : own
    this.#range = after
    if (!before) return { min, max, growth: 1, clipped: 1 }
    const growth = growthOf(before, after)
    return { min, max, growth, clipped: growth > 0 ? shareOutside(data, before) : 0 }
  }
}

/** Number of samples at the end that decide. */
export function tailLength(samples: number): number {
  return Math.ceil(samples * COVERAGE_RULE.tailShare)
}

export function isGrowing({ growth, clipped }: Pick<TensorSample, 'growth' | 'clipped'>): boolean {
  return growth > COVERAGE_RULE.growth && clipped >= COVERAGE_RULE.clipped
}

/** The worst of the tail: its growth, its clipped share, and whether one of its samples passes both limits. */
export function tailOf(samples: readonly TensorSample[]): {
  growth: number
  clipped: number
  growing: boolean
} {
  const tail = samples.slice(samples.length - tailLength(samples.length))
  return {
    growth: Math.max(0, ...tail.map((sample) => sample.growth)),
    clipped: Math.max(0, ...tail.map((sample) => sample.clipped)),
    growing: tail.some(isGrowing),
  }
}

/** A tensor as the verdict looks at it. */
export interface CoveredTensor {
  tensor: string
  /** The first layer that reads it. */
  layer: string
  samples: readonly TensorSample[]
  /** Share of the range that a single sample accounts for. */
  single: number
}

/** Per sample: the worst over all tensors, and how many of them it extends. */
export function sampleCoverage(
  names: readonly Pick<CalibrationSample, 'name' | 'index' | 'timestep'>[],
  tensors: readonly CoveredTensor[],
): CalibrationSample[] {
  return names.map((sample, position) => {
    const seen = tensors.flatMap(({ samples }) => samples[position] ?? [])
    return {
      ...sample,
      growth: seen.reduce((most, { growth }) => Math.max(most, growth), 0),
      clipped: seen.reduce((most, { clipped }) => Math.max(most, clipped), 0),
      growing_tensors: seen.filter(isGrowing).length,
    }
  })
}

/** The last sample by which some tensor still grew, counted from 1; 0 when none did after the first. */
function settledAfter(samples: readonly CalibrationSample[]): number {
  return samples.findLastIndex((sample, position) => position > 0 && sample.growing_tensors > 0) + 1
}

const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`

function ruleText(): Coverage['rule']['text'] {
  const { growth, clipped, minimumSamples } = COVERAGE_RULE
  return {
    en:
      `Enough: none of the last quarter of the samples widens a tensor's range by more than ${percent(growth)} with at ` +
      `least ${percent(clipped)} of its values outside the range of the samples before it. ` +
      `Samples are added spread over the time steps (over the data where there are none); below ${minimumSamples} nothing is said.`,
    zh:
      `足够的判据：最后四分之一的样本中，没有任何样本使某个张量的范围扩大超过 ${percent(growth)}，且其取值至少有 ` +
      `${percent(clipped)} 落在此前样本的范围之外。样本按时间步均匀穿插加入（无时间步则按数据顺序）；` +
      `少于 ${minimumSamples} 个样本时不作判断。`,
  }
}

function adviceOf(
  coverage: Pick<Coverage, 'verdict' | 'growing_tensors' | 'growing_steps' | 'tail_samples'>,
  samples: readonly CalibrationSample[],
  tensors: readonly CoveredTensor[],
): Coverage['advice'] {
  const advice: Coverage['advice'] = []
  const count = samples.length
  const settled = settledAfter(samples)
  if (coverage.verdict === 'too_few') {
    advice.push({
      en: `${count} samples are too few to tell: use at least ${COVERAGE_RULE.minimumSamples}, better 16 to 64.`,
      zh: `${count} 个样本不足以判断：至少使用 ${COVERAGE_RULE.minimumSamples} 个，建议 16 至 64 个。`,
    })
  }
  if (coverage.verdict === 'enough') {
    advice.push({
      en: `The samples are enough. From sample ${settled + 1} of ${count} on no tensor grew any more.`,
      zh: `样本足够。自第 ${settled + 1} 个（共 ${count} 个）样本起，没有张量继续扩大。`,
    })
  }
  if (coverage.verdict === 'not_enough') {
    const steps = coverage.growing_steps.map(({ timestep }) => timestep)
    advice.push({
      en:
        `${coverage.growing_tensors} of ${tensors.length} tensors still grow: add samples` +
        (steps.length > 0 ? `, above all near the time steps ${steps.slice(0, 8).join(', ')}.` : '.'),
      zh:
        `${tensors.length} 个张量中有 ${coverage.growing_tensors} 个仍在扩大：请增加样本` +
        (steps.length > 0 ? `，尤其是时间步 ${steps.slice(0, 8).join('、')} 附近的样本。` : '。'),
    })
  }
  const single = tensors.filter((tensor) => tensor.single > 0.5).length
  if (single > 0 && count > 1) {
    advice.push({
      en: `Half or more of the range of ${single} tensors comes from one sample: look at it, or take a method that clips (auto, percentile, mse).`,
      zh: `${single} 个张量的一半以上范围来自单个样本：请检查该样本，或采用会截断的方法（auto、percentile、mse）。`,
    })
  }
  return advice
}

/** The verdict with its rule, and what still grows. */
export function coverageOf(
  samples: readonly CalibrationSample[],
  tensors: readonly CoveredTensor[],
): Coverage {
  const tailSamples = tailLength(samples.length)
  const start = samples.length - tailSamples
  const growing = tensors.flatMap((tensor) =>
    tensor.samples.slice(start).flatMap((entry, position) => {
      const sample = samples[start + position]
      if (!sample || !isGrowing(entry)) return []
      const { growth, clipped } = entry
      return [{ ...tensor, sample: sample.name, timestep: sample.timestep, growth, clipped }]
    }),
  )
  const worst = [...Map.groupBy(growing, ({ tensor, layer }) => `${tensor}\n${layer}`).values()]
    .flatMap((entries) => entries.reduce((most, entry) => (entry.growth > most.growth ? entry : most)))
    .sort((left, right) => right.growth - left.growth)
  const steps = Map.groupBy(
    growing.filter((entry) => entry.timestep !== null),
    (entry) => entry.timestep as number,
  )
  const verdict =
    samples.length < COVERAGE_RULE.minimumSamples
      ? ('too_few' as const)
      : worst.length > 0
        ? ('not_enough' as const)
        : ('enough' as const)
  const found = {
    verdict,
    tail_samples: tailSamples,
    growing_tensors: worst.length,
    growing_steps: [...steps]
      .map(([timestep, entries]) => ({ timestep, tensors: entries.length }))
      .sort((left, right) => right.tensors - left.tensors || left.timestep - right.timestep),
  }
  return {
    ...found,
    rule: {
      tail_share: COVERAGE_RULE.tailShare,
      growth: COVERAGE_RULE.growth,
      clipped: COVERAGE_RULE.clipped,
      minimum_samples: COVERAGE_RULE.minimumSamples,
      text: ruleText(),
    },
    growing: worst.slice(0, LISTED).map(({ tensor, layer, sample, timestep, growth, clipped }) => ({
      tensor,
      layer,
      sample,
      timestep,
      growth,
      clipped,
    })),
    advice: adviceOf(found, samples, tensors),
  }
}
