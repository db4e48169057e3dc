// A seeded generator: resampling and shuffling must be reproducible, so Math.random is not used.

/**
 * sfc32 (Small Fast Counting, Chris Doty-Humphrey, PractRand), seeded as its author prescribes: the first outputs are
 * thrown away.
 * @returns a function giving uniform 32-bit unsigned integers
 */
export function createRandom(seed: number): () => number {
  let a = 0
  let b = seed | 0
  let c = 0x9e3779b9 | 0
  let counter = 1
  const next = () => {
    const value = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + value) | 0
    return value >>> 0
  }
  for (let round = 0; round < 15; round++) next()
  return next
}

/** A uniform integer in [0, limit), by the multiply-shift method (bias below limit / 2^32). */
export function randomIndex(next: () => number, limit: number): number {
  return Math.floor((next() / 0x1_0000_0000) * limit)
}
