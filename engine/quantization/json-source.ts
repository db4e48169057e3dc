// Reading configuration files written by people: JSON with comments, errors that name line, column and key.
import { createScanner, type Node, parseTree, type ParseError, printParseErrorCode } from 'jsonc-parser'
import { z } from 'zod'
import { AppError } from '../../contract/errors/index.ts'
import { nearestNames } from '../common/nearest.ts'

const MAX_CHARACTERS = 16 * 1024 * 1024
/** Deeper nesting than any configuration has; bounds the parser's recursion. */
const MAX_DEPTH = 64
/** Token kinds of jsonc-parser's scanner (SyntaxKind is a const enum, not importable as values here). */
const TOKEN = { openBrace: 1, closeBrace: 2, openBracket: 3, closeBracket: 4, end: 17 }

/** By the parser's own names of its errors. */
const SYNTAX_REASONS: Record<string, string> = {
  InvalidSymbol: 'unexpected word',
  InvalidNumberFormat: 'not a number',
  PropertyNameExpected: 'a key in double quotes is expected',
  ValueExpected: 'a value is expected',
  ColonExpected: 'a colon is expected',
  CommaExpected: 'a comma is expected',
  CloseBraceExpected: 'a closing brace } is expected',
  CloseBracketExpected: 'a closing bracket ] is expected',
  EndOfFileExpected: 'nothing may follow the value',
  UnexpectedEndOfComment: 'comment without end',
  UnexpectedEndOfString: 'string without closing quote',
  UnexpectedEndOfNumber: 'unfinished number',
  InvalidUnicode: 'invalid \\u escape',
  InvalidEscapeCharacter: 'invalid escape character',
  InvalidCharacter: 'invalid character',
}

interface Position {
  line: number
  column: number
}

/** Line and column, both from 1, of an offset. */
function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - lineStart + 1 }
}

function syntaxError(text: string, path: string, offset: number, reason: string): AppError {
  return new AppError('E_JSON_SYNTAX', { path, ...positionAt(text, offset), reason })
}

function checkDepth(text: string, path: string): void {
  const scanner = createScanner(text, true)
  let depth = 0
  for (let token: number = scanner.scan(); token !== TOKEN.end; token = scanner.scan()) {
    if (token === TOKEN.openBrace || token === TOKEN.openBracket) depth++
    if (token === TOKEN.closeBrace || token === TOKEN.closeBracket) depth--
    if (depth > MAX_DEPTH) {
      throw syntaxError(text, path, scanner.getTokenOffset(), `nested deeper than ${MAX_DEPTH} levels`)
    }
  }
}

/** Plain value of a syntax tree; a key given twice is refused, since one of the two would be lost. */
function valueOf(node: Node, text: string, path: string): unknown {
  if (node.type === 'array') return (node.children ?? []).map((child) => valueOf(child, text, path))
  if (node.type !== 'object') return node.value
  const members = new Map<string, unknown>()
  for (const property of node.children ?? []) {
    const [keyNode, valueNode] = property.children ?? []
    if (!keyNode || !valueNode) continue
    const key = String(keyNode.value)
    if (members.has(key)) throw syntaxError(text, path, keyNode.offset, `key "${key}" appears twice`)
    members.set(key, valueOf(valueNode, text, path))
  }
  return Object.fromEntries(members)
}

function parseSource(source: string, path: string): { tree: Node; text: string; value: unknown } {
  const text = source.replace(/^\uFEFF/, '')
  if (text.length > MAX_CHARACTERS) {
    throw syntaxError(text, path, 0, `longer than ${MAX_CHARACTERS} characters`)
  }
  checkDepth(text, path)
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { disallowComments: false, allowTrailingComma: false })
  const first = errors[0]
  if (first) {
    const name = printParseErrorCode(first.error)
    const reason = SYNTAX_REASONS[name] ?? name
    throw syntaxError(text, path, first.offset, reason)
  }
  if (!tree) throw syntaxError(text, path, 0, 'the file is empty')
  return { tree, text, value: valueOf(tree, text, path) }
}

function childAt(node: Node, key: PropertyKey): Node | undefined {
  if (node.type === 'array' && typeof key === 'number') return node.children?.[key]
  if (node.type !== 'object') return undefined
  return node.children?.find((property) => property.children?.[0]?.value === key)?.children?.[1]
}

/** The deepest node that exists on a path; a missing key is reported at the object that lacks it. */
function nodeAt(tree: Node, keys: readonly PropertyKey[]): Node {
  let node = tree
  for (const key of keys) node = childAt(node, key) ?? node
  return node
}

function keyNodeAt(tree: Node, keys: readonly PropertyKey[], name: string): Node {
  const owner = nodeAt(tree, keys)
  return owner.children?.find((property) => property.children?.[0]?.value === name)?.children?.[0] ?? owner
}

/** Unwraps defaults and optionals down to the schema that describes the value. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  const { def } = schema._zod as { def: { innerType?: z.core.$ZodType } }
  return def.innerType ? bare(def.innerType) : schema
}

/** The schema of the value at a path; undefined where the schema names none. */
function schemaAt(schema: z.core.$ZodType, keys: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let current = bare(schema)
  for (const key of keys) {
    const next =
      current instanceof z.ZodObject
        ? (current.shape as Record<PropertyKey, z.core.$ZodType>)[key]
        : current instanceof z.ZodArray
          ? current.element
          : undefined
    if (!next) return undefined
    current = bare(next)
  }
  return current
}

/** Keys that the schema knows at a path, for "did you mean". */
function knownKeys(schema: z.core.$ZodType, keys: readonly PropertyKey[]): string[] {
  const found = schemaAt(schema, keys)
  return found instanceof z.ZodObject ? Object.keys(found.shape) : []
}

/**
 * Where any key may name an object (a layer, say), a key with a plain value that the schema does not name is a misspelt
 * one: the issue of an unknown key instead of one about the value.
 */
function misspelt(
  schema: z.core.$ZodType,
  issue: z.core.$ZodIssue,
): { keys: string[]; path: PropertyKey[] } | undefined {
  const key = issue.path.at(-1)
  if (issue.code !== 'invalid_type' || issue.expected !== 'object' || typeof key !== 'string')
    return undefined
  const owner = issue.path.slice(0, -1)
  const found = schemaAt(schema, owner)
  const open = found instanceof z.ZodObject && found._zod.def.catchall !== undefined
  return open && !Object.hasOwn(found.shape, key) ? { keys: [key], path: owner } : undefined
}

function keyName(keys: readonly PropertyKey[]): string {
  const name = keys.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  return name.replace(/^\./, '') || '(whole file)'
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'record' ? 'object' : issue.expected
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ')
    case 'too_small':
      return issue.origin === 'string' ? 'a non-empty text' : `at least ${issue.minimum}`
    case 'too_big':
      return `at most ${issue.maximum}`
    case 'invalid_union':
      return issue.errors
        .map((branch) => branch[0])
        .filter((branch) => branch !== undefined)
        .map(expectation)
        .join(' or ')
    default:
      return issue.message
  }
}

function got(node: Node, present: boolean): string {
  if (!present) return 'is missing'
  if (node.type === 'object' || node.type === 'array') return `is an ${node.type}`
  return `is ${JSON.stringify(node.value)}`
}

function unknownKeyError(
  schema: z.core.$ZodType,
  tree: Node,
  text: string,
  path: string,
  issue: { keys: string[]; path: PropertyKey[] },
): AppError {
  const key = issue.keys[0] ?? ''
  const known = knownKeys(schema, issue.path)
  const suggestions = nearestNames(known, key).map((name) => `"${name}"`)
  const { offset } = keyNodeAt(tree, issue.path, key)
  return new AppError('E_JSON_UNKNOWN_KEY', { path, ...positionAt(text, offset), key, suggestions })
}

function valueError(tree: Node, text: string, path: string, issue: z.core.$ZodIssue): AppError {
  const node = nodeAt(tree, issue.path)
  const owner = issue.path.length === 0 ? tree : nodeAt(tree, issue.path.slice(0, -1))
  const last = issue.path.at(-1)
  const present = last === undefined || childAt(owner, last) !== undefined
  const { line, column } = positionAt(text, node.offset)
  const reason = `${got(node, present)} (line ${line}, column ${column})`
  return new AppError('E_JSON_VALUE', {
    path,
    key: keyName(issue.path),
    reason,
    expected: expectation(issue),
    line,
    column,
  })
}

/**
 * Parses JSON with comments and checks it against a schema.
 * @param path The file's name, for messages only.
 * @throws E_JSON_SYNTAX with line and column; E_JSON_UNKNOWN_KEY with the nearest known keys; E_JSON_VALUE with the
 * key's path and what was expected
 */
export function parseJson<T extends z.ZodType>(schema: T, source: string, path: string): z.output<T> {
  const { tree, text, value } = parseSource(source, path)
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { issues } = result.error
  // A misspelt key is also a missing one: name the spelling first.
  const unknown = issues.find((issue) => issue.code === 'unrecognized_keys')
  if (unknown) throw unknownKeyError(schema, tree, text, path, unknown)
  const stray = issues.flatMap((issue) => misspelt(schema, issue) ?? [])[0]
  if (stray) throw unknownKeyError(schema, tree, text, path, stray)
  throw valueError(tree, text, path, issues[0] as z.core.$ZodIssue)
}
