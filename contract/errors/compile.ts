// Errors of the compile area.
import type { ErrorCatalog } from './catalog.ts'

export const compileErrors = {} satisfies ErrorCatalog
