// Errors of the benchmark area.
import type { ErrorCatalog } from './catalog.ts'

export const benchmarkErrors = {} satisfies ErrorCatalog
