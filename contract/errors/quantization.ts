// Errors of the quantization area.
import type { ErrorCatalog } from './catalog.ts'

export const quantizationErrors = {} satisfies ErrorCatalog
