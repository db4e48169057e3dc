// Output quality: what each model returns on a device against the FP32 source model on ONNX Runtime.
import type { Feeds, RunResult, Shapes } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { OutputQuality, Quality } from '../../contract/comparison.ts'
import type { WorkContext } from '../../contract/work.ts'
import type { CalibrationDataset, Feed } from '../calibration/index.ts'
import type { DeviceSession } from '../device/index.ts'
import {
  addSums,
  cosineFromSums,
  emptySums,
  signalSums,
  sqnrFromSums,
  type SignalSums,
} from '../evaluation/index.ts'
import { tensorNumbers } from '../device/tensor-values.ts'

/** One loaded model. */
export interface Runner {
  session: DeviceSession
  handle: number
}

/** Inputs of one run, in the form a device takes. */
export interface RunInputs {
  feeds: Feeds
  shapes: Shapes
}

/** Converts a sample of a data set. */
export function toRunInputs(sample: Record<string, Feed>): RunInputs {
  const entries = Object.entries(sample)
  return {
    feeds: Object.fromEntries(
      entries.map(([name, { data }]) => [
        name,
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      ]),
    ),
    shapes: Object.fromEntries(entries.map(([name, feed]) => [name, feed.dims])),
  }
}

/** Indices of `wanted` samples spread evenly over `available`. */
export function spread(available: number, wanted: number): number[] {
  const count = Math.min(available, wanted)
  return Array.from({ length: count }, (_, index) => Math.floor((index * available) / count))
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

function outputQuality(sums: SignalSums): OutputQuality {
  return {
    sqnr_db: finiteOrNull(sqnrFromSums(sums)),
    cosine: cosineFromSums(sums),
    max_abs_error: sums.maxAbsError,
    identical: sums.noise === 0 && sums.nonFinite === 0,
    non_finite: sums.nonFinite,
  }
}

/** Sums of one model over all samples. */
class QualityAccumulator {
  readonly #outputs = new Map<string, SignalSums>()
  #worst: { name: string; sums: SignalSums } | undefined
  #samples = 0

  add(sample: string, reference: RunResult, result: RunResult): void {
    let pooled = emptySums()
    const results = Object.entries(result.outputs)
    for (const [index, [name, expected]] of Object.entries(reference.outputs).entries()) {
      // A compiled model may rename its outputs (node:port:name); their order stays.
      const found = result.outputs[name] ?? results[index]?.[1]
      if (!found)
        throw new AppError('E_OUTPUT_MISSING', { output: name, known: results.map(([known]) => known) })
      const sums = pairSums(name, expected, found)
      this.#outputs.set(name, addSums(this.#outputs.get(name) ?? emptySums(), sums))
      pooled = addSums(pooled, sums)
    }
    this.#samples++
    if (!this.#worst || sqnrFromSums(pooled) < sqnrFromSums(this.#worst.sums))
      this.#worst = { name: sample, sums: pooled }
  }

  finish(reference: string): Quality {
    const worst = this.#worst
    if (!worst) throw new Error('quality without samples')
    const all = [...this.#outputs.values()].reduce(addSums, emptySums())
    return {
      ...outputQuality(all),
      reference,
      samples: this.#samples,
      worst_sample: {
        name: worst.name,
        sqnr_db: finiteOrNull(sqnrFromSums(worst.sums)),
        cosine: cosineFromSums(worst.sums),
      },
      outputs: Object.fromEntries([...this.#outputs].map(([name, sums]) => [name, outputQuality(sums)])),
    }
  }
}

function pairSums(
  name: string,
  expected: RunResult['outputs'][string],
  found: RunResult['outputs'][string],
): SignalSums {
  const left = tensorNumbers(name, expected)
  const right = tensorNumbers(name, found)
  if (left.length !== right.length) {
    throw new AppError('E_OUTPUT_SHAPE', { output: name, expected: expected.dims, found: found.dims })
  }
  return signalSums(left, right)
}

/**
 * Runs the reference and every candidate over the samples and compares all outputs.
 * @returns one quality per candidate, in order
 * @throws E_CANCELLED and what running a model throws
 */
export async function measureQuality(
  reference: Runner,
  candidates: readonly Runner[],
  dataset: CalibrationDataset,
  indices: readonly number[],
  ctx: WorkContext,
): Promise<Quality[]> {
  const accumulators = candidates.map(() => new QualityAccumulator())
  for (const [done, index] of indices.entries()) {
    const name = dataset.sampleName(index)
    ctx.onProgress?.({ stage: 'evaluate', done, total: indices.length, item: name })
    const { feeds, shapes } = toRunInputs(dataset.load(index))
    const expected = await reference.session.run(reference.handle, feeds, shapes)
    for (const [position, candidate] of candidates.entries()) {
      if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
      const result = await candidate.session.run(candidate.handle, feeds, shapes)
      accumulators[position]?.add(name, expected, result)
    }
  }
  ctx.onProgress?.({ stage: 'evaluate', done: indices.length, total: indices.length })
  return accumulators.map((accumulator) => accumulator.finish('source model in FP32 on ONNX Runtime'))
}
