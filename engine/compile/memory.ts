// Peak memory of one execution: activations alive at the same time, as a compiler that reuses memory would need.
import type { Precision } from '../../contract/cost.ts'
import type { KernelPlan } from '../cost/estimate.ts'
import { kernelInputs, kernelOutputs } from '../cost/fusion.ts'
import type { GraphView } from '../cost/graph-view.ts'
import { WorkModel } from '../cost/work.ts'
import { paddedBytes } from './om-layout.ts'

/** Bytes at the fullest moment; every tensor is padded as the Graph Engine does. */
export function peakMemory(view: GraphView, plan: KernelPlan, precision: Precision): number {
  const sizes = new WorkModel(view, precision, plan.layout.blocked)
  const lastUse = new Map<string, number>()
  plan.kernels.forEach((kernel, index) => {
    for (const input of kernelInputs(view, kernel)) lastUse.set(view.resolve(input), index)
  })
  for (const output of view.outputs) lastUse.set(view.resolve(output), plan.kernels.length)
  const ending = Map.groupBy(lastUse.keys(), (value) => lastUse.get(value)!)
  let alive = 0
  const live = new Set<string>()
  const add = (value: string): void => {
    if (live.has(value) || !lastUse.has(value)) return
    live.add(value)
    alive += paddedBytes(sizes.bytes(value))
  }
  for (const input of view.graph.inputs) add(input.name)
  let peak = alive
  plan.kernels.forEach((kernel, index) => {
    for (const output of kernelOutputs(view, kernel)) add(output)
    peak = Math.max(peak, alive)
    for (const value of ending.get(index) ?? []) {
      if (live.delete(value)) alive -= paddedBytes(sizes.bytes(value))
    }
  })
  return peak
}
