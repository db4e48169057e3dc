// Balance factors: what activations are divided and weights multiplied by, channel by channel, so that a part of the
// activation's range moves into the weight. DMQ: AMCT, dmq_balancer_func. SmoothQuant: Xiao et al. 2023, equation 4.
import { AppError } from '../../../contract/errors/index.ts'
import { FLOAT32_EPSILON } from '../rules.ts'

function checkLengths(layer: string, activation: Float32Array, weight: Float32Array): void {
  if (activation.length > 0 && activation.length === weight.length) return
  throw new AppError('E_REPAIR_BALANCE_CHANNELS', {
    layer,
    activation: activation.length,
    weight: weight.length,
  })
}

function largest(values: Float32Array): number {
  return values.reduce((max, value) => Math.max(max, value), 0)
}

/**
 * AMCT's factors: max|x|^strength / max|w|^(1 - strength) of each input channel. A channel that is zero on one side gets
 * the factor that makes its other side as large as the largest of the balanced ones; all ones when a side is zero
 * everywhere.
 * @param activation Largest magnitude of each channel of the layer's input.
 * @param weight Largest magnitude of the weights that read each channel.
 * @throws E_REPAIR_BALANCE_CHANNELS when both differ in length or are empty; E_REPAIR_BALANCE_FACTOR when a factor is
 * outside (epsilon, 1 / epsilon) of float32
 */
export function dmqFactors(
  layer: string,
  activation: Float32Array,
  weight: Float32Array,
  strength: number,
): Float32Array {
  checkLengths(layer, activation, weight)
  const factors = new Float32Array(activation.length).fill(1)
  if (largest(activation) === 0 || largest(weight) === 0) return factors
  let [balancedActivation, balancedWeight] = [0, 0]
  activation.forEach((x, channel) => {
    const w = weight[channel] as number
    if (x === 0 || w === 0) return
    const factor = x ** strength / w ** (1 - strength)
    factors[channel] = factor
    balancedActivation = Math.max(balancedActivation, x / factor)
    balancedWeight = Math.max(balancedWeight, w * factor)
  })
  activation.forEach((x, channel) => {
    const w = weight[channel] as number
    if (x === 0 && w !== 0 && balancedWeight > 0) factors[channel] = balancedWeight / w
    if (x !== 0 && w === 0 && balancedActivation > 0) factors[channel] = x / balancedActivation
  })
  factors.forEach((factor, channel) => {
    if (factor > FLOAT32_EPSILON && factor < 1 / FLOAT32_EPSILON) return
    throw new AppError('E_REPAIR_BALANCE_FACTOR', { layer, channel, value: factor })
  })
  return factors
}

/**
 * SmoothQuant's factors: max|x|^strength / max|w|^(1 - strength); 1 where that is zero or not finite.
 * @throws E_REPAIR_BALANCE_CHANNELS as {@link dmqFactors}
 */
export function smoothQuantFactors(
  layer: string,
  activation: Float32Array,
  weight: Float32Array,
  strength: number,
): Float32Array {
  checkLengths(layer, activation, weight)
  return activation.map((x, channel) => {
    const factor = Math.fround(x ** strength / (weight[channel] as number) ** (1 - strength))
    return Number.isFinite(factor) && factor > 0 ? factor : 1
  })
}
