// SoCs that can be simulated: the device specifications in resources/devices.
import ascend310 from '../../resources/devices/ascend310.json' with { type: 'json' }
import ascend310b from '../../resources/devices/ascend310b.json' with { type: 'json' }
import ascend310p from '../../resources/devices/ascend310p.json' with { type: 'json' }
import ascend910 from '../../resources/devices/ascend910.json' with { type: 'json' }
import ascend910c from '../../resources/devices/ascend910_93.json' with { type: 'json' }
import ascend910b from '../../resources/devices/ascend910b.json' with { type: 'json' }

export interface SimulatedSoc {
  name: string
  products: string | null
  /** Cores with a cube unit. */
  aiCores: number | null
  /** Device memory of the specification; null where none is published. */
  memoryBytes: number | null
}

interface SocEntry {
  name: string
  products?: string
  figures: Partial<Record<string, { value: number }>>
}

const files: { socs: SocEntry[] }[] = [ascend310p, ascend310, ascend310b, ascend910b, ascend910, ascend910c]

/** Every SoC that can be simulated, inference parts first. */
export const simulatedSocs: readonly SimulatedSoc[] = files.flatMap((file) =>
  file.socs.map((soc) => ({
    name: soc.name,
    products: soc.products ?? null,
    aiCores: soc.figures['ai_cores']?.value ?? null,
    memoryBytes: soc.figures['memory_bytes']?.value ?? null,
  })),
)
