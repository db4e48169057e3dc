// Bounded reading of untrusted .om bytes: little-endian fields and protobuf messages. Only E_OM_INVALID is thrown.
import { AppError } from '../../contract/errors/index.ts'

export interface Origin {
  path: string
  /** Position of the first byte in the file, for messages. */
  offset: number
}

export function omInvalid(origin: Origin, reason: string, expected = 'a complete .om file'): AppError {
  return new AppError('E_OM_INVALID', { ...origin, reason, expected })
}

const decoder = new TextDecoder('utf-8')

/** Reads fields one after the other; running past the end is an error. */
export class ByteReader {
  readonly origin: Origin
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private at = 0

  constructor(bytes: Uint8Array, origin: Origin) {
    this.bytes = bytes
    this.origin = origin
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  fail(reason: string): AppError {
    return omInvalid({ path: this.origin.path, offset: this.origin.offset + this.at }, reason)
  }

  private advance(count: number): number {
    if (count > this.left) throw this.fail(`${count} bytes are needed, ${this.left} are left`)
    const at = this.at
    this.at += count
    return at
  }

  u8(): number {
    return this.bytes[this.advance(1)]!
  }

  u16(): number {
    return this.view.getUint16(this.advance(2), true)
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true)
  }

  i32(): number {
    return this.view.getInt32(this.advance(4), true)
  }

  /** A size: must be a number that a double holds exactly. */
  u64(): number {
    const value = this.view.getBigUint64(this.advance(8), true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.fail(`the size ${value} is impossible`)
    return Number(value)
  }

  /** A dimension. */
  i64(): number {
    const value = this.view.getBigInt64(this.advance(8), true)
    if (value < -1n || value > BigInt(Number.MAX_SAFE_INTEGER))
      throw this.fail(`the dimension ${value} is impossible`)
    return Number(value)
  }

  take(count: number): Uint8Array {
    const at = this.advance(count)
    return this.bytes.subarray(at, at + count)
  }

  text(count: number): string {
    return decoder.decode(this.take(count))
  }

  /** Text in a fixed field, up to the first zero. */
  fixedText(count: number): string {
    const bytes = this.take(count)
    const end = bytes.indexOf(0)
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))
  }

  /** A reader on the next `count` bytes. */
  part(count: number): ByteReader {
    const offset = this.origin.offset + this.at
    return new ByteReader(this.take(count), { path: this.origin.path, offset })
  }
}

/** One protobuf field: its value is a number (varint, fixed) or bytes. */
export interface ProtoField {
  number: number
  varint: bigint
  /** Present for length-delimited fields. */
  bytes: Uint8Array | null
}

/** Fields of a protobuf message in order. @throws E_OM_INVALID */
export function* protoFields(bytes: Uint8Array, origin: Origin): Generator<ProtoField> {
  const state = { at: 0 }
  while (state.at < bytes.length) {
    const key = varint(bytes, state, origin)
    const number = Number(key >> 3n)
    const wire = Number(key & 7n)
    if (number === 0) throw protoError(origin, state.at, 'a protobuf field has number 0')
    if (wire === 0) yield { number, varint: varint(bytes, state, origin), bytes: null }
    else if (wire === 2) {
      const length = Number(varint(bytes, state, origin))
      yield { number, varint: 0n, bytes: slice(bytes, state, length, origin) }
    } else if (wire === 1 || wire === 5) {
      const raw = slice(bytes, state, wire === 1 ? 8 : 4, origin)
      const view = new DataView(raw.buffer, raw.byteOffset, raw.length)
      yield {
        number,
        varint: wire === 1 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true)),
        bytes: null,
      }
    } else throw protoError(origin, state.at, `protobuf wire type ${wire}`)
  }
}

function protoError(origin: Origin, at: number, reason: string): AppError {
  return omInvalid({ path: origin.path, offset: origin.offset + at }, reason)
}

function slice(bytes: Uint8Array, state: { at: number }, length: number, origin: Origin): Uint8Array {
  if (length > bytes.length - state.at)
    throw protoError(origin, state.at, 'a protobuf field runs past its message')
  const part = bytes.subarray(state.at, state.at + length)
  state.at += length
  return part
}

function varint(bytes: Uint8Array, state: { at: number }, origin: Origin): bigint {
  let value = 0n
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[state.at]
    if (byte === undefined) throw protoError(origin, state.at, 'a protobuf number is cut off')
    state.at++
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return BigInt.asUintN(64, value)
  }
  throw protoError(origin, state.at, 'a protobuf number is longer than 10 bytes')
}

/** Values of a repeated integer field, packed or not, as signed numbers. */
export function protoIntegers(field: ProtoField, origin: Origin): number[] {
  if (!field.bytes) return [signed(field.varint)]
  const values: number[] = []
  const state = { at: 0 }
  while (state.at < field.bytes.length) values.push(signed(varint(field.bytes, state, origin)))
  return values
}

export function signed(value: bigint): number {
  return Number(BigInt.asIntN(64, value))
}

export function protoText(field: ProtoField): string {
  return field.bytes ? decoder.decode(field.bytes) : ''
}
