// The recipe as JSON text: writing it, and reading what a person edited with the line of every mistake. Pure.
import { findNodeAtLocation, parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser'
import type { z } from 'zod'
import { recipeSchema, type Recipe } from '../../../contract/recipe.ts'

export interface TextProblem {
  /** Counted from 1. */
  line: number
  column: number
  /** Where in the recipe, such as `activation.percentile`; empty for the whole and for syntax. */
  key: string
  /** A syntax error by its name, or an issue of the schema. */
  cause: { syntax: string } | { issue: z.core.$ZodIssue }
}

export type ParsedRecipe = { ok: true; recipe: Recipe } | { ok: false; problems: TextProblem[] }

const MOST_PROBLEMS = 20

export function recipeText(recipe: Recipe): string {
  return `${JSON.stringify(recipe, null, 2)}\n`
}

function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

function keyName(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}

/** The deepest node on a path: a key that is missing is reported where it should be. */
function nodeOnPath(tree: Node, path: readonly PropertyKey[]): Node {
  for (let length = path.length; length > 0; length--) {
    const node = findNodeAtLocation(tree, path.slice(0, length) as (string | number)[])
    if (node) return node
  }
  return tree
}

/** An unknown key is shown at the key, everything else at the value. */
function offsetOf(tree: Node, issue: z.core.$ZodIssue): { offset: number; path: PropertyKey[] } {
  const [key] = issue.code === 'unrecognized_keys' ? issue.keys : []
  if (key === undefined) return { offset: nodeOnPath(tree, issue.path).offset, path: [...issue.path] }
  const path = [...issue.path, key]
  const value = findNodeAtLocation(tree, path as (string | number)[])
  return { offset: value?.parent?.offset ?? tree.offset, path }
}

/** Plain data of a parsed tree; `JSON.parse` semantics for repeated keys (the last one holds), never a prototype. */
function valueOf(node: Node): unknown {
  if (node.type === 'array') return (node.children ?? []).map(valueOf)
  if (node.type !== 'object') return node.value as unknown
  const entries = (node.children ?? []).flatMap(({ children }): [string, unknown][] => {
    const [key, value] = children ?? []
    return key && value ? [[String(key.value), valueOf(value)]] : []
  })
  return Object.fromEntries(entries)
}

/** Deeper than any recipe; the parser and the walk above recurse. */
const DEEPEST = 64

function isTooDeep(text: string): boolean {
  let depth = 0
  for (const character of text) {
    if (character === '[' || character === '{') depth += 1
    else if (character === ']' || character === '}') depth -= 1
    if (depth > DEEPEST) return true
  }
  return false
}

/** Reads edited text; comments are allowed, as in recipe files. */
export function parseRecipeText(text: string): ParsedRecipe {
  const syntax = (name: string, offset: number): ParsedRecipe => ({
    ok: false,
    problems: [{ ...positionAt(text, offset), key: '', cause: { syntax: name } }],
  })
  if (isTooDeep(text)) return syntax('TooDeep', 0)
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { allowTrailingComma: false, disallowComments: false })
  const [first] = errors
  if (first) return syntax(printParseErrorCode(first.error), first.offset)
  if (!tree) return syntax('ValueExpected', 0)
  const parsed = recipeSchema.safeParse(valueOf(tree))
  if (parsed.success) return { ok: true, recipe: parsed.data }
  const problems = parsed.error.issues.slice(0, MOST_PROBLEMS).map((issue): TextProblem => {
    const { offset, path } = offsetOf(tree, issue)
    return { ...positionAt(text, offset), key: keyName(path), cause: { issue } }
  })
  return { ok: false, problems: problems.toSorted((a, b) => a.line - b.line) }
}

/** First and last offset of a line counted from 1, to select it. */
export function lineRange(text: string, line: number): { start: number; end: number } {
  let start = 0
  for (let at = 1; at < line; at++) {
    const next = text.indexOf('\n', start)
    if (next < 0) break
    start = next + 1
  }
  const end = text.indexOf('\n', start)
  return { start, end: end < 0 ? text.length : end }
}
