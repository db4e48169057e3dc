// Measures of what a conversion did to a model's outputs and to what is generated with it.
export * from './metrics/index.ts'
export * from './signal.ts'
