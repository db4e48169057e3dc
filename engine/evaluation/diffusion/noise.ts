// The noise a picture starts from: the same seed gives the same noise on every machine.
import { createRandom } from '../../common/random.ts'

/** Standard normal values by the polar method (Marsaglia and Bray 1964). */
export function normalNoise(seed: number, count: number): Float32Array {
  const next = createRandom(seed)
  const uniform = (): number => (next() + 0.5) / 0x8000_0000 - 1
  const values = new Float32Array(count)
  for (let index = 0; index < count;) {
    const [x, y] = [uniform(), uniform()]
    const square = x * x + y * y
    if (square >= 1 || square === 0) continue
    const factor = Math.sqrt((-2 * Math.log(square)) / square)
    values[index++] = x * factor
    if (index < count) values[index++] = y * factor
  }
  return values
}
