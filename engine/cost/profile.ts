// The free constants of the latency model and how far its predictions can be trusted on each SoC.
import type { CostValidation, SocSpec } from '../../contract/cost.ts'

/**
 * Constants fitted on 35 networks measured on Ascend 310P3 (FP16, batch 1 to 64, ModelZoo READMEs) by minimising
 * |log(predicted / measured)| with equal weight per network; docs/cost-model.md has the method and the errors.
 * They are effective values: an efficiency above 1 means that the published bandwidth is not the true ceiling.
 */
const FITTED_310P3 = {
  launchSeconds: 4.69282e-6,
  modelSeconds: 0.00613416e-6,
  cubeEfficiency: 0.850481,
  /** Relative to the cube efficiency: depthwise convolution fills 1/16 of each tile and more is lost besides. */
  depthwiseFactor: 0.18855,
  /** Matrix multiplication other than convolution and classifier; not relative. */
  matmulEfficiency: 0.286727,
  vectorEfficiency: 0.369039,
  memoryEfficiency: 1.09329,
  l2Efficiency: 2.08135,
  /** Share of L2 that activations can use. Fitted with L2 in units of 10^6 bytes, hence the conversion. */
  l2Share: (0.346175 * 1e6) / 2 ** 20,
  copyEfficiency: 0.707288,
} as const

export type CostProfile = { readonly [K in keyof typeof FITTED_310P3]: number }

const FITTED: CostValidation = {
  status: 'fitted',
  band: { factor: 2, share: 0.94 },
  text:
    'Simulated. Fitted on 35 networks on Ascend310P3; of 193 measurements of 17 other networks 58 % lie within ' +
    'x/÷1.25, 78 % within x/÷1.5 and 94 % within x/÷2.',
}

const SMALL_310: CostValidation = {
  status: 'not validated',
  band: { factor: 2, share: 0.63 },
  text:
    'Simulated, not validated: constants of Ascend310P3 on the specifications of this SoC. 63 % of published ' +
    'Ascend310 figures lie within x/÷2, most estimates being too optimistic.',
}

const SMALL_310B: CostValidation = {
  status: 'not validated',
  band: { factor: 2, share: 0.96 },
  text:
    'Simulated, not validated: constants of Ascend310P3 on the specifications of this SoC and an assumed memory ' +
    'bandwidth. 96 % of the few published Ascend310B1 figures lie within x/÷2.',
}

const DERIVED: CostValidation = {
  status: 'not validated',
  band: { factor: 2, share: null },
  text:
    'Simulated, not validated: constants of Ascend310P3 on the specifications of this SoC; no measurement of a ' +
    'known network was available to check it. Expect x/÷2 or worse.',
}

/** Constants to use for a SoC: the fitted ones everywhere, as no other part has enough published measurements. */
export function costProfile(_soc: SocSpec): CostProfile {
  return FITTED_310P3
}

/** What may be claimed about estimates for this SoC. */
export function costValidation(soc: SocSpec): CostValidation {
  if (soc.name === 'Ascend310P3') return FITTED
  if (soc.name === 'Ascend310') return SMALL_310
  if (soc.name === 'Ascend310B1') return SMALL_310B
  return DERIVED
}
