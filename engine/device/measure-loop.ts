// The timing loop inside a device process: warm-up, then interleaved blocks until the stop rule is met.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock, MeasureRequest, MeasureResult, ModelSamples } from '../../contract/device.ts'
import type { Progress } from '../../contract/work.ts'
import { AppError } from '../../contract/errors/index.ts'
import { peakResidentBytes } from '../common/memory.ts'
import { SampleBuffer } from './sample-buffer.ts'
import type { DeviceBackend, Step } from './types.ts'

/** How often the loop lets messages in: a cancel is noticed within about this time or one run, whichever is longer. */
const TURN_MS = 100

export interface LoopControl {
  cancelled(): boolean
  onProgress(progress: Progress): void
  /** Monotonic milliseconds. */
  now?(): number
}

interface Lane {
  handle: number
  prepare: () => Step
  samples: SampleBuffer
  warmupRuns: number
  warmupMs: number
  elapsedMs: number
}

class Loop {
  readonly #request: MeasureRequest
  readonly #control: LoopControl
  readonly #now: () => number
  #lastTurn: number

  constructor(request: MeasureRequest, control: LoopControl) {
    this.#request = request
    this.#control = control
    this.#now = control.now ?? (() => performance.now())
    this.#lastTurn = this.#now()
  }

  /** Between two runs: lets pending messages in now and then. Never inside a timed section. */
  async #turn(lanes: Lane[], stage: 'warmup' | 'measure'): Promise<void> {
    if (this.#now() - this.#lastTurn < TURN_MS) return
    const { stop, warmup } = this.#request
    const done = lanes.reduce(
      (sum, lane) => sum + (stage === 'warmup' ? lane.warmupRuns : lane.samples.count),
      0,
    )
    const total = lanes.length * (stage === 'warmup' ? warmup.runs : stop.runs)
    this.#control.onProgress({ stage, done: Math.min(done, total), total })
    await nextTurn()
    this.#lastTurn = this.#now()
    if (this.#control.cancelled()) throw new AppError('E_CANCELLED')
  }

  async warmUp(lanes: Lane[]): Promise<void> {
    const { runs, milliseconds } = this.#request.warmup
    for (const lane of lanes) {
      if (runs === 0 && milliseconds === 0) continue
      const step = lane.prepare()
      const start = this.#now()
      while (lane.warmupRuns < runs || lane.warmupMs < milliseconds) {
        await step()
        lane.warmupRuns++
        lane.warmupMs = this.#now() - start
        await this.#turn(lanes, 'warmup')
      }
    }
  }

  /** Met when both minimums are (or exactly `runs` are done). */
  #satisfied(lane: Lane): boolean {
    const { stop } = this.#request
    return lane.samples.count >= stop.runs && (stop.kind === 'exact' || lane.elapsedMs >= stop.milliseconds)
  }

  /**
   * One block. In minimum mode a lane that is not yet satisfied goes on until the block is as long as a block of the
   * slowest lane, so that fast and slow models get equal time and stay interleaved to the end.
   */
  async #block(lane: Lane, lanes: Lane[]): Promise<void> {
    const { stop, blockRuns } = this.#request
    const slowestRunMs = Math.max(...lanes.map((other) => other.elapsedMs / Math.max(1, other.samples.count)))
    const targetMs = blockRuns * slowestRunMs
    const limit = stop.kind === 'exact' ? Math.min(blockRuns, stop.runs - lane.samples.count) : Infinity
    lane.samples.startBlock()
    const step = lane.prepare()
    let runs = 0
    let blockMs = 0
    for (;;) {
      const start = this.#now()
      const timing = step()
      lane.samples.push(timing instanceof Promise ? await timing : timing)
      const spent = this.#now() - start
      blockMs += spent
      lane.elapsedMs += spent
      runs++
      if (runs >= limit) return
      await this.#turn(lanes, 'measure')
      if (stop.kind === 'minimum' && runs >= blockRuns && (blockMs >= targetMs || this.#satisfied(lane)))
        return
    }
  }

  async measure(lanes: Lane[]): Promise<void> {
    while (!lanes.every((lane) => this.#satisfied(lane))) {
      for (const lane of lanes) {
        if (this.#request.stop.kind === 'exact' && this.#satisfied(lane)) continue
        await this.#block(lane, lanes)
      }
      if (this.#control.cancelled()) throw new AppError('E_CANCELLED')
    }
  }
}

/** Runs a measurement. @throws E_CANCELLED between two runs, and whatever the backend throws */
export async function measureInterleaved(
  backend: Pick<DeviceBackend, 'prepare'>,
  request: MeasureRequest,
  clock: Clock,
  control: LoopControl,
): Promise<MeasureResult> {
  const lanes: Lane[] = request.models.map((model) => ({
    handle: model.handle,
    prepare: () => backend.prepare(model.handle, model.feeds, model.shapes),
    samples: new SampleBuffer(),
    warmupRuns: 0,
    warmupMs: 0,
    elapsedMs: 0,
  }))
  const loop = new Loop(request, control)
  await loop.warmUp(lanes)
  await loop.measure(lanes)
  const models: ModelSamples[] = lanes.map((lane) => ({
    handle: lane.handle,
    warmupRuns: lane.warmupRuns,
    warmupMs: lane.warmupMs,
    elapsedMs: lane.elapsedMs,
    ...lane.samples.finish(),
  }))
  return { clock, models, peakResidentBytes: peakResidentBytes() }
}
