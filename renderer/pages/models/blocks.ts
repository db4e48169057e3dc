// Weight sizes by block: layers grouped by the first parts of their module path. Pure.
import type { LayerRow } from '../../../contract/workspace.ts'

export interface BlockSize {
  name: string
  bytes: number
  layers: number
}

/** The block of a layer: its module path (or node name) without a common first part, cut after `depth` parts. */
export function blockOf(
  layer: Pick<LayerRow, 'name' | 'modulePath'>,
  depth: number,
  commonParts: number,
): string {
  const parts = (layer.modulePath ?? layer.name).split(/[./]/).filter(Boolean).slice(commonParts)
  return parts.slice(0, depth).join('.') || '–'
}

/** How many leading parts all module paths share. */
export function commonPrefixParts(layers: readonly Pick<LayerRow, 'name' | 'modulePath'>[]): number {
  const paths = layers.map((layer) => (layer.modulePath ?? layer.name).split(/[./]/).filter(Boolean))
  const first = paths[0]
  if (!first || paths.length < 2) return 0
  let common = 0
  while (
    common < first.length - 1 &&
    paths.every((path) => path.length > common + 1 && path[common] === first[common])
  ) {
    common += 1
  }
  return common
}

/** Blocks by weight bytes, largest first; the smallest are summed up when there are more than `limit`. */
export function sizesByBlock(layers: readonly LayerRow[], restLabel: string, limit = 12): BlockSize[] {
  const weighted = layers.filter((layer) => layer.weightBytes > 0)
  const common = commonPrefixParts(weighted)
  const blocks = new Map<string, BlockSize>()
  for (const layer of weighted) {
    const name = blockOf(layer, 2, common)
    const block = blocks.get(name) ?? { name, bytes: 0, layers: 0 }
    block.bytes += layer.weightBytes
    block.layers += 1
    blocks.set(name, block)
  }
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
