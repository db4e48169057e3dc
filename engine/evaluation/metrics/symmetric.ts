// Linear algebra of large symmetric matrices, row-major in float64: what the Frechet distance of 2048 features needs within
// seconds rather than minutes. Only rows are walked along, so that matrices larger than the caches are read in order.

const EPSILON = Number.EPSILON
const MAXIMUM_ITERATIONS = 60

/** `factor` is [size, rank], row-major. */
export interface Factor {
  size: number
  rank: number
  factor: Float64Array
}

/**
 * Cholesky factorization with complete pivoting of a positive semidefinite matrix: A = F F^T with as many columns as A has
 * rank (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 10.3). What is left over is below rounding.
 */
export function pivotedCholesky(matrix: Float64Array, size: number): Factor {
  const rows = new Float64Array(size * size)
  const left = Float64Array.from({ length: size }, (_, index) => matrix[index * (size + 1)] as number)
  const smallest = size * EPSILON * left.reduce((largest, value) => Math.max(largest, value), 0)
  const done = new Uint8Array(size)
  let rank = 0
  while (rank < size) {
    let pivot = -1
    for (let index = 0; index < size; index++)
      if (!done[index] && (pivot < 0 || (left[index] as number) > (left[pivot] as number))) pivot = index
    if (!((left[pivot] as number) > smallest)) break
    const root = Math.sqrt(left[pivot] as number)
    done[pivot] = 1
    for (let row = 0; row < size; row++) {
      if (done[row] && row !== pivot) continue
      let value = matrix[row * size + pivot] as number
      for (let column = 0, a = row * size, b = pivot * size; column < rank; column++, a++, b++)
        value -= (rows[a] as number) * (rows[b] as number)
      const entry = row === pivot ? root : value / root
      rows[row * size + rank] = entry
      left[row] = (left[row] as number) - entry * entry
    }
    rank++
  }
  const factor = new Float64Array(size * rank)
  for (let row = 0; row < size; row++) factor.set(rows.subarray(row * size, row * size + rank), row * rank)
  return { size, rank, factor }
}

/** Columns worked on at once: four rows of them stay in the first cache. */
const PANEL = 512

/** target += a^T-like combination: four rows of `b`, each with its factor, added to a row of the target. */
function addRows(
  target: Float64Array,
  at: number,
  b: Float64Array,
  rows: readonly [number, number, number, number],
  factors: readonly [number, number, number, number],
  count: number,
): void {
  const [r0, r1, r2, r3] = rows
  const [f0, f1, f2, f3] = factors
  for (let column = 0; column < count; column++) {
    target[at + column] =
      (target[at + column] as number) +
      f0 * (b[r0 + column] as number) +
      f1 * (b[r1 + column] as number) +
      f2 * (b[r2 + column] as number) +
      f3 * (b[r3 + column] as number)
  }
}

/** a [rows, inner] times b [inner, columns]. */
function multiply(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): Float64Array {
  const product = new Float64Array(rows * columns)
  const at = (row: number, k: number): number => (k < inner ? (a[row * inner + k] as number) : 0)
  const line = (k: number, start: number): number => Math.min(k, inner - 1) * columns + start
  for (let start = 0; start < columns; start += PANEL) {
    const count = Math.min(PANEL, columns - start)
    for (let block = 0; block < inner; block += 64) {
      const end = Math.min(inner, block + 64)
      for (let row = 0; row < rows; row++) {
        for (let k = block; k < end; k += 4) {
          const lines = [line(k, start), line(k + 1, start), line(k + 2, start), line(k + 3, start)] as const
          const factors = [at(row, k), at(row, k + 1), at(row, k + 2), at(row, k + 3)] as const
          addRows(product, row * columns + start, b, lines, factors, count)
        }
      }
    }
  }
  return product
}

function transpose(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(matrix.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = matrix[row * columns + column] as number
  return result
}

/** F^T A F, exactly symmetric: its eigenvalues are those of A F F^T that are not zero. */
export function sandwich(matrix: Float64Array, { factor, size, rank }: Factor): Float64Array {
  const half = multiply(matrix, factor, size, size, rank)
  const product = multiply(transpose(factor, size, rank), half, rank, size, rank)
  for (let row = 0; row < rank; row++) {
    for (let column = 0; column < row; column++) {
      const mean = ((product[row * rank + column] as number) + (product[column * rank + row] as number)) / 2
      product[row * rank + column] = mean
      product[column * rank + row] = mean
    }
  }
  return product
}

/** Householder reduction to tridiagonal form (EISPACK tred1), on the lower triangle; `a` is used up. */
function tridiagonal(a: Float64Array, size: number): { diagonal: Float64Array; beside: Float64Array } {
  const diagonal = new Float64Array(size)
  const beside = new Float64Array(size)
  const image = new Float64Array(size)
  for (let i = size - 1; i > 0; i--) {
    const row = a.subarray(i * size, i * size + i)
    diagonal[i] = a[i * size + i] as number
    const scale = row.reduce((sum, value) => sum + Math.abs(value), 0)
    if (i === 1 || scale === 0) {
      beside[i] = row[i - 1] as number
      continue
    }
    let h = 0
    for (let k = 0; k < i; k++) {
      const value = (row[k] as number) / scale
      row[k] = value
      h += value * value
    }
    const last = row[i - 1] as number
    const g = last >= 0 ? -Math.sqrt(h) : Math.sqrt(h)
    beside[i] = scale * g
    h -= last * g
    row[i - 1] = last - g
    reflect(a, size, row, h, image)
  }
  diagonal[0] = a[0] ?? 0
  return { diagonal, beside }
}

/** A := P A P for the leading block, with P the reflection by u and h = |u|^2 / 2. */
function reflect(a: Float64Array, size: number, u: Float64Array, h: number, p: Float64Array): void {
  const count = u.length
  p.fill(0, 0, count)
  for (let j = 0; j < count; j++) {
    const start = j * size
    const factor = u[j] as number
    let sum = (a[start + j] as number) * factor
    for (let k = 0; k < j; k++) {
      const value = a[start + k] as number
      sum += value * (u[k] as number)
      p[k] = (p[k] as number) + value * factor
    }
    p[j] = (p[j] as number) + sum
  }
  let along = 0
  for (let k = 0; k < count; k++) {
    p[k] = (p[k] as number) / h
    along += (u[k] as number) * (p[k] as number)
  }
  along /= 2 * h
  for (let k = 0; k < count; k++) p[k] = (p[k] as number) - along * (u[k] as number)
  for (let j = 0; j < count; j++) {
    const start = j * size
    const [x, y] = [u[j] as number, p[j] as number]
    for (let k = 0; k <= j; k++)
      a[start + k] = (a[start + k] as number) - x * (p[k] as number) - y * (u[k] as number)
  }
}

/**
 * Eigenvalues of a symmetric matrix, in no order: Householder, then QL with implicit shifts (EISPACK tql1).
 * @param matrix Only the lower triangle is read; it is used up.
 * @throws RangeError when values are not finite
 */
export function symmetricEigenvalues(matrix: Float64Array, size: number): Float64Array {
  const { diagonal: d, beside } = tridiagonal(matrix, size)
  // beside[i] stands between i - 1 and i.
  const e = new Float64Array(size)
  for (let i = 1; i < size; i++) e[i - 1] = beside[i] as number
  const norm = d.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  if (!Number.isFinite(norm)) throw new RangeError('the matrix holds values that are not finite')
  for (let from = 0; from < size; from++) {
    for (let round = 0; ; round++) {
      const to = splitAfter(d, e, from, norm)
      if (to === from) break
      if (round === MAXIMUM_ITERATIONS) throw new RangeError('the eigenvalues do not settle')
      implicitShift(d, e, from, to)
    }
  }
  return d
}

/** The end of the block that begins at `from`: where the next off-diagonal entry is below rounding. */
function splitAfter(d: Float64Array, e: Float64Array, from: number, norm: number): number {
  let to = from
  while (to < d.length - 1) {
    const around = Math.abs(d[to] as number) + Math.abs(d[to + 1] as number)
    if (Math.abs(e[to] as number) <= EPSILON * Math.max(around, EPSILON * norm)) break
    to++
  }
  return to
}

function implicitShift(d: Float64Array, e: Float64Array, from: number, to: number): void {
  const slope = ((d[from + 1] as number) - (d[from] as number)) / (2 * (e[from] as number))
  const length = Math.hypot(slope, 1)
  let g =
    (d[to] as number) - (d[from] as number) + (e[from] as number) / (slope + (slope >= 0 ? length : -length))
  let [sine, cosine, shift] = [1, 1, 0]
  for (let i = to - 1; i >= from; i--) {
    const f = sine * (e[i] as number)
    const b = cosine * (e[i] as number)
    const r = Math.hypot(f, g)
    e[i + 1] = r
    if (r === 0) {
      d[i + 1] = (d[i + 1] as number) - shift
      e[to] = 0
      return
    }
    sine = f / r
    cosine = g / r
    g = (d[i + 1] as number) - shift
    const turn = ((d[i] as number) - g) * sine + 2 * cosine * b
    shift = sine * turn
    d[i + 1] = g + shift
    g = cosine * turn - b
  }
  d[from] = (d[from] as number) - shift
  e[from] = g
  e[to] = 0
}
