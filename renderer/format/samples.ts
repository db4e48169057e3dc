// The choice of samples as requests carry it. Pure.
import type { CompareJobRequest } from '../../contract/workspace.ts'

export type SampleSelection = NonNullable<CompareJobRequest['selection']>

export const sampleSelections: readonly SampleSelection[] = ['first', 'spread', 'timesteps']

/** Fields of a request: nothing for all samples, and nothing about which when they are the first ones. */
export function sampleFields(
  samples: number | null,
  selection: SampleSelection,
): Pick<CompareJobRequest, 'calibrationSamples' | 'selection'> {
  if (samples === null) return {}
  return { calibrationSamples: samples, ...(selection !== 'first' && { selection }) }
}
