// The verdict in one sentence: how much faster or slower, at which size; honest about "no difference". Pure.
import type { Ratio } from '../../contract/benchmark.ts'
import { formatRatio } from './units.ts'

/** Keys under compare.headline; the parameters are ready to show. */
export interface Headline {
  key: 'faster' | 'slower' | 'same' | 'unknown'
  parameters: { candidate: string; baseline: string; speed: string; size: string }
  /** For the colour of the sentence's tag. */
  tone: 'good' | 'bad' | 'plain'
}

export interface HeadlineInput {
  baseline: string
  candidate: string
  /** Candidate latency over baseline latency. */
  latency: Pick<Ratio, 'ratio' | 'noDifference'> | null
  baselineBytes: number | null
  candidateBytes: number | null
}

/** `INT8 is 1.62x faster at 0.53x the size`, as a translatable key with parameters. */
export function headline(input: HeadlineInput): Headline {
  const { latency, baselineBytes, candidateBytes } = input
  const size = baselineBytes && candidateBytes ? formatRatio(candidateBytes / baselineBytes) : '–'
  const parameters = { candidate: input.candidate, baseline: input.baseline, speed: '–', size }
  if (!latency) return { key: 'unknown', parameters, tone: 'plain' }
  if (latency.noDifference) return { key: 'same', parameters, tone: 'plain' }
  const faster = latency.ratio < 1
  parameters.speed = formatRatio(faster ? 1 / latency.ratio : latency.ratio)
  return { key: faster ? 'faster' : 'slower', parameters, tone: faster ? 'good' : 'bad' }
}
