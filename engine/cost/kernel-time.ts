// The time of one kernel: launch plus the largest of cube, memory and vector time.
import type { CostTerms, SocSpec } from '../../contract/cost.ts'
import type { CostProfile } from './profile.ts'

/** How the cube (or no cube) is used; decides the efficiency. */
export type CubeClass = 'convolution' | 'depthwise' | 'matmul' | 'none'

/** Work of one kernel, for the whole batch. */
export interface KernelWork {
  cubeClass: CubeClass
  /** Cube tiles along M, N and K (16x16x16 FP16, 16x32x16 INT8), and how many such products. */
  m: number
  n: number
  k: number
  repeats: number
  activationBytes: number
  weightBytes: number
  /** Elements times the cost factor of their operation (1: one full-rate vector instruction per element). */
  vectorElements: number
  /** Splits of the batch that each read the weights again from L2. */
  batch: number
  /** Pure data movement, which reaches a lower share of the bandwidth. */
  copy: boolean
}

const FP16_TILES_PER_CORE = 4

function cubeEfficiency(cubeClass: CubeClass, profile: CostProfile): number {
  if (cubeClass === 'matmul') return profile.matmulEfficiency
  return cubeClass === 'depthwise' ? profile.cubeEfficiency * profile.depthwiseFactor : profile.cubeEfficiency
}

function cubeSeconds(work: KernelWork, cores: number, soc: SocSpec, profile: CostProfile): number {
  if (work.cubeClass === 'none') return 0
  const cycles = (work.m * work.n * work.k * work.repeats) / cores
  return cycles / (soc.clockHz * cubeEfficiency(work.cubeClass, profile))
}

function memorySeconds(work: KernelWork, cores: number, soc: SocSpec, profile: CostProfile): number {
  const { activationBytes, weightBytes } = work
  const resident = Math.min(1, (profile.l2Share * soc.l2Bytes) / Math.max(activationBytes, 1))
  const fromMemory = weightBytes + activationBytes * (1 - resident)
  const fromL2 = activationBytes * resident + weightBytes * Math.min(cores, Math.max(work.batch, 1))
  const seconds =
    fromMemory / (soc.memoryBytesPerSecond * profile.memoryEfficiency) +
    fromL2 / (soc.l2BytesPerSecond * profile.l2Efficiency)
  return work.copy ? seconds / profile.copyEfficiency : seconds
}

/** Terms of one kernel in seconds. A core is used only when it gets at least four cube tiles of work. */
export function kernelTerms(work: KernelWork, soc: SocSpec, profile: CostProfile): CostTerms {
  const tiles = work.m * work.n * work.repeats
  const cores = Math.min(soc.aiCores, Math.max(1, tiles / FP16_TILES_PER_CORE))
  const vectorRate = soc.vectorElementsPerCycle * soc.vectorUnits * soc.clockHz * profile.vectorEfficiency
  return {
    cube: cubeSeconds(work, cores, soc, profile),
    memory: memorySeconds(work, cores, soc, profile),
    vector: work.vectorElements / vectorRate,
    launch: profile.launchSeconds,
  }
}

/** launch + max(cube, memory, vector). */
export function termsTotal(terms: CostTerms): number {
  return terms.launch + Math.max(terms.cube, terms.memory, terms.vector)
}
