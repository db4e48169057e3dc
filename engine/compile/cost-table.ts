// `aqw.cost`: the kernel times per gear that the simulator's device clock runs on.
import type { CostTable } from '../../contract/cost.ts'
import { ByteWriter } from './byte-writer.ts'

const VERSION = 1

/** All gears hold the same kernels in the same order. */
export function encodeCostTable(gears: readonly CostTable[]): Uint8Array {
  const kernels = gears[0]?.kernels ?? []
  const out = new ByteWriter()
  out.bytes(Buffer.from('AQCT'))
  out.u32(VERSION)
  out.u32(gears.length)
  out.u32(kernels.length)
  for (const gear of gears) out.u64(Math.round(gear.totalNs))
  kernels.forEach((kernel, index) => {
    const name = Buffer.from(kernel.name)
    const type = Buffer.from(kernel.opType)
    out.u32(name.length)
    out.u32(type.length)
    out.bytes(name)
    out.bytes(type)
    for (const gear of gears) out.u64(Math.round(gear.kernels[index]!.ns))
  })
  return out.take()
}
