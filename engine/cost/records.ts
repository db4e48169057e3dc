// Latency of a network given as layer records: the form in which the networks of the fit were kept.
import type { Precision } from '../../contract/cost.ts'
import { kernelTerms, termsTotal } from './kernel-time.ts'
import type { CubeClass, KernelWork } from './kernel-time.ts'
import { costProfile } from './profile.ts'
import { socSpec } from './soc.ts'

export type RecordKind =
  | 'conv'
  | 'conv1x1'
  | 'stem'
  | 'dw'
  | 'grp'
  | 'fc'
  | 'mm'
  | 'bmm'
  | 'vec'
  | 'ln'
  | 'softmax'
  | 'pool'
  | 'cat'
  | 'copy'

/** [kind, m, n, k, repeats, input, weight and output elements, vector element operations, MACs], batch 1, FP16 tiles. */
export type LayerRecord = [RecordKind, number, number, number, number, number, number, number, number, number]

const CONVOLUTIONS: ReadonlySet<RecordKind> = new Set(['conv', 'conv1x1', 'stem', 'grp', 'fc'])

function cubeClassOf(kind: RecordKind): CubeClass {
  if (kind === 'dw') return 'depthwise'
  return CONVOLUTIONS.has(kind) ? 'convolution' : 'matmul'
}

function recordWork(record: LayerRecord, batch: number, precision: Precision): KernelWork {
  const [kind, m, n, k, repeats, inputs, weights, outputs, vector] = record
  const quantized = precision === 'int8' && CONVOLUTIONS.has(kind)
  const narrow = precision === 'int8' && (quantized || kind === 'dw')
  const elementBytes = precision === 'fp32' ? 4 : narrow ? 1 : 2
  return {
    cubeClass: cubeClassOf(kind),
    // A classifier has 1/16 tile per image: the tile fills up with the batch.
    m: kind === 'fc' ? Math.ceil(batch * m) : batch * m,
    n,
    k: quantized ? Math.ceil(k / 2) : k,
    repeats,
    activationBytes: elementBytes * batch * (inputs + outputs),
    weightBytes: elementBytes * weights,
    vectorElements: batch * vector,
    batch,
    copy: kind === 'cat' || kind === 'copy',
  }
}

/**
 * Latency of a network in seconds. INT8 quantizes convolutions and classifiers with free requantisation, keeps
 * depthwise convolutions at FP16 speed, and leaves everything else alone.
 * @throws E_SOC_UNKNOWN
 */
export function estimateLayers(
  records: readonly LayerRecord[],
  options: { soc: string; batch: number; precision: Precision },
): { seconds: number; kernelSeconds: number[] } {
  const soc = socSpec(options.soc)
  const profile = costProfile(soc)
  const kernelSeconds = records.map((record) =>
    termsTotal(kernelTerms(recordWork(record, options.batch, options.precision), soc, profile)),
  )
  const seconds = kernelSeconds.reduce((sum, value) => sum + value, profile.modelSeconds)
  return { seconds, kernelSeconds }
}
