// Builds .om bytes of real tools' layouts field by field, from the published structures and independent of the writer.

export const bytesOf = (...parts: (Uint8Array | number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part)))

export const le = (value: number | bigint, size: 1 | 4 | 8): Buffer => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigInt64LE(BigInt(value))
  return buffer.subarray(0, size)
}

const varint = (value: number): Buffer => {
  const digits: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    digits.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(digits)
}

/** Protobuf fields: number -> varint, text or message. */
export const field = (number: number, value: number | string | Uint8Array): Buffer => {
  if (typeof value === 'number') return bytesOf(varint(number << 3), varint(value))
  const content = Buffer.from(value as string)
  return bytesOf(varint((number << 3) | 2), varint(content.length), content)
}

export interface Part {
  type: number
  content: Uint8Array
}

export interface HeaderOptions {
  version?: 1 | 2
  wide?: boolean
  modelType?: number
  models?: number
  encrypted?: number
  unknownModel?: number
  name?: string
}

const fixed = (text: string, size: number): Buffer => {
  const buffer = Buffer.alloc(size)
  buffer.write(text)
  return buffer
}

export function table(parts: readonly Part[], wide: boolean): Buffer {
  let offset = 0
  const rows = parts.map(({ type, content }) => {
    const row = wide
      ? bytesOf(le(type, 4), le(0, 4), le(offset, 8), le(content.length, 8))
      : bytesOf(le(type, 4), le(offset, 4), le(content.length, 4))
    offset += content.length
    return row
  })
  const head = wide ? bytesOf(le(parts.length, 4), le(0, 4)) : le(parts.length, 4)
  return bytesOf(head, ...rows, ...parts.map((part) => part.content))
}

/** A whole file; `units` are tables with their partitions. */
export function omFile(units: readonly Uint8Array[], options: HeaderOptions = {}): Buffer {
  const { version = 2, wide = false, modelType = 0, models = units.length, encrypted = 0 } = options
  const payload = bytesOf(...units)
  const common = bytesOf(
    fixed('IMOD', 4),
    le(256, 4),
    le(version === 1 ? 0x10000000 : 0x20000000, 4),
    Buffer.alloc(64),
    le(wide ? 0 : payload.length, 4),
    [encrypted, 0, modelType, 0],
    fixed(options.name ?? 'net', 32),
    le(0, 4),
    Buffer.alloc(32),
    le(version === 1 ? 0 : 2, 4),
  )
  const tail =
    version === 1
      ? bytesOf(fixed('1.11.z.0', 20), [1], Buffer.alloc(79))
      : bytesOf(
          le(models, 4),
          fixed('1.11.z.0', 20),
          [1, 0, 0, 0],
          le(wide ? payload.length : 0, 8),
          [0, options.unknownModel ?? 0],
          Buffer.alloc(62),
        )
  return bytesOf(common, tail, payload)
}

export const attribute = (key: string, value: number | string | string[] | number[]): Buffer => {
  const definition =
    typeof value === 'number'
      ? field(3, value)
      : typeof value === 'string'
        ? field(2, value)
        : field(
            1,
            bytesOf(...value.map((item) => (typeof item === 'string' ? field(2, item) : field(3, item)))),
          )
  return bytesOf(field(1, key), field(2, definition))
}

export interface DescOptions {
  name?: string
  type: number
  dims: number[]
  layout?: string
  size?: number
}

export const desc = ({ name = '', type, dims, layout = 'NHWC', size = 0 }: DescOptions): Buffer =>
  bytesOf(
    field(1, name),
    field(2, type),
    field(3, field(1, bytesOf(...dims.map(varint)))),
    field(4, layout),
    field(10, size),
  )

export const op = (name: string, type: string, fields: Buffer[] = []): Buffer =>
  field(6, bytesOf(field(1, name), field(2, type), ...fields))

export const modelDef = (name: string, ops: Buffer[], attributes: Buffer[] = []): Buffer =>
  bytesOf(
    field(1, name),
    field(7, bytesOf(field(1, 'graph'), ...ops)),
    ...attributes.map((entry) => field(11, entry)),
  )
