// Statistics of one tensor over the samples: histogram, extremes per sample, coverage. Memory does not grow with the data
// but by four numbers per sample.
import type { TensorReport, TensorSample } from '../../../contract/calibration.ts'
import { MovingAverageObserver } from '../observers/extremes.ts'
import { GrowingHistogram } from '../observers/histogram.ts'
import {
  type ClipRange,
  createObserver,
  type Observer,
  type ObserverSpec,
  type TensorValues,
} from '../observers/index.ts'
import { CoverageTracker, gridRange, tailOf } from './coverage.ts'
import { displayHistogram } from './display.ts'
import { compare } from './methods.ts'

/** One run in the order of the report. */
export interface ReportRun {
  /** Position in the data set. */
  index: number
  timestep: number | null
}

export interface ObservedTensor {
  tensor: string
  spec: ObserverSpec
  layers: TensorReport['layers']
}

/** AMCT's own searches work on more than the histogram: they observe beside it. */
function ownObserver(spec: ObserverSpec, ifmrBudget: number): Observer | undefined {
  return spec.method === 'ifmr' || spec.method === 'hfmg' ? createObserver(spec, ifmrBudget) : undefined
}

function extent({ min, max }: ClipRange): number {
  return max - min
}

export class TensorStatistics {
  readonly request: ObservedTensor
  readonly #histogram: GrowingHistogram
  readonly #observer: Observer | undefined
  readonly #coverage: CoverageTracker
  readonly #samples: TensorSample[] = []
  #elements = 0

  constructor(request: ObservedTensor, ifmrBudget: number) {
    this.request = request
    this.#histogram = new GrowingHistogram(request.spec.bins)
    this.#observer = ownObserver(request.spec, ifmrBudget)
    this.#coverage = new CoverageTracker(request.spec.symmetric)
  }

  /** @param position Of the run among those of the report. */
  add(position: number, values: TensorValues): void {
    this.#histogram.add(values)
    this.#observer?.add(values)
    this.#fillTo(position)
    this.#samples.push(this.#coverage.add(values))
    this.#elements += values.data.length
  }

  get samples(): readonly TensorSample[] {
    return this.#samples
  }

  /** Everything but the channels. */
  report(runs: readonly ReportRun[]): Omit<TensorReport, 'channels'> {
    this.#fillTo(runs.length)
    const { spec, ...named } = this.request
    const bins = this.#histogram.bins()
    const { chosen, best, methods } = compare(bins, this.#averaged(runs), spec, this.#observer?.range())
    const steps = this.#steps(runs)
    return {
      ...named,
      elements: this.#elements,
      min: bins.min,
      max: bins.max,
      symmetric: spec.symmetric,
      chosen,
      best: best.method,
      methods,
      histogram: displayHistogram(bins),
      samples: this.#samples,
      steps,
      step_ratio: this.#stepRatio(steps),
      leave_one_out: this.#leaveOneOut(),
      tail: tailOf(this.#samples),
    }
  }

  /** Runs in which the tensor was empty. */
  #fillTo(position: number): void {
    while (this.#samples.length < position) this.#samples.push({ min: 0, max: 0, growth: 0, clipped: 0 })
  }

  /** The moving average depends on the order: it is that of the data set, as in quantization. */
  #averaged(runs: readonly ReportRun[]): ClipRange {
    const average = new MovingAverageObserver(this.request.spec.averagingConstant)
    const ordered = runs
      .map((run, position) => ({ run, sample: this.#samples[position] }))
      .sort((left, right) => left.run.index - right.run.index)
    for (const { sample } of ordered) {
      if (sample) average.add(sample)
    }
    return average.range()
  }

  #steps(runs: readonly ReportRun[]): TensorReport['steps'] {
    const known = runs.flatMap(({ timestep }, position) => {
      const sample = this.#samples[position]
      return timestep === null || !sample ? [] : [{ timestep, sample }]
    })
    return [...Map.groupBy(known, ({ timestep }) => timestep)]
      .map(([timestep, entries]) => ({
        timestep,
        samples: entries.length,
        min: Math.min(...entries.map(({ sample }) => sample.min)),
        max: Math.max(...entries.map(({ sample }) => sample.max)),
      }))
      .sort((left, right) => left.timestep - right.timestep)
  }

  #stepRatio(steps: TensorReport['steps']): number | null {
    if (steps.length === 0) return null
    const extents = steps.map((step) => extent(gridRange(step, this.request.spec.symmetric)))
    const smallest = Math.min(...extents)
    return smallest > 0 ? Math.max(...extents) / smallest : null
  }

  /** The range that the other samples leave, for the samples at either end. */
  #leaveOneOut(): TensorReport['leave_one_out'] {
    if (this.#samples.length < 2) return null
    const { symmetric } = this.request.spec
    const ranges = this.#samples.map((sample) => gridRange(sample, symmetric))
    const whole = { min: lowest(ranges, -1).value, max: -lowest(ranges.map(mirrored), -1).value }
    const ends = [lowest(ranges, -1).at, lowest(ranges.map(mirrored), -1).at]
    const without = (sample: number): number => {
      const min = lowest(ranges, sample).value
      const max = -lowest(ranges.map(mirrored), sample).value
      return extent(whole) > 0 ? 1 - (max - min) / extent(whole) : 0
    }
    const losses = ends.map((sample) => ({ sample, shrinks: without(sample) }))
    return losses.reduce((most, loss) => (loss.shrinks > most.shrinks ? loss : most))
  }
}

function mirrored({ min, max }: ClipRange): ClipRange {
  return { min: -max, max: -min }
}

/** The smallest lower end, one position left out. */
function lowest(ranges: readonly ClipRange[], skipped: number): { value: number; at: number } {
  let [value, at] = [Infinity, -1]
  ranges.forEach(({ min }, position) => {
    if (position === skipped || min >= value) return
    value = min
    at = position
  })
  return { value, at }
}
