// Reading the protobuf wire format (https://protobuf.dev/programming-guides/encoding) field by field from a ByteSource.
import { AppError } from '../../contract/errors/index.ts'
import type { ByteSource } from './source.ts'
import { decodeText } from './text.ts'

export const Wire = { VARINT: 0, FIXED64: 1, LENGTH: 2, GROUP_START: 3, GROUP_END: 4, FIXED32: 5 } as const

/** Nested unknown groups are skipped down to this depth; protobuf itself stops at 100. */
const MAX_GROUP_DEPTH = 64

/** What one model may cost: every node, attribute and string counts, so that a small hostile file cannot fill the memory. */
const MAX_ITEMS = 50_000_000

/** Bytes that are kept verbatim or decoded into memory because they cannot stay in the file. */
const MAX_RESIDENT_BYTES = 1024 * 1024 * 1024

const scratch = new DataView(new ArrayBuffer(8))

export class WireReader {
  readonly source: ByteSource
  /** Absolute position of the next byte. */
  position = 0
  /** Number and wire type of the field found by {@link next}. */
  field = 0
  wire = 0
  private end: number
  private depth = 0
  private fieldStart = 0
  private window: Uint8Array = new Uint8Array(0)
  private windowStart = 0
  private items = 0
  private resident = 0
  private low = 0
  private high = 0

  constructor(source: ByteSource) {
    this.source = source
    this.end = source.size
  }

  /** E_ONNX_INVALID at the current field. */
  invalid(reason: string): AppError {
    return new AppError('E_ONNX_INVALID', { path: this.source.path, offset: this.fieldStart, reason })
  }

  /** Counts parsed items against the limit. */
  count(items: number): void {
    this.items += items
    if (this.items > MAX_ITEMS) throw this.limit('number of items in the model', this.items, MAX_ITEMS)
  }

  /** Counts bytes that stay in memory against the limit. */
  hold(bytes: number): void {
    this.resident += bytes
    if (this.resident > MAX_RESIDENT_BYTES) {
      throw this.limit('size of data that has to be held in memory', this.resident, MAX_RESIDENT_BYTES)
    }
  }

  limit(what: string, actual: number, limit: number): AppError {
    return new AppError('E_ONNX_LIMIT', { path: this.source.path, what, actual, limit })
  }

  private byte(): number {
    if (this.position >= this.end) throw this.overrun(this.position + 1)
    const index = this.position - this.windowStart
    if (index < 0 || index >= this.window.length) {
      this.window = this.source.window(this.position)
      this.windowStart = this.position
      return this.window[this.position++ - this.windowStart]!
    }
    this.position++
    return this.window[index]!
  }

  private overrun(needed: number): AppError {
    if (this.depth === 0) {
      return new AppError('E_ONNX_TRUNCATED', {
        path: this.source.path,
        actual: this.source.size,
        expected: needed,
      })
    }
    return this.invalid(`field ${this.field} runs past the end of its message`)
  }

  /** Base 128 varint into `low` and `high`, 32 bits each. */
  private varint(): void {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte()
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        this.low = low >>> 0
        this.high = high >>> 0
        return
      }
    }
    throw this.invalid('a number is longer than 10 bytes')
  }

  /** Advances to the next field of the current message; false at its end. */
  next(): boolean {
    if (this.position >= this.end) return false
    this.fieldStart = this.position
    this.varint()
    this.field = this.high * 0x20000000 + (this.low >>> 3)
    this.wire = this.low & 7
    if (this.field === 0 || this.field > 0x1fffffff) throw this.invalid(`field number ${this.field}`)
    return true
  }

  private expect(wire: number): void {
    if (this.wire !== wire)
      throw this.invalid(`field ${this.field} has wire type ${this.wire}, expected ${wire}`)
  }

  /** Length prefix of a LENGTH field, checked against the enclosing message. */
  private length(): number {
    this.varint()
    const length = this.high * 0x100000000 + this.low
    if (length > this.end - this.position) throw this.overrun(this.position + length)
    return length
  }

  /** Starts a nested message; returns the end to give back to {@link leave}. */
  enter(): number {
    this.expect(Wire.LENGTH)
    const length = this.length()
    const outer = this.end
    this.end = this.position + length
    this.depth++
    this.count(1)
    return outer
  }

  /** Ends a nested message. */
  leave(outer: number): void {
    this.position = this.end
    this.end = outer
    this.depth--
  }

  /** End of the current message, for reading it twice. */
  get messageEnd(): number {
    return this.end
  }

  int64(): bigint {
    this.expect(Wire.VARINT)
    this.varint()
    return this.signed()
  }

  private signed(): bigint {
    if (this.high === 0) return BigInt(this.low)
    return BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low))
  }

  int32(): number {
    this.expect(Wire.VARINT)
    this.varint()
    return this.low | 0
  }

  /** A non-negative count or size that a double holds exactly. */
  size(): number {
    const value = this.int64()
    if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER))
      throw this.invalid(`field ${this.field} is ${value}`)
    return Number(value)
  }

  float32(): number {
    this.expect(Wire.FIXED32)
    for (let index = 0; index < 4; index++) scratch.setUint8(index, this.byte())
    return scratch.getFloat32(0, true)
  }

  /** Contents of a bytes or string field. */
  bytes(): Uint8Array {
    this.expect(Wire.LENGTH)
    const length = this.length()
    this.hold(length)
    this.count(1)
    const inWindow = this.position - this.windowStart
    const cached = inWindow >= 0 && inWindow + length <= this.window.length
    const bytes = cached
      ? this.window.slice(inWindow, inWindow + length)
      : this.source.copy(this.position, length)
    this.position += length
    return bytes
  }

  text(): string {
    return decodeText(this.bytes())
  }

  /** Range of a LENGTH field, which is skipped without being read. */
  range(): { position: number; length: number } {
    this.expect(Wire.LENGTH)
    const length = this.length()
    const position = this.position
    this.position += length
    return { position, length }
  }

  /** Range of one unpacked fixed32 or fixed64 value, which is skipped without being read. */
  fixed(width: 4 | 8): { position: number; length: number } {
    this.expect(width === 4 ? Wire.FIXED32 : Wire.FIXED64)
    const position = this.position
    this.advance(width)
    this.count(1)
    return { position, length: width }
  }

  /** Calls `each` for every element of a repeated varint field, packed or not. */
  varints(each: (low: number, high: number) => void): void {
    if (this.wire === Wire.VARINT) {
      this.varint()
      this.count(1)
      each(this.low, this.high)
      return
    }
    const outer = this.enter()
    while (this.position < this.end) {
      this.varint()
      this.count(1)
      each(this.low, this.high)
    }
    this.leave(outer)
  }

  /** Signed 64-bit elements of a repeated field, packed or not. */
  int64s(into: bigint[]): void {
    this.varints(() => into.push(this.signed()))
  }

  /** Elements of a repeated float field, packed or not. */
  floats(into: number[]): void {
    if (this.wire === Wire.FIXED32) {
      this.count(1)
      into.push(this.float32())
      return
    }
    const bytes = this.bytes()
    if (bytes.length % 4 !== 0)
      throw this.invalid(`field ${this.field}: ${bytes.length} bytes are not whole floats`)
    this.count(bytes.length / 4)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < bytes.length; at += 4) into.push(view.getFloat32(at, true))
  }

  /** Skips the value of the current field. */
  skip(depth = 0): void {
    if (this.wire === Wire.VARINT) this.varint()
    else if (this.wire === Wire.FIXED64) this.advance(8)
    else if (this.wire === Wire.LENGTH) this.range()
    else if (this.wire === Wire.FIXED32) this.advance(4)
    else if (this.wire === Wire.GROUP_START) this.skipGroup(depth)
    else throw this.invalid(`wire type ${this.wire}`)
  }

  private advance(bytes: number): void {
    if (bytes > this.end - this.position) throw this.overrun(this.position + bytes)
    this.position += bytes
  }

  private skipGroup(depth: number): void {
    if (depth >= MAX_GROUP_DEPTH) throw this.limit('depth of groups', depth + 1, MAX_GROUP_DEPTH)
    const start = this.fieldStart
    const group = this.field
    for (;;) {
      if (!this.next()) throw this.invalid(`group ${group} is not closed`)
      if (this.wire === Wire.GROUP_END) break
      this.skip(depth + 1)
    }
    if (this.field !== group) throw this.invalid(`group ${group} is closed as ${this.field}`)
    this.fieldStart = start
  }

  /** The current field, tag included, as it stands in the file. */
  verbatim(): Uint8Array {
    const start = this.fieldStart
    this.skip()
    this.count(1)
    this.hold(this.position - start)
    return this.source.copy(start, this.position - start).slice()
  }
}

/** Joins verbatim fields; undefined when there are none. */
export function joinFields(fields: Uint8Array[]): Uint8Array | undefined {
  if (fields.length === 0) return undefined
  const joined = new Uint8Array(fields.reduce((sum, field) => sum + field.length, 0))
  let at = 0
  for (const field of fields) {
    joined.set(field, at)
    at += field.length
  }
  return joined
}
