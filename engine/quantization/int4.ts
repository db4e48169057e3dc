// INT4 weights in pairs: two integers of neighbouring input channels in one byte (AMCT, PackInt4WeightPass).

function strides(dims: readonly number[], axis: number): { outer: number; length: number; inner: number } {
  const product = (values: readonly number[]): number => values.reduce((total, dim) => total * dim, 1)
  return {
    outer: product(dims.slice(0, axis)),
    length: dims[axis] ?? 1,
    inner: product(dims.slice(axis + 1)),
  }
}

/**
 * Packs integers in [-8, 7], one per byte, into half as many bytes: the first of each pair along `axis` in the low nibble.
 * @param dims Shape of the integers; the dimension `axis` is even.
 */
export function packInt4(integers: Uint8Array, dims: readonly number[], axis: number): Uint8Array {
  const { outer, length, inner } = strides(dims, axis)
  const packed = new Uint8Array((outer * length * inner) / 2)
  let index = 0
  for (let pair = 0; pair < (outer * length) / 2; pair++) {
    const start = 2 * pair * inner
    for (let offset = start; offset < start + inner; offset++) {
      packed[index++] = ((integers[offset] as number) & 0xf) | ((integers[offset + inner] as number) << 4)
    }
  }
  return packed
}

/**
 * The integers of packed bytes, one per byte, sign-extended.
 * @param dims Shape of the integers, not of the bytes.
 */
export function unpackInt4(packed: Uint8Array, dims: readonly number[], axis: number): Int8Array {
  const { outer, length, inner } = strides(dims, axis)
  const integers = new Int8Array(outer * length * inner)
  let index = 0
  for (let pair = 0; pair < (outer * length) / 2; pair++) {
    const start = 2 * pair * inner
    for (let offset = start; offset < start + inner; offset++) {
      const byte = packed[index++] as number
      integers[offset] = (byte << 28) >> 28
      integers[offset + inner] = (byte << 24) >> 28
    }
  }
  return integers
}
