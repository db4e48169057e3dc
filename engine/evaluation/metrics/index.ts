// Metrics as pure functions of numbers: no files, no models.
export * from './captions.ts'
export * from './features.ts'
export * from './frechet.ts'
export * from './intervals.ts'
export * from './pictures.ts'
export * from './result.ts'
export * from './sets.ts'
export * from './text.ts'
