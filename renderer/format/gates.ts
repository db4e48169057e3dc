// Gates while they are written: completion of figure names and what is wrong so far. Pure.
import { comparisonFigureNames } from '../../contract/comparison-figures.ts'
import { GateSyntaxError, parseGate } from '../../contract/gates.ts'

export interface Completion {
  /** Place of the word that a name replaces. */
  from: number
  to: number
  names: string[]
}

const MAXIMUM_NAMES = 8

/** Names of figures for the word before the caret; none while it is no word or already a whole name. */
export function completion(text: string, caret: number, names = comparisonFigureNames): Completion {
  const before = /[A-Za-z_][\w.]*$/.exec(text.slice(0, caret))?.[0] ?? ''
  const after = /^[\w.]*/.exec(text.slice(caret))?.[0] ?? ''
  const [from, to] = [caret - before.length, caret + after.length]
  const prefix = before.startsWith('baseline.') ? 'baseline.' : ''
  const word = before.slice(prefix.length).toLowerCase()
  if (before === '') return { from, to, names: [] }
  const starting = names.filter((name) => name.startsWith(word))
  const containing = names.filter((name) => !name.startsWith(word) && name.includes(word))
  const all = [...starting, ...containing]
  if (prefix === '' && word.length > 1 && 'baseline'.startsWith(word)) all.unshift('baseline')
  if (all.length === 1 && all[0] === word) return { from, to, names: [] }
  return { from, to, names: all.slice(0, MAXIMUM_NAMES).map((name) => `${prefix}${name}`) }
}

/** The text with the name in place of the word, and where the caret goes. */
export function completed(
  text: string,
  { from, to }: Completion,
  name: string,
): { text: string; caret: number } {
  return { text: `${text.slice(0, from)}${name}${text.slice(to)}`, caret: from + name.length }
}

/** What is wrong with a gate and where (characters from 0); null when it can be checked. */
export function gateProblem(text: string): { reason: string; at: number } | null {
  try {
    parseGate(text, comparisonFigureNames)
    return null
  } catch (error) {
    if (!(error instanceof GateSyntaxError)) throw error
    return { reason: error.message, at: error.at }
  }
}
