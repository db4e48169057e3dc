// Types of build-native.mjs, which stays JavaScript because npm runs it under Nodes that cannot strip types.
export interface Compiler {
  command: string
  version: string
}

export interface BuildOutcome {
  status: 'built' | 'current' | 'skipped' | 'failed'
  message: string
}

/** Folder of the simulator's sources. */
export const SIMULATOR: string
/** Folder of the observer's sources. */
export const OBSERVER: string
/** The first compiler that runs, or null. */
export function findCompiler(env?: NodeJS.ProcessEnv): Compiler | null
/** C++ sources of the simulator, in a fixed order. */
export function librarySources(): string[]
/** C++ sources that only the observer has, in a fixed order. */
export function observerSources(): string[]
/** The binding of ONNX Runtime, which the observer shares with the simulator. */
export const ORT_BINDING: string
/** Object file of a source in a folder. */
export function objectOf(source: string, folder: string): string
/** Runs a compiler command and collects what it writes to stderr. */
export function run(command: string, args: readonly string[]): Promise<{ ok: boolean; stderr: string }>
/** Compiles sources into a folder; returns what the compiler said about those that failed. */
export function compileAll(
  compiler: string,
  sources: readonly string[],
  outputFolder: string,
  flags: readonly string[],
): Promise<string[]>
/** Builds the libraries that are not up to date. */
export function buildNative(options?: { quiet?: boolean }): Promise<BuildOutcome>
