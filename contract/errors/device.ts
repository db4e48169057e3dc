// Errors of the device area.
import type { ErrorCatalog } from './catalog.ts'

export const deviceErrors = {} satisfies ErrorCatalog
