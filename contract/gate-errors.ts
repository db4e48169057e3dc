// Gates as people write them, with an error that names the gate and the place in it.
import { comparisonFigureNames } from './comparison-figures.ts'
import { AppError } from './errors/index.ts'
import { type Gate, GateSyntaxError, parseGate } from './gates.ts'

/** @throws E_GATE */
export function parseGates(texts: readonly string[]): Gate[] {
  return texts.map((text) => {
    try {
      return parseGate(text, comparisonFigureNames)
    } catch (error) {
      if (!(error instanceof GateSyntaxError)) throw error
      throw new AppError('E_GATE', { gate: text, reason: error.message, at: error.at + 1 })
    }
  })
}
