// Protobuf text format, as far as AMCT's record and configuration files use it: nested messages, repeated scalars,
// comments.
import { AppError } from '../../contract/errors/index.ts'

export type TextScalar = string | number | boolean
/** Field values in the order written; a repeated field has several. Words (enum values, true, false) are strings. */
export interface TextMessage {
  fields: Map<string, (TextScalar | TextMessage)[]>
  /** Line, from 1, of each field's name, in step with the values. */
  lines: Map<string, number[]>
  /** Line on which the message begins. */
  line: number
}

const MAX_DEPTH = 32
/** A record of the largest models has some hundred thousand scales of 30 characters. */
const MAX_CHARACTERS = 64 * 1024 * 1024

/** Errors of the files that are written in this format. */
export type TextSyntaxCode = 'E_RECORD_SYNTAX' | 'E_AMCT_CFG_SYNTAX'

interface Token {
  kind: 'word' | 'number' | 'string' | 'symbol' | 'end'
  text: string
  offset: number
  line: number
}

const TOKEN_PATTERN =
  /(?:[\s]|#[^\n]*)*(?:([A-Za-z_][\w.]*)|([-+]?(?:\.?\d(?:[eE][-+]|[\w.])*|inf(?:inity)?|nan)\b)|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|([{}<>:;,[\]])|$)/y

class Reader {
  readonly #text: string
  readonly #path: string
  readonly #code: TextSyntaxCode
  #offset = 0
  #line = 1
  /** Up to where the lines are counted. */
  #counted = 0
  token: Token = { kind: 'end', text: '', offset: 0, line: 1 }

  constructor(text: string, path: string, code: TextSyntaxCode) {
    this.#text = text
    this.#path = path
    this.#code = code
    if (text.length > MAX_CHARACTERS) this.fail(`longer than ${MAX_CHARACTERS} characters`, 0)
    this.next()
  }

  fail(reason: string, offset = this.token.offset): never {
    const line = this.token.offset === offset ? this.token.line : this.#lineOf(offset)
    const column = offset - this.#text.lastIndexOf('\n', offset - 1)
    throw new AppError(this.#code, { path: this.#path, line, column, reason })
  }

  /** Offsets are asked for in rising order. */
  #lineOf(offset: number): number {
    for (;;) {
      const next = this.#text.indexOf('\n', this.#counted)
      if (next < 0 || next >= offset) return this.#line
      this.#line++
      this.#counted = next + 1
    }
  }

  next(): void {
    TOKEN_PATTERN.lastIndex = this.#offset
    const match = TOKEN_PATTERN.exec(this.#text)
    if (!match) {
      const blank = /(?:\s|#[^\n]*)*/y
      blank.lastIndex = this.#offset
      blank.exec(this.#text)
      this.fail(`unexpected "${this.#text.charAt(blank.lastIndex)}"`, blank.lastIndex)
    }
    const [whole, word, number, string, symbol] = match
    const text = word ?? number ?? string ?? symbol ?? ''
    const kind = word ? 'word' : number ? 'number' : string ? 'string' : symbol ? 'symbol' : 'end'
    const offset = match.index + whole.length - text.length
    this.token = { kind, text, offset, line: this.#lineOf(offset) }
    this.#offset = match.index + whole.length
  }

  /** Consumes a field name. */
  takeName(): string {
    const { kind, text } = this.token
    if (kind !== 'word') this.fail('a field name is expected')
    this.next()
    return text
  }

  opensMessage(): boolean {
    return this.token.kind === 'symbol' && '{<'.includes(this.token.text)
  }

  /** Consumes a symbol if it is the next token. */
  take(symbol: string): boolean {
    if (this.token.kind !== 'symbol' || this.token.text !== symbol) return false
    this.next()
    return true
  }
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\', '"': '"', "'": "'" }

/** Octal escapes are bytes of UTF-8 in this format. */
function unquote(quoted: string): string {
  const bytes: number[] = []
  const body = quoted.slice(1, -1)
  for (const part of body.matchAll(/\\([0-7]{1,3})|\\(.)|([^\\]+)/gs)) {
    const [, octal, escaped, plain] = part
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 0xff)
    else bytes.push(...new TextEncoder().encode(plain ?? ESCAPES[escaped ?? ''] ?? escaped ?? ''))
  }
  return new TextDecoder().decode(Uint8Array.from(bytes))
}

function numberOf(reader: Reader, text: string): number {
  const plain = text.replace(/(?<=[\d.])[fF]$/, '')
  const value = /inf/i.test(plain) ? (plain.startsWith('-') ? -Infinity : Infinity) : Number(plain)
  if (Number.isNaN(value) && !/nan/i.test(plain)) reader.fail(`"${text}" is not a number`)
  return value
}

function parseScalar(reader: Reader): TextScalar {
  const { kind, text } = reader.token
  if (kind === 'string') {
    reader.next()
    // Adjacent strings are one.
    return reader.token.kind === 'string' ? unquote(text) + String(parseScalar(reader)) : unquote(text)
  }
  if (kind === 'number') {
    const value = numberOf(reader, text)
    reader.next()
    return value
  }
  if (kind !== 'word')
    reader.fail(kind === 'end' ? 'the file ends where a value is expected' : 'a value is expected')
  reader.next()
  if (/^(inf|infinity|nan)$/i.test(text)) return /nan/i.test(text) ? Number.NaN : Infinity
  return text
}

function parseValue(reader: Reader, depth: number): TextScalar | TextMessage {
  const { line } = reader.token
  if (reader.take('{')) return parseMessage(reader, '}', depth + 1, line)
  if (reader.take('<')) return parseMessage(reader, '>', depth + 1, line)
  return parseScalar(reader)
}

function parseField(reader: Reader, message: TextMessage, depth: number): void {
  const { line } = reader.token
  const name = reader.takeName()
  const colon = reader.take(':')
  if (!colon && !reader.opensMessage()) reader.fail(`a colon is expected after ${name}`)
  const values = message.fields.get(name) ?? []
  message.fields.set(name, values)
  if (!reader.take('[')) {
    values.push(parseValue(reader, depth))
  } else if (!reader.take(']')) {
    do values.push(parseValue(reader, depth))
    while (reader.take(','))
    if (!reader.take(']')) reader.fail('a closing bracket ] is expected')
  }
  const lines = message.lines.get(name) ?? []
  message.lines.set(name, lines)
  while (lines.length < values.length) lines.push(line)
  if (!reader.take(',')) reader.take(';')
}

function parseMessage(reader: Reader, end: '}' | '>' | undefined, depth: number, line: number): TextMessage {
  if (depth > MAX_DEPTH) reader.fail(`nested deeper than ${MAX_DEPTH} levels`)
  const message: TextMessage = { fields: new Map(), lines: new Map(), line }
  for (;;) {
    if (reader.token.kind === 'end') {
      if (end !== undefined) reader.fail(`a closing ${end} is expected`)
      return message
    }
    if (end !== undefined && reader.take(end)) return message
    parseField(reader, message, depth)
  }
}

/**
 * Parses protobuf text without a schema.
 * @param code The error of this kind of file.
 * @throws `code` with line and column
 */
export function parseProtobufText(
  text: string,
  path: string,
  code: TextSyntaxCode = 'E_RECORD_SYNTAX',
): TextMessage {
  return parseMessage(new Reader(text.replace(/^\uFEFF/, ''), path, code), undefined, 0, 1)
}

/** A float32 in the fewest digits that read back as the same float32, as protobuf prints it. */
export function float32Text(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)))
    if (Math.fround(Number(text)) === Math.fround(value)) return text
  }
  return String(Number(value.toPrecision(9)))
}

/** A string in double quotes; bytes outside printable ASCII as octal escapes, as protobuf prints them. */
export function quoteText(text: string): string {
  const escaped = Array.from(new TextEncoder().encode(text), (byte) => {
    const character = String.fromCharCode(byte)
    if (character === '"' || character === '\\') return `\\${character}`
    return byte >= 0x20 && byte < 0x7f ? character : `\\${byte.toString(8).padStart(3, '0')}`
  })
  return `"${escaped.join('')}"`
}
