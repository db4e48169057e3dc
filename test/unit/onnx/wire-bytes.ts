// Hand-written protobuf for tests, independent of the product's writer.
import { Buffer } from 'node:buffer'

export function varint(value: bigint | number): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** A varint field. */
export function number(field: number, value: bigint | number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)])
}

/** A length-delimited field: text, bytes, or a nested message given as its fields. */
export function block(field: number, ...content: (Uint8Array | string)[]): Buffer {
  const body = Buffer.concat(content.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body])
}

/** A fixed32 or fixed64 field. */
export function fixed(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + (bytes.length === 4 ? 5 : 1)), bytes])
}

/** A model: IR version, graph fields, opset. */
export function modelBytes(graph: Uint8Array[], extra: Uint8Array[] = [], opset = 17): Buffer {
  return Buffer.concat([number(1, 8), block(7, ...graph), block(8, number(2, opset)), ...extra])
}
