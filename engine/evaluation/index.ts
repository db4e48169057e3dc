// Measures of what a conversion did to a model's outputs.
export * from './signal.ts'
