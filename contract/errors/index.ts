// The one error type of the product: stable code, message, hint, details; texts in English and Chinese.
import { benchmarkErrors } from './benchmark.ts'
import { calibrationErrors } from './calibration.ts'
import type { ErrorCatalog, ErrorText, Locale } from './catalog.ts'
import { cliErrors } from './cli.ts'
import { commonErrors } from './common.ts'
import { compileErrors } from './compile.ts'
import { deviceErrors } from './device.ts'
import { evaluationErrors } from './evaluation.ts'
import { interopErrors } from './interop.ts'
import { onnxErrors } from './onnx.ts'
import { preparationErrors } from './preparation.ts'
import { quantizationErrors } from './quantization.ts'
import { reportErrors } from './report.ts'
import { workspaceErrors } from './workspace.ts'
import type { ErrorShape } from '../result.ts'
import { fillText } from '../text.ts'

const catalog = {
  ...commonErrors,
  ...onnxErrors,
  ...calibrationErrors,
  ...preparationErrors,
  ...quantizationErrors,
  ...interopErrors,
  ...evaluationErrors,
  ...compileErrors,
  ...deviceErrors,
  ...benchmarkErrors,
  ...reportErrors,
  ...workspaceErrors,
  ...cliErrors,
} satisfies ErrorCatalog

export type ErrorCode = keyof typeof catalog
export type ErrorDetails = Record<string, unknown>
export type { Locale } from './catalog.ts'

/** All codes with their texts, for documentation and tests. */
export const errorCatalog: Readonly<Record<ErrorCode, Record<Locale, ErrorText>>> = catalog

/** Renders the message and hint of an error in a language. Unknown placeholders stay visible. */
export function describeError(code: ErrorCode, details: ErrorDetails, locale: Locale = 'en'): ErrorText {
  const text: ErrorText = catalog[code][locale]
  return { message: fillText(text.message, details), hint: fillText(text.hint, details) }
}

/** An expected failure: bad input, missing device, full disk. Anything else is a bug and keeps its stack. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly details: ErrorDetails

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    const text = describeError(code, details)
    super(text.message, options)
    this.name = 'AppError'
    this.code = code
    this.hint = text.hint
    this.details = details
  }
}

/** Turns anything thrown into the plain shape; unexpected errors become E_INTERNAL with their message and stack. */
export function toErrorShape(thrown: unknown): ErrorShape {
  if (thrown instanceof AppError) {
    return { code: thrown.code, message: thrown.message, hint: thrown.hint, details: thrown.details }
  }
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  const stack = thrown instanceof Error ? thrown.stack : undefined
  const text = describeError('E_INTERNAL', { reason })
  return { code: 'E_INTERNAL', ...text, details: { reason, stack } }
}

/** Rebuilds an AppError from its plain shape, on the receiving side of a boundary. */
export function fromErrorShape(shape: ErrorShape): AppError {
  const known = Object.hasOwn(catalog, shape.code)
  return known
    ? new AppError(shape.code, shape.details)
    : new AppError('E_INTERNAL', { reason: shape.message, code: shape.code })
}
