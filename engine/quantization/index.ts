// The public face of engine/quantization.
export { parseJson } from './json-source.ts'
export { parseAmctToolConfig, parseRecipe, resolveFromConfig } from './recipe-file.ts'
export type { AmctToolConfig } from './recipe-file.ts'
export { formatRecords, parseRecords } from './record-file.ts'
export type { LayerRecord } from './record-file.ts'
export { outputPaths, quantizeModel } from './quantize.ts'
export type { QuantizeRequest } from './quantize.ts'
