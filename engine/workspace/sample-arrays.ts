// Long number arrays (latency samples) leave a comparison before it is stored as JSON, and come back when it is read.
// They are kept as float64 blobs: a tenth of the JSON's parsing time and bit-exact.

/** Shorter arrays stay in the JSON. */
const MINIMUM_LENGTH = 64
const MARK = '$samples'

export interface SampleArray {
  /** JSON pointer (RFC 6901). */
  pointer: string
  values: number[]
}

const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1')

function isLongNumberArray(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length >= MINIMUM_LENGTH &&
    value.every((entry) => typeof entry === 'number' && Number.isFinite(entry))
  )
}

/** Splits plain data into JSON-able data with marks and the arrays taken out. The input is left as it is. */
export function splitSamples(value: unknown): { data: unknown; arrays: SampleArray[] } {
  const arrays: SampleArray[] = []
  const visit = (part: unknown, pointer: string): unknown => {
    if (isLongNumberArray(part)) {
      arrays.push({ pointer, values: part })
      return { [MARK]: part.length }
    }
    if (Array.isArray(part)) return part.map((entry, index) => visit(entry, `${pointer}/${index}`))
    if (part === null || typeof part !== 'object') return part
    return Object.fromEntries(
      Object.entries(part).map(([key, entry]) => [key, visit(entry, `${pointer}/${escapeToken(key)}`)]),
    )
  }
  return { data: visit(value, ''), arrays }
}

/** The inverse of `splitSamples`. A mark without its array becomes an empty array. */
export function joinSamples(data: unknown, arrays: readonly SampleArray[]): unknown {
  const byPointer = new Map(arrays.map((array) => [array.pointer, array.values]))
  const visit = (part: unknown, pointer: string): unknown => {
    if (Array.isArray(part)) return part.map((entry, index) => visit(entry, `${pointer}/${index}`))
    if (part === null || typeof part !== 'object') return part
    if (MARK in part) return byPointer.get(pointer) ?? []
    return Object.fromEntries(
      Object.entries(part).map(([key, entry]) => [key, visit(entry, `${pointer}/${escapeToken(key)}`)]),
    )
  }
  return visit(data, '')
}

export function toBlob(values: readonly number[]): Buffer {
  const blob = Buffer.allocUnsafe(values.length * 8)
  values.forEach((value, index) => blob.writeDoubleLE(value, index * 8))
  return blob
}

export function fromBlob(blob: Buffer): number[] {
  return Array.from({ length: Math.floor(blob.length / 8) }, (_, index) => blob.readDoubleLE(index * 8))
}
