// Protobuf strings <-> JavaScript strings, byte-exact even when an exporter wrote invalid UTF-8.

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** Lone surrogates U+DC80..U+DCFF stand for the raw bytes 0x80..0xFF, as Python's "surrogateescape" (PEP 383) does. */
const ESCAPE = 0xdc00

function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : 4
  if (first >= 0x80 && (first < 0xc2 || first > 0xf4)) return 0
  try {
    decoder.decode(bytes.subarray(at, at + length))
    return length
  } catch {
    return 0
  }
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at)
    if (length === 0) text += String.fromCharCode(ESCAPE + bytes[at]!)
    else text += decoder.decode(bytes.subarray(at, at + length))
    at += Math.max(1, length)
  }
  return text
}

/** Bytes of a protobuf string as text. Invalid UTF-8 bytes become lone surrogates that {@link encodeText} turns back. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    return decodeEscaped(bytes)
  }
}

/** Inverse of {@link decodeText}. */
export function encodeText(text: string): Uint8Array {
  if (text.isWellFormed()) return encoder.encode(text)
  const parts: number[] = []
  for (const character of text) {
    const code = character.codePointAt(0)!
    if (code >= 0xdc80 && code <= 0xdcff) parts.push(code - ESCAPE)
    else parts.push(...encoder.encode(character))
  }
  return Uint8Array.from(parts)
}
