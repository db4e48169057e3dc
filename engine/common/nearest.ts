// "Did you mean": the known names closest to one that matched nothing.

/**
 * Edit distance with adjacent transpositions (optimal string alignment), two rows at a time.
 * Inputs longer than 256 characters are compared by their first 256.
 */
export function editDistance(left: string, right: string): number {
  const a = left.slice(0, 256)
  const b = right.slice(0, 256)
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + cost,
      )
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) best = Math.min(best, (beforePrevious[column - 2] ?? 0) + 1)
      current.push(best)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length] ?? 0
}

/** The `count` known names closest to `wanted`, best first; case is ignored, ties keep the given order. */
export function nearestNames(known: Iterable<string>, wanted: string, count = 3): string[] {
  const target = wanted.toLowerCase()
  return [...known]
    .map((name, order) => ({ name, order, distance: editDistance(name.toLowerCase(), target) }))
    .sort((left, right) => left.distance - right.distance || left.order - right.order)
    .slice(0, count)
    .map((entry) => entry.name)
}
