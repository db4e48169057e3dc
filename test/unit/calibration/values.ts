// Values as observers receive them, and the data sets of the reference vectors.
import type { TensorValues } from '../../../engine/calibration/observers/index.ts'
import { generate } from '../quantization/vectors.ts'

export function valuesOf(numbers: Iterable<number>): TensorValues {
  const data = Float32Array.from(numbers)
  let [min, max] = [Infinity, -Infinity]
  for (const value of data) {
    min = Math.min(min, value)
    max = Math.max(max, value)
  }
  return { data, min, max }
}

/** Gaussian data and then some. */
export function withOutliers(count: number, ...outliers: number[]): Float32Array {
  const data = new Float32Array(count + outliers.length)
  data.set(generate(count))
  data.set(outliers, count)
  return data
}

const g = generate(4096)
const relu = g.map((x) => Math.max(x, 0))

export const DATASETS = {
  g,
  relu,
  skew: generate(4096, 0.5, 1),
  neg: relu.map((x) => -x),
  heavy: withOutliers(4096, 40, -25),
}
export type DatasetName = keyof typeof DATASETS
