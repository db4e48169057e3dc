// A model that is watched while it runs in ONNX Runtime: every node of operator Observe counts the values of a tensor
// where they are. Nothing but statistics comes back.
export { searchNatively } from './search.ts'
export type { SearchedMethod, SearchedRanges, SearchTask } from './search.ts'
import { type Handle, observerFunctions, type ObserverFunctions } from './library.ts'

/** Domain of the operator, its name, and its attribute with the number of a probe (src/session.h). */
export const OBSERVE = { domain: 'aqw', opType: 'Observe', probe: 'probe' } as const

/** GraphOptimizationLevel of ONNX Runtime's C interface. */
export const OPTIMIZATION = { disabled: 0, basic: 1, extended: 2, all: 99 } as const

export interface OpenOptions {
  /** Threads inside an operator; 0 for ONNX Runtime's default. */
  threads: number
  /** Of OPTIMIZATION. */
  optimization: number
  /** Names of ONNX Runtime's optimizers that are left out. */
  skippedOptimizers: readonly string[]
  /** Where the locations of external data start; "" when all of it was added as weights. */
  weightsFolder: string
  /** Slower, with no second copy of weights in the layout of their kernels and no buffers kept from run to run. */
  frugal: boolean
}

export interface ProbeOptions {
  /** Bins of the growing histogram; 0 for none. */
  bins: number
  /** Bins of AMCT's histogram; 0 for none. */
  gluttonBins: number
  /** Values kept at most instead of the histogram; 0 for none. */
  keep: number
}

/** Bytes of a tensor with what they mean. */
export interface TensorBytes {
  name: string
  /** TensorProto.DataType number. */
  dataType: number
  dims: readonly number[]
  bytes: Uint8Array
}

export interface CountedHistogram {
  low: number
  width: number
  counts: Float64Array
  min: number
  max: number
  total: number
}

export interface ProbeStatistics {
  /** Range of every run in which the tensor had values. */
  runs: { min: number; max: number }[]
  histogram?: CountedHistogram
  glutton?: CountedHistogram
  values?: Float32Array
}

/** Positions in the summary, and the arrays that can be copied (src/observer.h). */
const SUMMARY = {
  runs: 0,
  bad: 1,
  badValue: 2,
  bins: 3,
  first: 4,
  width: 5,
  min: 6,
  max: 7,
  total: 8,
  kept: 9,
  gluttonTotal: 10,
  gluttonMin: 11,
  gluttonMax: 12,
} as const
const PART = { runs: 0, bins: 1, kept: 2, glutton: 3, order: 4 } as const

function dimsOf(dims: readonly number[]): BigInt64Array {
  return BigInt64Array.from(dims, BigInt)
}

/** Failures are plain errors with ONNX Runtime's text. */
export class NativeObserver {
  readonly #functions: ObserverFunctions
  readonly #probes: ProbeOptions[] = []
  /** What the library points into. */
  readonly #borrowed: Uint8Array[] = []
  #handle: Handle | null

  private constructor(functions: ObserverFunctions, handle: Handle) {
    this.#functions = functions
    this.#handle = handle
  }

  /** Null where the library is missing or finds no ONNX Runtime. */
  static create(): NativeObserver | null {
    const functions = observerFunctions()
    const handle = functions?.aqw_observer_create()
    if (!functions || !handle) return null
    if (functions.aqw_observer_error(handle) === '') return new NativeObserver(functions, handle)
    functions.aqw_observer_destroy(handle)
    return null
  }

  /** @returns its number */
  addProbe(options: ProbeOptions): number {
    const { bins, gluttonBins, keep } = options
    const probe = this.#functions.aqw_observer_add_probe(this.#open, bins, gluttonBins, keep)
    if (probe < 0) this.#fail()
    this.#probes.push(options)
    return probe
  }

  /** A weight in place of the model's external data; its bytes are used where they are. */
  addWeight({ name, dataType, dims, bytes }: TensorBytes): void {
    this.#borrowed.push(bytes)
    const rank = dims.length
    this.#check(
      this.#functions.aqw_observer_weight(
        this.#open,
        name,
        dataType,
        dimsOf(dims),
        rank,
        bytes,
        bytes.byteLength,
      ),
    )
  }

  /** The same for a slice of a file. */
  addWeightFile(
    { name, dataType, dims }: Omit<TensorBytes, 'bytes'>,
    slice: { path: string; offset: number; length: number },
  ): void {
    this.#check(
      this.#functions.aqw_observer_weight_file(
        this.#open,
        name,
        dataType,
        dimsOf(dims),
        dims.length,
        slice.path,
        slice.offset,
        slice.length,
      ),
    )
  }

  /** Loads a model; one that was open before is closed, its statistics stay. */
  async open(model: Uint8Array, options: OpenOptions): Promise<void> {
    const { threads, optimization, skippedOptimizers, weightsFolder, frugal } = options
    const opening = this.#functions.aqw_observer_open(
      this.#open,
      model,
      model.byteLength,
      threads,
      optimization,
      skippedOptimizers.join(';'),
      weightsFolder,
      frugal ? 1 : 0,
    )
    this.#check(await opening)
  }

  /** Copies the values of an input, for the runs to come. */
  setInput({ name, dataType, dims, bytes }: TensorBytes): void {
    this.#check(
      this.#functions.aqw_observer_input(
        this.#open,
        name,
        dataType,
        dimsOf(dims),
        dims.length,
        bytes,
        bytes.byteLength,
      ),
    )
  }

  async run(): Promise<void> {
    this.#check(await this.#functions.aqw_observer_run(this.#open))
  }

  /** Ends a `run` in progress early, with a failure. */
  terminate(): void {
    if (this.#handle) this.#functions.aqw_observer_terminate(this.#handle)
  }

  /** The first probe, by number, that saw a value which is not finite. */
  firstBad(): { probe: number; value: number } | undefined {
    const probe = this.#functions.aqw_observer_first_bad(this.#open)
    return probe < 0 ? undefined : { probe, value: this.#summary(probe)[SUMMARY.badValue] ?? NaN }
  }

  statistics(probe: number): ProbeStatistics {
    const summary = this.#summary(probe)
    const at = (name: keyof typeof SUMMARY): number => summary[SUMMARY[name]] ?? 0
    const ends = new Float32Array(2 * at('runs'))
    this.#copy(probe, PART.runs, ends)
    const runs = Array.from({ length: at('runs') }, (_, run) => ({
      min: ends[2 * run] ?? 0,
      max: ends[2 * run + 1] ?? 0,
    }))
    const statistics: ProbeStatistics = { runs }
    if (at('bins') >= 0) {
      const [width, min, max, total] = [at('width'), at('min'), at('max'), at('total')]
      const counts = new Float64Array(at('bins'))
      this.#copy(probe, PART.bins, counts)
      statistics.histogram = { low: at('first') * width, width, counts, min, max, total }
    }
    if (at('kept') >= 0) {
      statistics.values = new Float32Array(at('kept'))
      this.#copy(probe, PART.kept, statistics.values)
    }
    const { gluttonBins } = this.#probes[probe] as ProbeOptions
    if (at('gluttonTotal') > 0) {
      const [min, max, total] = [at('gluttonMin'), at('gluttonMax'), at('gluttonTotal')]
      const counts = new Float64Array(gluttonBins)
      this.#copy(probe, PART.glutton, counts)
      statistics.glutton = { low: min, width: (max - min) / gluttonBins, counts, min, max, total }
    }
    return statistics
  }

  /** Probes in the order in which the last run reached them. */
  order(): number[] {
    const order = new Int32Array(this.#probes.length)
    this.#copy(0, PART.order, order)
    return [...order]
  }

  /** Frees everything; not while a run is in progress. */
  close(): void {
    if (this.#handle) this.#functions.aqw_observer_destroy(this.#handle)
    this.#handle = null
    this.#borrowed.length = 0
  }

  get #open(): Handle {
    if (!this.#handle) throw new Error('the observer is closed')
    return this.#handle
  }

  #summary(probe: number): Float64Array {
    const summary = new Float64Array(Object.keys(SUMMARY).length)
    this.#check(this.#functions.aqw_observer_summary(this.#open, probe, summary))
    return summary
  }

  #copy(probe: number, part: number, target: Float32Array | Float64Array | Int32Array): void {
    this.#check(this.#functions.aqw_observer_copy(this.#open, probe, part, target, target.byteLength))
  }

  #check(outcome: number): void {
    if (outcome !== 1) this.#fail()
  }

  #fail(): never {
    throw new Error(this.#functions.aqw_observer_error(this.#open))
  }
}
