// Errors of the cli area.
import type { ErrorCatalog } from './catalog.ts'

export const cliErrors = {} satisfies ErrorCatalog
