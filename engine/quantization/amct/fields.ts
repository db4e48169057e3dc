// Reading protobuf text against a message definition: types, ranges, unknown and repeated fields, each refused with line
// and field.
import { AppError } from '../../../contract/errors/index.ts'
import { nearestNames } from '../../common/nearest.ts'
import type { TextMessage, TextScalar } from '../protobuf-text.ts'

const SHOWN = 6

function describe(value: TextScalar | TextMessage): string {
  return typeof value === 'object' ? 'a message' : JSON.stringify(value)
}

/** One message; fields are taken by name, and `finish` refuses those that nobody took. */
export class MessageReader {
  readonly #message: TextMessage
  readonly #name: string
  readonly #path: string
  readonly #taken = new Set<string>()

  /** @param name What the message is called in AMCT's definition. */
  constructor(message: TextMessage, name: string, path: string) {
    this.#message = message
    this.#name = name
    this.#path = path
  }

  get line(): number {
    return this.#message.line
  }

  has(field: string): boolean {
    return this.#message.fields.has(field)
  }

  lineOf(field: string, position = 0): number {
    return this.#message.lines.get(field)?.[position] ?? this.#message.line
  }

  #refuse(field: string, position: number, value: string, expected: string): never {
    const line = this.lineOf(field, position)
    throw new AppError('E_AMCT_CFG_VALUE', {
      path: this.#path,
      line,
      field: `${this.#name}.${field}`,
      value,
      expected,
    })
  }

  #values(field: string): (TextScalar | TextMessage)[] {
    this.#taken.add(field)
    return this.#message.fields.get(field) ?? []
  }

  /** The value of a field that may be given once. */
  #single(field: string): TextScalar | TextMessage | undefined {
    const values = this.#values(field)
    if (values.length > 1) this.#refuse(field, 1, 'given twice', 'one value')
    return values[0]
  }

  #required<T>(value: T | undefined, field: string): T {
    return value ?? this.#refuse(field, 0, 'missing', 'a value')
  }

  boolean(field: string): boolean | undefined {
    const value = this.#single(field)
    if (value === undefined) return undefined
    // Words of protobuf's text format.
    if (['true', 'True', 't', '1'].includes(String(value))) return true
    if (['false', 'False', 'f', '0'].includes(String(value))) return false
    return this.#refuse(field, 0, describe(value), 'true or false')
  }

  number(field: string, fits: (value: number) => boolean, expected: string): number | undefined {
    const value = this.#single(field)
    if (value === undefined) return undefined
    if (typeof value === 'number' && fits(value)) return value
    return this.#refuse(field, 0, describe(value), expected)
  }

  /** A value that is refused whatever it is worth: its message says why. */
  unsupported(field: string, what: string, reason: string): void {
    if (!this.has(field)) return
    throw new AppError('E_AMCT_UNSUPPORTED', { path: this.#path, line: this.lineOf(field), what, reason })
  }

  /** An enumeration value, written as its name or its number. */
  word(field: string, known: Readonly<Record<string, number>>): string | undefined {
    const value = this.#single(field)
    if (value === undefined) return undefined
    const name = Object.keys(known).find((word) => word === value || known[word] === value)
    return name ?? this.#refuse(field, 0, describe(value), Object.keys(known).join(' or '))
  }

  text(field: string): string {
    const value = this.#required(this.#single(field), field)
    if (typeof value === 'string' && value !== '') return value
    return this.#refuse(field, 0, describe(value), 'a name in quotes')
  }

  /** The names of a repeated field; one given twice is refused, as AMCT does. */
  texts(field: string): string[] {
    const seen = new Set<string>()
    this.#values(field).forEach((value, position) => {
      if (typeof value !== 'string' || value === '') {
        this.#refuse(field, position, describe(value), 'a name in quotes')
      }
      if (seen.has(value)) this.#refuse(field, position, `"${value}" again`, 'every name once')
      seen.add(value)
    })
    return [...seen]
  }

  message(field: string, name: string): MessageReader | undefined {
    const value = this.#single(field)
    if (value === undefined) return undefined
    if (typeof value !== 'object') return this.#refuse(field, 0, describe(value), `a message ${name} { ... }`)
    return new MessageReader(value, name, this.#path)
  }

  requiredMessage(field: string, name: string): MessageReader {
    return this.#required(this.message(field, name), field)
  }

  messages(field: string, name: string): MessageReader[] {
    return this.#values(field).map((value, position) => {
      if (typeof value !== 'object')
        return this.#refuse(field, position, describe(value), `a message ${name} { ... }`)
      return new MessageReader(value, name, this.#path)
    })
  }

  /** Passes over a field. @returns whether it is there */
  ignore(field: string): boolean {
    return this.#values(field).length > 0
  }

  /** At most one of several fields may be given (a oneof). */
  oneOf(fields: readonly string[]): void {
    const given = fields.filter((field) => this.has(field))
    const [, second] = given
    if (second !== undefined)
      this.#refuse(second, 0, `given besides ${given[0]}`, `one of ${fields.join(', ')}`)
  }

  /** A name that a list may hold once. */
  refuseAgain(field: string, name: string): never {
    return this.#refuse(field, 0, `"${name}" again`, 'every name once')
  }

  /** @throws E_AMCT_CFG_FIELD for the first field that the definition does not have */
  finish(): void {
    for (const field of this.#message.fields.keys()) {
      if (this.#taken.has(field)) continue
      throw new AppError('E_AMCT_CFG_FIELD', {
        path: this.#path,
        line: this.lineOf(field),
        message: this.#name,
        field,
        known: nearestNames([...this.#taken], field, SHOWN),
      })
    }
  }
}
