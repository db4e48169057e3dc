// The public face of engine/compile.
export { COMPILER_ID, compileModel } from './compile.ts'
export type { CompileRequest, CompileResult } from './compile.ts'
export { inspectOm, readOmManifest } from './inspect.ts'
export { recoverOnnx } from './recover.ts'
export { atcArguments, findAtc, runAtc } from './atc.ts'
export type { AtcRequest, AtcResult } from './atc.ts'
export { parseAtcError } from './atc-output.ts'
export type { AtcError } from './atc-output.ts'
