// Device specifications and the latency model of the simulated device.
export { deviceType, estimateGraph } from './estimate.ts'
export type { EstimateOptions } from './estimate.ts'
export { costValidation } from './profile.ts'
export { estimateLayers } from './records.ts'
export type { LayerRecord, RecordKind } from './records.ts'
export { socSpec, socSpecs } from './soc.ts'
