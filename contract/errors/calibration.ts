// Errors of the calibration area.
import type { ErrorCatalog } from './catalog.ts'

export const calibrationErrors = {} satisfies ErrorCatalog
