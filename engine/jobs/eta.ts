// How long a job still takes: progress over all stages, its robust speed, and the time left.

export interface StageWeight {
  key: string
  weight: number
}

/** Progress before which no estimate is given. */
const MINIMUM_FRACTION = 0.02
const MINIMUM_SECONDS = 2
/** Speed is judged over the latest part of the job, because stages differ. */
const WINDOW_SECONDS = 30
/** Share of a new estimate in the shown one. */
const SMOOTHING = 0.3

/** Share of the whole job that is done, from the weights of its stages. */
export class JobProgress {
  readonly #weights = new Map<string, number>()
  readonly #done = new Map<string, number>()
  #total = 0

  constructor(stages: readonly StageWeight[]) {
    for (const stage of stages) this.#weights.set(stage.key, Math.max(0, stage.weight))
    this.#total = [...this.#weights.values()].reduce((sum, weight) => sum + weight, 0)
  }

  set(stage: string, done: number, total: number): void {
    const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0
    // A stage may report several passes; the bar never runs backwards.
    this.#done.set(stage, Math.max(share, this.#done.get(stage) ?? 0))
  }

  finish(stage: string): void {
    this.#done.set(stage, 1)
  }

  /** 0..1 */
  get fraction(): number {
    if (this.#total === 0) return 0
    let sum = 0
    for (const [stage, weight] of this.#weights) sum += weight * (this.#done.get(stage) ?? 0)
    return Math.min(1, sum / this.#total)
  }
}

function median(values: number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

/**
 * Seconds left from observations of (time, fraction). The speed is the median of the slopes from each observation of
 * the window to the latest one, so that a single stall or jump does not throw it off.
 */
export class EtaEstimator {
  #points: { seconds: number; fraction: number }[] = []
  #shown: { seconds: number; left: number } | undefined

  /** Forgets the speed so far: after a stage that was taken from the cache, which took no time. */
  reset(): void {
    this.#points = []
    this.#shown = undefined
  }

  /** Adds an observation and returns the estimate, null while there is too little to tell. */
  update(seconds: number, fraction: number): number | null {
    const last = this.#points.at(-1)
    if (!last || seconds - last.seconds >= 0.25) this.#points.push({ seconds, fraction })
    while (this.#points.length > 2 && seconds - (this.#points[0]?.seconds ?? 0) > WINDOW_SECONDS) {
      this.#points.shift()
    }
    const first = this.#points[0]
    if (!first || seconds - first.seconds < MINIMUM_SECONDS) return this.#decayed(seconds)
    if (fraction - first.fraction < MINIMUM_FRACTION) return this.#decayed(seconds)
    const slopes = this.#points
      .filter((point) => seconds - point.seconds >= 0.5)
      .map((point) => (fraction - point.fraction) / (seconds - point.seconds))
    const speed = median(slopes)
    if (speed <= 0) return this.#decayed(seconds)
    const measured = (1 - fraction) / speed
    const expected = this.#decayed(seconds)
    const left = expected === null ? measured : expected + SMOOTHING * (measured - expected)
    this.#shown = { seconds, left }
    return left
  }

  /** The last estimate minus the time that went by since. */
  #decayed(seconds: number): number | null {
    if (!this.#shown) return null
    return Math.max(0, this.#shown.left - (seconds - this.#shown.seconds))
  }
}
