// Weight sizes by block of the network. Pure.
import type { LayerRow } from '../../../contract/workspace.ts'
import { blockNames } from '../../format/blocks.ts'

export interface BlockSize {
  name: string
  bytes: number
  layers: number
}

/** Blocks by weight bytes, largest first; the smallest are summed up when there are more than `limit`. */
export function sizesByBlock(layers: readonly LayerRow[], restLabel: string, limit = 12): BlockSize[] {
  const weighted = layers.filter((layer) => layer.weightBytes > 0)
  const names = blockNames(weighted.map((layer) => layer.modulePath ?? layer.name))
  const blocks = new Map<string, BlockSize>()
  weighted.forEach((layer, index) => {
    const name = names[index] ?? layer.name
    const block = blocks.get(name) ?? { name, bytes: 0, layers: 0 }
    block.bytes += layer.weightBytes
    block.layers += 1
    blocks.set(name, block)
  })
  const sorted = [...blocks.values()].sort((a, b) => b.bytes - a.bytes)
  if (sorted.length <= limit) return sorted
  const rest = sorted.slice(limit - 1)
  return [
    ...sorted.slice(0, limit - 1),
    {
      name: restLabel,
      bytes: rest.reduce((sum, block) => sum + block.bytes, 0),
      layers: rest.reduce((sum, block) => sum + block.layers, 0),
    },
  ]
}
