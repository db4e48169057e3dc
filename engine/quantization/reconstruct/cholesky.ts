// Cholesky decomposition of a symmetric positive definite matrix, in place and in blocks that stay in the cache.

/** Rows decomposed together, and columns updated together. */
const BLOCK_ROWS = 48
const BLOCK_COLUMNS = 512

/** row[start, end) -= factors of four rows times those rows: four at a time halve the traffic of the target. */
function subtractRows(
  a: Float64Array,
  size: number,
  row: number,
  [first, last]: [number, number],
  [start, end]: [number, number],
): void {
  const target = row * size
  let k = first
  for (; k + 4 <= last; k += 4) {
    const [r0, r1, r2, r3] = [k * size, (k + 1) * size, (k + 2) * size, (k + 3) * size]
    const f0 = a[r0 + row] as number
    const f1 = a[r1 + row] as number
    const f2 = a[r2 + row] as number
    const f3 = a[r3 + row] as number
    for (let j = start; j < end; j++) {
      a[target + j] =
        (a[target + j] as number) -
        (f0 * (a[r0 + j] as number) + f1 * (a[r1 + j] as number)) -
        (f2 * (a[r2 + j] as number) + f3 * (a[r3 + j] as number))
    }
  }
  for (; k < last; k++) {
    const source = k * size
    const factor = a[source + row] as number
    for (let j = start; j < end; j++)
      a[target + j] = (a[target + j] as number) - factor * (a[source + j] as number)
  }
}

/** Subtracts what the rows above contribute to a block of rows. */
function updateBlock(a: Float64Array, size: number, block: number, blockEnd: number): void {
  for (let column = block; column < size; column += BLOCK_COLUMNS) {
    const columnEnd = Math.min(size, column + BLOCK_COLUMNS)
    for (let row = block; row < blockEnd && row < columnEnd; row++) {
      subtractRows(a, size, row, [0, block], [Math.max(column, row), columnEnd])
    }
  }
}

/**
 * Replaces the upper triangle of a symmetric matrix by U with U^T U = matrix; the lower triangle is left as it was.
 * @param check Called before every block of rows; may throw to stop.
 * @returns false when the matrix is not positive definite to working precision; its contents are void then
 */
export function choleskyUpper(a: Float64Array, size: number, check: () => void = () => {}): boolean {
  for (let block = 0; block < size; block += BLOCK_ROWS) {
    check()
    const blockEnd = Math.min(size, block + BLOCK_ROWS)
    updateBlock(a, size, block, blockEnd)
    for (let row = block; row < blockEnd; row++) {
      subtractRows(a, size, row, [block, row], [row, size])
      const pivot = a[row * size + row] as number
      if (!(pivot > 0) || !Number.isFinite(pivot)) return false
      const root = Math.sqrt(pivot)
      for (let j = row; j < size; j++) a[row * size + j] = (a[row * size + j] as number) / root
    }
  }
  return true
}
