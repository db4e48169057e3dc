// The weights of a chosen layer as its integer operator reads them, and the grid they are rounded to. Rounding by other
// means than to the nearest starts from the same values, layout and scales.
import { AppError } from '../../contract/errors/index.ts'
import { constantValues } from './constants.ts'
import type { ChosenLayer } from './plan.ts'
import { type ChannelLayout, convLayout, convTransposeLayout, tensorLayout, weightScales } from './rules.ts'

/** How the scales of a layer's weight lie in it. */
export function weightLayout(layer: ChosenLayer): ChannelLayout {
  const { opType, weightDims, group } = layer.anatomy
  // AMCT: MatMul and Gemm have one weight scale.
  if (!layer.perChannelWeight || opType === 'Gemm' || opType === 'MatMul') {
    return tensorLayout(weightDims.reduce((count, dim) => count * dim, 1))
  }
  return opType === 'ConvTranspose' ? convTransposeLayout(weightDims, group) : convLayout(weightDims)
}

export interface WeightValues {
  /** float32, in the order of `anatomy.weightDims`: casts and transposes of the model are applied. */
  values: Float32Array
  layout: ChannelLayout
  /** One per tensor or per channel, as `layout` says. */
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
  })
  if (nonFinite < 0) return { values, layout, scales }
  throw new AppError('E_WEIGHT_NOT_FINITE', {
    layer: layer.name,
    weight: weight.name,
    index: nonFinite,
    value: String(values[nonFinite]),
  })
}
