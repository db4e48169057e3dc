// Observers that need no more of a run than its smallest and largest value.
import { type ClipRange, EMPTY_RANGE, type Observer, type ObserverState } from './observer.ts'

/** The whole range seen. */
export class ExtremesObserver implements Observer {
  #range: ClipRange | undefined

  add({ min, max }: ClipRange): void {
    const range = this.#range
    this.#range = range ? { min: Math.min(range.min, min), max: Math.max(range.max, max) } : { min, max }
  }

  state(): ObserverState {
    return { runs: this.#range ? [this.#range] : [] }
  }

  merge({ runs }: ObserverState): void {
    for (const run of runs) this.add(run)
  }

  range(): ClipRange {
    return this.#range ?? EMPTY_RANGE
  }
}

/**
 * Exponential moving average of both ends, run by run: one odd sample moves them little.
 * PyTorch's MovingAverageMinMaxObserver: end += constant * (end of this run - end); the first run sets both ends.
 */
export class MovingAverageObserver implements Observer {
  readonly #constant: number
  readonly #runs: ClipRange[] = []
  #range: ClipRange | undefined

  /** @param constant Weight of the newest run, in (0, 1]. */
  constructor(constant: number) {
    this.#constant = constant
  }

  add({ min, max }: ClipRange): void {
    this.#runs.push({ min, max })
    const range = this.#range
    if (!range) {
      this.#range = { min, max }
      return
    }
    range.min += this.#constant * (min - range.min)
    range.max += this.#constant * (max - range.max)
  }

  state(): ObserverState {
    return { runs: this.#runs }
  }

  /** As one pass in which the other's runs come after these. */
  merge({ runs }: ObserverState): void {
    for (const run of runs) this.add(run)
  }

  range(): ClipRange {
    return this.#range ? { ...this.#range } : EMPTY_RANGE
  }
}
