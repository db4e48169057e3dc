// Types of layers.js, for its test.
import type { Rule } from 'eslint'

/** The reason an import from one file (relative to the repository) of another is refused, or null. */
export function refusal(from: string, to: string): string | null
export const layersRule: Rule.RuleModule
