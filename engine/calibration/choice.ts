// Which samples a count below their number takes. Always the same ones for the same data, in the order of the data.

/** What the choice by time steps looks at. */
export interface StepCandidate {
  step: number
  /** Side of classifier-free guidance, or any other word that the choice should keep mixed. */
  branch: string
}

/** `count` of `available` positions, evenly spread, the first one included. */
export function chooseSpread(available: number, count: number): number[] {
  const wanted = Math.min(available, count)
  return Array.from({ length: wanted }, (_, index) => Math.floor((index * available) / wanted))
}

/** Positions by step: one stratum per step where there are no more steps than wanted samples, else quantiles. */
function strata(candidates: readonly StepCandidate[], count: number): number[][] {
  const step = (position: number): number => candidates[position]?.step ?? 0
  const sorted = [...candidates.keys()].sort((left, right) => step(left) - step(right) || left - right)
  const bySteps = Map.groupBy(sorted, step)
  if (bySteps.size <= count) return [...bySteps.values()]
  return Array.from({ length: count }, (_, index) =>
    sorted.slice(
      Math.floor((index * sorted.length) / count),
      Math.floor(((index + 1) * sorted.length) / count),
    ),
  )
}

/** Samples per stratum: as even as their sizes allow. */
function quotas(sizes: readonly number[], count: number): number[] {
  const result = sizes.map((size, index) => {
    const even = Math.floor(((index + 1) * count) / sizes.length) - Math.floor((index * count) / sizes.length)
    return Math.min(size, even)
  })
  const hasRoom = (index: number): boolean => (result[index] ?? 0) < (sizes[index] ?? 0)
  let missing = count - result.reduce((sum, quota) => sum + quota, 0)
  while (missing > 0) {
    const open = [...sizes.keys()].filter(hasRoom)
    const least = Math.min(...open.map((index) => result[index] ?? 0))
    const next = open.filter((index) => result[index] === least)
    // Those that get one more are spread over the steps, not all at one end.
    for (const index of chooseSpread(next.length, missing).map((position) => next[position] ?? 0)) {
      result[index] = (result[index] ?? 0) + 1
      missing--
    }
  }
  return result
}

/**
 * `count` samples, the same number (give or take one) from every stretch of time steps; where steps repeat, branches
 * keep their share of the whole data.
 * @returns positions, ascending
 */
export function chooseByStep(candidates: readonly StepCandidate[], count: number): number[] {
  const wanted = Math.min(count, candidates.length)
  if (wanted === 0) return []
  const groups = strata(candidates, wanted)
  const perGroup = quotas(
    groups.map((group) => group.length),
    wanted,
  )
  const branchOf = (position: number): string => candidates[position]?.branch ?? ''
  const sizes = Map.groupBy(candidates.keys(), branchOf)
  const branches = [...sizes].map(([name, all]) => ({
    name,
    share: all.length / candidates.length,
    taken: 0,
  }))
  const chosen: number[] = []
  groups.forEach((group, groupIndex) => {
    const left = new Map(branches.map(({ name }) => [name, group.filter((at) => branchOf(at) === name)]))
    for (let pick = 0; pick < (perGroup[groupIndex] ?? 0); pick++) {
      const present = branches.filter(({ name }) => (left.get(name)?.length ?? 0) > 0)
      const lack = (branch: (typeof branches)[number]): number =>
        branch.share * (chosen.length + 1) - branch.taken
      const branch = present.reduce((most, rival) => (lack(rival) > lack(most) ? rival : most))
      const positions = left.get(branch.name) ?? []
      // Another place in every stratum: data are often ordered by prompt within a step.
      const [position] = positions.splice((groupIndex + pick) % positions.length, 1)
      if (position !== undefined) chosen.push(position)
      branch.taken++
    }
  })
  return chosen.sort((left, right) => left - right)
}

/**
 * All positions in an order whose every beginning is spread over the whole: both ends, then the middle of the widest gap.
 */
export function bisectionOrder(count: number): number[] {
  if (count <= 1) return count === 1 ? [0] : []
  const order = [0, count - 1]
  let gaps: [number, number][] = [[0, count - 1]]
  while (gaps.length > 0) {
    gaps = gaps.flatMap(([low, high]): [number, number][] => {
      if (high - low < 2) return []
      const middle = (low + high) >> 1
      order.push(middle)
      return [
        [low, middle],
        [middle, high],
      ]
    })
  }
  return order
}
