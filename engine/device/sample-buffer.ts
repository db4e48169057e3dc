// Growing arrays of per-run timings: plain doubles, no object per run, so that the loop makes no garbage.
import type { ModelSamples, RunTiming } from '../../contract/device.ts'

type Samples = Pick<ModelSamples, 'blockStarts' | 'h2dMs' | 'executeMs' | 'd2hMs' | 'executeWallMs'>

const FIRST_CAPACITY = 1024

class GrowingArray {
  #values: Float64Array<ArrayBuffer> = new Float64Array(FIRST_CAPACITY)
  #count = 0

  push(value: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.#count++] = value
  }

  finish(): Float64Array {
    return this.#values.slice(0, this.#count)
  }
}

export class SampleBuffer {
  readonly #blockStarts: number[] = []
  readonly #h2d = new GrowingArray()
  readonly #execute = new GrowingArray()
  readonly #d2h = new GrowingArray()
  readonly #wall = new GrowingArray()
  #count = 0

  get count(): number {
    return this.#count
  }

  startBlock(): void {
    this.#blockStarts.push(this.#count)
  }

  push(timing: RunTiming): void {
    this.#count++
    if (timing.h2dMs !== null) this.#h2d.push(timing.h2dMs)
    if (timing.d2hMs !== null) this.#d2h.push(timing.d2hMs)
    this.#execute.push(timing.executeMs)
    this.#wall.push(timing.executeWallMs)
  }

  finish(): Samples {
    return {
      blockStarts: this.#blockStarts,
      h2dMs: this.#h2d.finish(),
      executeMs: this.#execute.finish(),
      d2hMs: this.#d2h.finish(),
      executeWallMs: this.#wall.finish(),
    }
  }
}
