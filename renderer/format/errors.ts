// Errors in the language of the window: known codes are rendered anew from their details. Pure.
import { describeError, errorCatalog, type ErrorCode, type Locale } from '../../contract/errors/index.ts'

/** An error as it crosses a boundary; the code may be one that this window does not know. */
export interface AnyError {
  code: string
  message: string
  hint: string
  details: Record<string, unknown>
}

const hasGap = (text: string): boolean => /\{\w+\}/.test(text)

/** Message and hint in a language; the sender's own text when the code is unknown here. */
export function localizeError(error: AnyError, locale: Locale): { message: string; hint: string } {
  if (!Object.hasOwn(errorCatalog, error.code)) return { message: error.message, hint: error.hint }
  const text = describeError(error.code as ErrorCode, error.details, locale)
  // Without its details a text keeps placeholders; the sender's own text has been filled in.
  return hasGap(text.message) || hasGap(text.hint) ? { message: error.message, hint: error.hint } : text
}
