// What long work takes from its caller: a way to report progress and a way to be stopped.

/** One progress report. `done` and `total` share a unit named by the stage (layers, samples, bytes, runs). */
export interface Progress {
  /** Stable stage key, e.g. `calibrate`. */
  stage: string
  done: number
  total: number
  /** What is being worked on right now, e.g. a layer name. */
  item?: string
}

/** Passed down through every long-running engine function. */
export interface WorkContext {
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
}
