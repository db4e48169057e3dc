// Errors of the workspace area.
import type { ErrorCatalog } from './catalog.ts'

export const workspaceErrors = {} satisfies ErrorCatalog
