// The public face of engine/calibration: data sets and the activation ranges they give.
export { openDataset } from './dataset.ts'
export type { CalibrationDataset, Feed } from './dataset.ts'
export { modelInputs } from './model-inputs.ts'
export { collectRanges } from './ranges.ts'
export type { RangeOptions, TensorRange } from './ranges.ts'
