// The random-free test data of the reference vectors: the same numbers in any language.

/**
 * Box-Muller over two low-discrepancy sequences: for i = 1..n, u1 = frac(i * 0.6180339887498949),
 * u2 = frac(i * 0.7548776662466927), x = float32(amp * sqrt(-2 ln u1) * cos(2 pi u2) + skew).
 */
export function generate(n: number, amp = 1, skew = 0): Float32Array {
  return Float32Array.from({ length: n }, (_, index) => {
    const u1 = ((index + 1) * 0.6180339887498949) % 1
    const u2 = ((index + 1) * 0.7548776662466927) % 1
    return amp * Math.sqrt(-2 * Math.log(u1)) * Math.cos(2 * Math.PI * u2) + skew
  })
}
