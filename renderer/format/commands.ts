// Equivalent commands of simple actions. Pure.
import { quoteArgument } from '../../contract/rpc/command-line.ts'

/** A command line for a POSIX shell from its words. */
export function commandText(...words: string[]): string {
  return words.map(quoteArgument).join(' ')
}
