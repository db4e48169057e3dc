// Which places of a layer's input a Hessian is made from: all, or a fixed random share of them.

/** FNV-1a over UTF-16 code units. */
export function textSeed(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}

/** Mulberry32 (Tommy Ettinger): numbers in [0, 1), the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** `wanted` of the numbers below `count`, ascending, one from each of as many equal stretches; all when there are fewer. */
export function spreadChoice(count: number, wanted: number, seed: number): Uint32Array {
  if (count <= wanted) return Uint32Array.from({ length: count }, (_, index) => index)
  const random = randomNumbers(seed)
  return Uint32Array.from({ length: wanted }, (_, index) => {
    const start = Math.floor((index * count) / wanted)
    const end = Math.floor(((index + 1) * count) / wanted)
    return start + Math.floor(random() * (end - start))
  })
}
