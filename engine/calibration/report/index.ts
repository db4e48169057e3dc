// The calibration report: statistics of every tensor, methods compared, coverage.
export { collectCalibration } from './collect.ts'
export type { CalibrationRequest, CollectedCalibration } from './collect.ts'
