// Samples that both chose the scales and judge the result.
import type { CalibrationDataset } from '../calibration/index.ts'

/** How many of the evaluation samples are calibration samples too, by content. @throws E_CANCELLED */
export function overlappingSamples(
  evaluation: CalibrationDataset,
  calibration: CalibrationDataset,
  signal?: AbortSignal,
): number {
  const known = new Set(calibration.sampleDigests(signal))
  return evaluation.sampleDigests(signal).filter((digest) => known.has(digest)).length
}
