// Errors of the onnx area.
import type { ErrorCatalog } from './catalog.ts'

export const onnxErrors = {} satisfies ErrorCatalog
