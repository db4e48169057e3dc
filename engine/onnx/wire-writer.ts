// Writing the protobuf wire format. Large values are spliced in by reference, so weights are never copied into it.
import { encodeText } from './text.ts'

/** Values from this size on are referenced, not copied. */
const SPLICE_BYTES = 4096
/** Text up to here is encoded character by character. */
const SHORT_TEXT = 127

/** Bytes that go into the output at a place, by reference. `owner` lets the caller find where they ended up. */
export interface Splice<Reference> {
  /** Position in the writer's own buffer before which the value goes. */
  at: number
  length: number
  value: Uint8Array | Reference
}

/** One piece of the finished output. */
export interface Chunk<Reference> {
  /** Position in the output. */
  offset: number
  length: number
  value: Uint8Array | Reference
}

export class WireWriter<Reference> {
  private buffer = new Uint8Array(256)
  private used = 0
  private spliced = 0
  private readonly splices: Splice<Reference>[] = []
  /** A writer that the last nested message was written with, for the next one. */
  private spare: WireWriter<Reference> | undefined

  /** Total output bytes so far. */
  get length(): number {
    return this.used + this.spliced
  }

  private reserve(bytes: number): void {
    if (this.used + bytes <= this.buffer.length) return
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.used + bytes))
    larger.set(this.buffer.subarray(0, this.used))
    this.buffer = larger
  }

  private varint(value: number): void {
    this.reserve(10)
    let rest = value
    while (rest >= 0x80) {
      this.buffer[this.used++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.buffer[this.used++] = rest
  }

  private varint64(value: bigint): void {
    if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.varint(Number(value))
      return
    }
    this.reserve(10)
    let rest = BigInt.asUintN(64, value)
    while (rest >= 0x80n) {
      this.buffer[this.used++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.buffer[this.used++] = Number(rest)
  }

  private tag(field: number, wire: number): void {
    this.varint(field * 8 + wire)
  }

  int64(field: number, value: bigint): void {
    this.tag(field, 0)
    this.varint64(value)
  }

  /** A non-negative integer. */
  size(field: number, value: number): void {
    this.tag(field, 0)
    this.varint(value)
  }

  float32(field: number, value: number): void {
    this.tag(field, 5)
    this.reserve(4)
    new DataView(this.buffer.buffer).setFloat32(this.used, value, true)
    this.used += 4
  }

  bytes(field: number, value: Uint8Array): void {
    this.tag(field, 2)
    this.varint(value.length)
    this.append(value)
  }

  text(field: number, value: string): void {
    if (value.length > SHORT_TEXT || !this.shortText(field, value)) this.bytes(field, encodeText(value))
  }

  /** ASCII without the detour over the encoder, which costs more than names are long. False for other text. */
  private shortText(field: number, value: string): boolean {
    const start = this.used
    this.tag(field, 2)
    this.varint(value.length)
    this.reserve(value.length)
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index)
      if (code >= 0x80) {
        this.used = start
        return false
      }
      this.buffer[this.used++] = code
    }
    return true
  }

  /** Text that is left out when empty, which protobuf reads back as empty. */
  optionalText(field: number, value: string | undefined): void {
    if (value) this.text(field, value)
  }

  /** A bytes field whose value is supplied later by whoever writes the chunks. */
  reference(field: number, value: Reference, length: number): void {
    this.tag(field, 2)
    this.varint(length)
    this.splices.push({ at: this.used, length, value })
    this.spliced += length
  }

  /** Bytes as they are, without a tag. */
  append(value: Uint8Array | undefined): void {
    if (!value) return
    if (value.length >= SPLICE_BYTES) {
      this.splices.push({ at: this.used, length: value.length, value })
      this.spliced += value.length
      return
    }
    this.reserve(value.length)
    this.buffer.set(value, this.used)
    this.used += value.length
  }

  /** A repeated int64 field, not packed, as onnx.proto declares them. */
  int64s(field: number, values: readonly bigint[]): void {
    for (const value of values) this.int64(field, value)
  }

  /** A repeated float field, not packed, as onnx.proto declares them. */
  floats(field: number, values: readonly number[]): void {
    for (const value of values) this.float32(field, value)
  }

  /** A nested message written by `write`. */
  message(field: number, write: (inner: WireWriter<Reference>) => void): void {
    const inner = this.spare ?? new WireWriter<Reference>()
    this.spare = undefined
    write(inner)
    this.tag(field, 2)
    this.varint(inner.length)
    this.reserve(inner.used)
    for (const splice of inner.splices) this.splices.push({ ...splice, at: splice.at + this.used })
    this.buffer.set(inner.buffer.subarray(0, inner.used), this.used)
    this.used += inner.used
    this.spliced += inner.spliced
    inner.clear()
    this.spare = inner
  }

  private clear(): void {
    this.used = 0
    this.spliced = 0
    this.splices.length = 0
  }

  /** The output in order, as views and references. */
  chunks(): Chunk<Reference>[] {
    const chunks: Chunk<Reference>[] = []
    let offset = 0
    const push = (value: Uint8Array | Reference, length: number): void => {
      if (length > 0) chunks.push({ offset, length, value })
      offset += length
    }
    let at = 0
    for (const splice of this.splices) {
      push(this.buffer.subarray(at, splice.at), splice.at - at)
      push(splice.value, splice.length)
      at = splice.at
    }
    push(this.buffer.subarray(at, this.used), this.used - at)
    return chunks
  }
}
