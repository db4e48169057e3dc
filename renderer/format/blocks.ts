// Blocks of a network: leading parts of dotted module paths or slashed node names. Pure.

const partsOf = (name: string): string[] => name.split(/[./]/).filter(Boolean)

/**
 * The block of every name: a first part that nearly all share is dropped (`unet`), then the first part is kept, with
 * its number when it has one (`up_blocks.0`).
 */
export function blockNames(names: readonly string[]): string[] {
  const paths = names.map(partsOf)
  const counts = new Map<string, number>()
  for (const path of paths) if (path[0]) counts.set(path[0], (counts.get(path[0]) ?? 0) + 1)
  const [common, count] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? ['', 0]
  const drop = count >= names.length * 0.8 ? common : null
  return paths.map((path) => {
    const own = path[0] === drop && path.length > 1 ? path.slice(1) : path
    const head = own[0] ?? '–'
    const second = own[1] ?? ''
    return /^\d+$/.test(second) ? `${head}.${second}` : head
  })
}
