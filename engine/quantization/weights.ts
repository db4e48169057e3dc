// The weights of a chosen layer as its integer operator reads them, and the grid they are rounded to. Rounding by other
// means than to the nearest starts from the same values, layout and scales.
import { AppError } from '../../contract/errors/index.ts'
import { constantValues } from './constants.ts'
import type { ChosenLayer } from './plan.ts'
import {
  type ChannelLayout,
  columnLayout,
  convLayout,
  convTransposeLayout,
  tensorLayout,
  weightScales,
} from './rules.ts'

/** Inputs that share an INT4 scale of a weight-only matrix: the largest of these that divides them (GPTQ's 128). */
const GROUP_SIZES = [128, 64, 32]

function isProduct(layer: ChosenLayer): boolean {
  return layer.anatomy.opType === 'Gemm' || layer.anatomy.opType === 'MatMul'
}

function isWeightOnly(layer: ChosenLayer): boolean {
  return layer.precision === 'w8a16' || layer.precision === 'w4a16'
}

/** Inputs that share the scale of an output channel; 0: all of them. */
export function groupSize(layer: ChosenLayer): number {
  const [inputs = 1] = layer.anatomy.weightDims
  if (layer.precision !== 'w4a16' || !layer.perChannelWeight || !isProduct(layer)) return 0
  return GROUP_SIZES.find((size) => inputs % size === 0 && inputs > size) ?? 0
}

/** How the scales of a layer's weight lie in it. */
export function weightLayout(layer: ChosenLayer): ChannelLayout {
  const { opType, weightDims, group } = layer.anatomy
  // AMCT: integer MatMul and Gemm have one weight scale.
  if (!layer.perChannelWeight || (isProduct(layer) && !isWeightOnly(layer))) {
    return tensorLayout(weightDims.reduce((count, dim) => count * dim, 1))
  }
  if (isProduct(layer)) return columnLayout(weightDims, groupSize(layer))
  return opType === 'ConvTranspose' ? convTransposeLayout(weightDims, group) : convLayout(weightDims)
}

export interface WeightValues {
  /** float32, in the order of `anatomy.weightDims`: casts and transposes of the model are applied. */
  values: Float32Array
  layout: ChannelLayout
  /** One per tensor, per channel, or per channel and group, as `layout` says. */
  scales: Float32Array
}

/**
 * Reads a layer's weight and finds its scales.
 * @throws E_WEIGHT_NOT_FINITE for a NaN or an infinity
 */
export function weightValues(layer: ChosenLayer): WeightValues {
  const { weight } = layer.anatomy
  const values = constantValues(weight)
  const layout = weightLayout(layer)
  const { scales, nonFinite } = weightScales(values, layout, {
    bits: layer.weightBits,
    method: layer.weightMethod,
    float16Scales: layer.precision === 'w8a16' && isProduct(layer),
  })
  if (nonFinite < 0) return { values, layout, scales: layer.given?.scales ?? scales }
  throw new AppError('E_WEIGHT_NOT_FINITE', {
    layer: layer.name,
    weight: weight.name,
    index: nonFinite,
    value: String(values[nonFinite]),
  })
}
