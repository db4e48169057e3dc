// Where the time goes, side by side: kernels of all sides aligned through the model nodes they compute. Pure.
import type { RunFigures, RunSideFigures } from '../../../contract/run-figures.ts'
import { blockNames } from '../../format/blocks.ts'

type Kernel = RunSideFigures['kernels'][number]

export interface TimeLine {
  name: string
  opType: string
  /** False for kernels that compute no node of the model, such as layout changes. */
  ofModel: boolean
  /** Milliseconds per side; null where the side has no such kernel. */
  ms: (number | null)[]
  /** Precision per side; several joined with `+`. */
  precision: (string | null)[]
}

/** Union of sets with path halving; near-linear. */
class Sets {
  readonly #parent = new Map<string, string>()

  find(item: string): string {
    let at = item
    for (;;) {
      const parent = this.#parent.get(at)
      if (parent === undefined || parent === at) {
        this.#parent.set(at, at)
        return at
      }
      const grand = this.#parent.get(parent) ?? parent
      this.#parent.set(at, grand)
      at = grand
    }
  }

  join(a: string, b: string): void {
    this.#parent.set(this.find(a), this.find(b))
  }
}

const keyOf = (kernel: Kernel, side: number, position: number): string[] =>
  kernel.nodes.length > 0 ? kernel.nodes.map((node) => `n:${node}`) : [`k:${side}:${position}`]

interface Draft {
  name: string
  opType: string
  ofModel: boolean
  ns: (number | null)[]
  precision: Set<string>[]
}

/**
 * One line per group of kernels that share model nodes on any side, so that a fused kernel on one side stands beside
 * the kernels it replaces on the other. In the order of the baseline.
 */
export function alignKernels(sides: readonly RunSideFigures[]): TimeLine[] {
  const sets = new Sets()
  sides.forEach((side, sideIndex) =>
    side.kernels.forEach((kernel, position) => {
      const [first, ...rest] = keyOf(kernel, sideIndex, position)
      for (const key of rest) sets.join(key, first ?? key)
    }),
  )
  const drafts = new Map<string, Draft>()
  sides.forEach((side, sideIndex) =>
    side.kernels.forEach((kernel, position) => {
      const root = sets.find(keyOf(kernel, sideIndex, position)[0] ?? '')
      const draft: Draft = drafts.get(root) ?? {
        name: kernel.nodes[0] ?? kernel.name,
        opType: kernel.opType,
        ofModel: kernel.nodes.length > 0,
        ns: sides.map(() => null),
        precision: sides.map(() => new Set<string>()),
      }
      draft.ns[sideIndex] = (draft.ns[sideIndex] ?? 0) + kernel.ns
      draft.precision[sideIndex]?.add(kernel.precision.toUpperCase())
      drafts.set(root, draft)
    }),
  )
  return [...drafts.values()].map((draft) => ({
    name: draft.name,
    opType: draft.opType,
    ofModel: draft.ofModel,
    ms: draft.ns.map((ns) => (ns === null ? null : ns / 1e6)),
    precision: draft.precision.map((set) => (set.size > 0 ? [...set].sort().join(' + ') : null)),
  }))
}

export type TimeGrouping = 'block' | 'type' | 'layer'

/** Sums lines by block, kernel type or not at all; largest baseline time first; the tail summed up. */
export function groupTimes(
  lines: readonly TimeLine[],
  grouping: TimeGrouping,
  restLabel: string,
  limit: number,
): { name: string; ms: (number | null)[] }[] {
  const sideCount = lines[0]?.ms.length ?? 0
  const names =
    grouping === 'block'
      ? blockNames(lines.map((line) => (line.ofModel ? line.name : line.opType)))
      : lines.map((line) => (grouping === 'type' ? line.opType : line.name))
  const groups = new Map<string, (number | null)[]>()
  const addTo = (into: (number | null)[], ms: readonly (number | null)[]): void => {
    ms.forEach((value, side) => {
      if (value !== null) into[side] = (into[side] ?? 0) + value
    })
  }
  lines.forEach((line, index) => {
    const name = names[index] ?? line.name
    const group = groups.get(name) ?? Array.from({ length: sideCount }, () => null)
    addTo(group, line.ms)
    groups.set(name, group)
  })
  const largest = (ms: readonly (number | null)[]): number => Math.max(...ms.map((value) => value ?? 0))
  const sorted = [...groups].map(([name, ms]) => ({ name, ms })).sort((a, b) => largest(b.ms) - largest(a.ms))
  if (sorted.length <= limit) return sorted
  const rest: (number | null)[] = Array.from({ length: sideCount }, () => null)
  for (const group of sorted.slice(limit - 1)) addTo(rest, group.ms)
  return [...sorted.slice(0, limit - 1), { name: restLabel, ms: rest }]
}

/** Time per precision, one entry per precision that occurs on any side, ms. */
export function precisionMix(figures: RunFigures): { precision: string; ms: number[] }[] {
  const order = ['int8', 'fp16', 'fp32']
  const mix = new Map<string, number[]>()
  figures.sides.forEach((side, sideIndex) => {
    for (const kernel of side.kernels) {
      const values = mix.get(kernel.precision) ?? figures.sides.map(() => 0)
      values[sideIndex] = (values[sideIndex] ?? 0) + kernel.ns / 1e6
      mix.set(kernel.precision, values)
    }
  })
  return [...mix]
    .map(([precision, ms]) => ({ precision, ms }))
    .sort((a, b) => order.indexOf(a.precision) - order.indexOf(b.precision))
}
