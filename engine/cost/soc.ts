// Specifications of the SoCs that models can be compiled for, from resources/devices (one figure, one source each).
import type { Figure, SocSpec } from '../../contract/cost.ts'
import { AppError } from '../../contract/errors/index.ts'
import ascend310 from '../../resources/devices/ascend310.json' with { type: 'json' }
import ascend310b from '../../resources/devices/ascend310b.json' with { type: 'json' }
import ascend310p from '../../resources/devices/ascend310p.json' with { type: 'json' }
import ascend910 from '../../resources/devices/ascend910.json' with { type: 'json' }
import ascend910b from '../../resources/devices/ascend910b.json' with { type: 'json' }
import ascend910c from '../../resources/devices/ascend910_93.json' with { type: 'json' }
import { nearestNames } from '../common/nearest.ts'

interface SocFile {
  name: string
  family: string
  products?: string
  figures: Partial<Record<string, Figure>>
}

/** The cube multiplies 16x16 by 16x16 FP16 values per cycle: 8192 operations (platform ini, DtypeMKN). */
const CUBE_FP16_OPS_PER_CYCLE = 2 * 16 * 16 * 16

/** A2 and A3 have vector cores apart from the cube cores; older parts run vector code on the AI core. */
const SPLIT_FAMILIES = new Set(['Ascend910B', 'Ascend910_93'])

function toSpec(soc: SocFile): SocSpec {
  const figure = (name: string): number => {
    const found = soc.figures[name]
    if (!found) throw new Error(`resources/devices: ${soc.name} has no ${name}`)
    return found.value
  }
  const aiCores = figure('ai_cores')
  const vectorCores = figure('vector_cores')
  const clockHz = figure('cube_mhz') * 1e6
  const peak = CUBE_FP16_OPS_PER_CYCLE * aiCores * clockHz
  const bandwidth = soc.figures.memory_bandwidth?.value
  return {
    name: soc.name,
    family: soc.family,
    products: soc.products,
    aiCores,
    vectorCores,
    vectorUnits: SPLIT_FAMILIES.has(soc.family) ? vectorCores : aiCores,
    clockHz,
    vectorElementsPerCycle: figure('vector_elements_per_cycle'),
    l2Bytes: figure('l2_bytes'),
    l2BytesPerSecond: aiCores * figure('l2_bytes_per_cycle_per_core') * clockHz,
    memoryBytesPerSecond: bandwidth ?? aiCores * figure('memory_bytes_per_cycle_per_core') * clockHz,
    memoryBytes: soc.figures.memory_bytes?.value ?? null,
    peakFp16Flops: peak,
    peakInt8Ops: 2 * peak,
    sources: Object.fromEntries(Object.entries(soc.figures).map(([name, value]) => [name, value!.source])),
  }
}

const families: { socs: SocFile[] }[] = [ascend310, ascend310b, ascend310p, ascend910, ascend910b, ascend910c]
const specs: readonly SocSpec[] = families.flatMap((family) => family.socs.map(toSpec))

/** All known SoCs. */
export function socSpecs(): readonly SocSpec[] {
  return specs
}

/** The SoC of that exact `--soc_version` name. @throws E_SOC_UNKNOWN with the nearest names */
export function socSpec(name: string): SocSpec {
  const found = specs.find((spec) => spec.name === name)
  if (found) return found
  const known = specs.map((spec) => spec.name)
  throw new AppError('E_SOC_UNKNOWN', { soc: name, suggestions: nearestNames(known, name), known })
}
