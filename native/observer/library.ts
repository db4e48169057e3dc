// The C functions of the observer (src/observer.h), bound with koffi. Declarations only.
import { existsSync } from 'node:fs'
import path from 'node:path'
import koffi from 'koffi'

/** An observer of the library: an address. */
export type Handle = bigint & { readonly brand: 'AqwObserver' }
/** 1 on success, 0 on failure. */
type Outcome = number
type Values = Float32Array | Float64Array | Int32Array

export interface ObserverFunctions {
  aqw_observer_version(): number
  aqw_observer_create(): Handle | null
  aqw_observer_destroy(observer: Handle): void
  aqw_observer_error(observer: Handle): string
  aqw_observer_add_probe(observer: Handle, bins: number, gluttonBins: number, keep: number): number
  aqw_observer_weight(
    observer: Handle,
    name: string,
    element: number,
    dims: BigInt64Array,
    rank: number,
    data: Uint8Array,
    bytes: number,
  ): Outcome
  aqw_observer_weight_file(
    observer: Handle,
    name: string,
    element: number,
    dims: BigInt64Array,
    rank: number,
    path: string,
    offset: number,
    bytes: number,
  ): Outcome
  /** Resolves once the model is loaded; runs on another thread. */
  aqw_observer_open(
    observer: Handle,
    model: Uint8Array,
    bytes: number,
    threads: number,
    optimization: number,
    skippedOptimizers: string,
    weightsFolder: string,
    frugal: number,
  ): Promise<Outcome>
  aqw_observer_input(
    observer: Handle,
    name: string,
    element: number,
    dims: BigInt64Array,
    rank: number,
    data: Uint8Array,
    bytes: number,
  ): Outcome
  /** Resolves once the model has run; runs on another thread. */
  aqw_observer_run(observer: Handle): Promise<Outcome>
  aqw_observer_terminate(observer: Handle): void
  aqw_observer_first_bad(observer: Handle): number
  aqw_observer_summary(observer: Handle, probe: number, summary: Float64Array): Outcome
  aqw_observer_copy(observer: Handle, probe: number, part: number, target: Values, bytes: number): Outcome
  /** Runs on other threads. */
  aqw_observer_search(
    tasks: number,
    parameters: Float64Array,
    counts: Float64Array,
    results: Float64Array,
    threads: number,
  ): Promise<Outcome>
}

/** That of src/observer.h. */
const VERSION = 1

const TENSOR = 'const char *name, int element, const int64_t *dims, size_t rank'
const PROTOTYPES: Record<keyof ObserverFunctions, string> = {
  aqw_observer_version: 'int aqw_observer_version()',
  aqw_observer_create: 'void *aqw_observer_create()',
  aqw_observer_destroy: 'void aqw_observer_destroy(void *observer)',
  aqw_observer_error: 'const char *aqw_observer_error(void *observer)',
  aqw_observer_add_probe:
    'int aqw_observer_add_probe(void *observer, uint32_t bins, uint32_t gluttonBins, uint64_t keep)',
  aqw_observer_weight: `int aqw_observer_weight(void *observer, ${TENSOR}, const void *data, size_t bytes)`,
  aqw_observer_weight_file: `int aqw_observer_weight_file(void *observer, ${TENSOR}, const char *path, uint64_t offset, size_t bytes)`,
  aqw_observer_open:
    'int aqw_observer_open(void *observer, const void *model, size_t bytes, int threads, int optimization, const char *skippedOptimizers, const char *weightsFolder, int frugal)',
  aqw_observer_input: `int aqw_observer_input(void *observer, ${TENSOR}, const void *data, size_t bytes)`,
  aqw_observer_run: 'int aqw_observer_run(void *observer)',
  aqw_observer_terminate: 'void aqw_observer_terminate(void *observer)',
  aqw_observer_first_bad: 'int aqw_observer_first_bad(void *observer)',
  aqw_observer_summary: 'int aqw_observer_summary(void *observer, int probe, void *summary)',
  aqw_observer_search:
    'int aqw_observer_search(size_t tasks, const void *parameters, const void *counts, void *results, int threads)',
  aqw_observer_copy: 'int aqw_observer_copy(void *observer, int probe, int part, void *target, size_t bytes)',
}

/** Functions that take long: they run on a thread of the pool while the event loop goes on. */
const LONG: readonly string[] = ['aqw_observer_open', 'aqw_observer_run', 'aqw_observer_search']

/** Path of the library, built or not. `AQW_OBSERVER_LIBRARY` overrides it. */
export function observerPath(): string {
  return process.env['AQW_OBSERVER_LIBRARY'] ?? path.join(import.meta.dirname, 'build', 'libaqw_observer.so')
}

function bind(file: string): ObserverFunctions {
  const library = koffi.load(file)
  const functions: Record<string, unknown> = {}
  for (const prototype of Object.values(PROTOTYPES)) {
    const call = library.func(prototype)
    const { name } = call.info
    functions[name] = !LONG.includes(name)
      ? call
      : (...values: unknown[]) =>
          new Promise((resolve, reject) => {
            call.async(...values, (error: unknown, result: unknown) => {
              if (error) reject(error as Error)
              else resolve(result)
            })
          })
  }
  return functions as unknown as ObserverFunctions
}

let loaded: { file: string; functions: ObserverFunctions | null } | undefined

/** The library's functions; null where it is not built, or does not fit this program or machine. */
export function observerFunctions(): ObserverFunctions | null {
  const file = observerPath()
  if (loaded?.file === file) return loaded.functions
  let functions: ObserverFunctions | null = null
  try {
    if (existsSync(file)) functions = bind(file)
  } catch {
    // Built for another machine, or by another version of this program.
  }
  loaded = { file, functions: functions?.aqw_observer_version() === VERSION ? functions : null }
  return loaded.functions
}
