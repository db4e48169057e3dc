// The header of numpy's .npy files (format versions 1 to 3), enough to check shape and type.

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
const MAX_HEADER_BYTES = 65_536

export interface NpyHeader {
  /** Type code without byte order, such as f4. */
  type: string
  dims: number[]
  /** Where the values start. */
  dataOffset: number
}

/** Parses the start of a .npy file. @returns the reason, as text, when it cannot be used. */
export function parseNpyHeader(bytes: Uint8Array): NpyHeader | string {
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) return 'it is not a .npy file'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const wide = (bytes[6] ?? 0) >= 2
  const start = wide ? 12 : 10
  if (bytes.byteLength < start) return 'its header is cut off'
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true)
  if (length > MAX_HEADER_BYTES || start + length > bytes.byteLength) return 'its header is cut off'
  const header = new TextDecoder('latin1').decode(bytes.subarray(start, start + length))
  const type = /'descr'\s*:\s*'([<>=|])(\w+)'/.exec(header)
  const shape = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(header)
  if (!type || !shape) return 'its header is not understood'
  if (type[1] === '>') return 'it is big-endian'
  const dims = (shape[1] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => Number.parseInt(part, 10))
  if (/'fortran_order'\s*:\s*True/.test(header) && dims.length > 1) return 'it is in Fortran order'
  return { type: type[2] ?? '', dims, dataOffset: start + length }
}
