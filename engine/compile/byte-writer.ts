// Little-endian numbers into a growing buffer.

export class ByteWriter {
  #buffer = Buffer.alloc(256)
  #used = 0

  #reserve(bytes: number): number {
    const at = this.#used
    this.#used += bytes
    if (this.#used > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#used))
      this.#buffer.copy(larger)
      this.#buffer = larger
    }
    return at
  }

  u8(value: number): void {
    const at = this.#reserve(1)
    this.#buffer.writeUInt8(value, at)
  }

  u32(value: number): void {
    const at = this.#reserve(4)
    this.#buffer.writeUInt32LE(value, at)
  }

  i32(value: number): void {
    const at = this.#reserve(4)
    this.#buffer.writeInt32LE(value, at)
  }

  u64(value: number): void {
    const at = this.#reserve(8)
    this.#buffer.writeBigUInt64LE(BigInt(value), at)
  }

  i64(value: number): void {
    const at = this.#reserve(8)
    this.#buffer.writeBigInt64LE(BigInt(value), at)
  }

  bytes(value: Uint8Array): void {
    const at = this.#reserve(value.length)
    this.#buffer.set(value, at)
  }

  /** Text in a fixed field, cut and padded with zeros. */
  fixedText(value: string, length: number): void {
    const field = Buffer.alloc(length)
    field.write(value.slice(0, length - 1), 'utf8')
    this.bytes(field)
  }

  take(): Uint8Array {
    return new Uint8Array(this.#buffer.subarray(0, this.#used))
  }
}
