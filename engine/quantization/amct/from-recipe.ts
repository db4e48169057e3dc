// A recipe in AMCT's words: settings of a layer for its two algorithms, and notes on what they cannot say.
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import {
  ACTIVATION_DEFAULTS,
  type ActivationSettings,
  type LayerPrecision,
  type Recipe,
  type WeightMethod,
} from '../../../contract/recipe.ts'
import { listed } from './repair.ts'
import { type AmctActivation, type AmctSettings, DEFAULT_ACTIVATION, PLAIN_RANGE } from './settings.ts'

const AMCT_BINS = [1024, 2048, 4096, 8192]

/** A layer's settings in the recipe's own words. */
export interface RecipeSettings {
  precision: LayerPrecision
  activation: ActivationSettings
  weightMethod: WeightMethod
  perChannel: boolean
}

/** Layers of AMCT's weight algorithm and balancer. */
export interface RepairMembership {
  rounded: boolean
  balanced: boolean
}

/** True when the precision is one that AMCT quantizes to. */
export function isAmctPrecision(precision: LayerPrecision): boolean {
  return precision === 'int8' || precision === 'w4a8'
}

/** Writes settings and gathers, over all layers, what they lose. */
export class AmctWriter {
  readonly #recipe: Recipe
  readonly #methods = new Map<string, string[]>()
  readonly #trimmed: string[] = []
  readonly #weightMethods = new Set<string>()
  readonly #bins = new Set<number>()

  constructor(recipe: Recipe) {
    this.#recipe = recipe
  }

  #activation(layer: string, written: ActivationSettings): AmctActivation {
    const asymmetric = !(written.symmetric ?? written.method === 'max_abs')
    const ifmr = { ...DEFAULT_ACTIVATION, asymmetric }
    switch (written.method) {
      case 'min_max':
      case 'max_abs':
        return { ...ifmr, maxPercentile: 1, minPercentile: 1, ...PLAIN_RANGE }
      case 'percentile': {
        if (!asymmetric) break
        this.#trimmed.push(layer)
        const cut = (1 - (written.percentile ?? ACTIVATION_DEFAULTS.percentile) / 100) / 2
        return { ...ifmr, maxPercentile: 1 - cut, minPercentile: 1 - cut, ...PLAIN_RANGE }
      }
      case 'ifmr': {
        if (written.bins !== undefined) this.#bins.add(written.bins)
        return {
          ...ifmr,
          maxPercentile: written.max_percentile ?? DEFAULT_ACTIVATION.maxPercentile,
          minPercentile: written.min_percentile ?? DEFAULT_ACTIVATION.minPercentile,
          searchRange: written.search_range ?? DEFAULT_ACTIVATION.searchRange,
          searchStep: written.search_step ?? DEFAULT_ACTIVATION.searchStep,
        }
      }
      case 'hfmg': {
        const bins = written.bins ?? ACTIVATION_DEFAULTS.hfmgBins
        const known = AMCT_BINS.includes(bins)
        if (!known) this.#bins.add(bins)
        return { ...ifmr, algorithm: 'hfmg', bins: known ? bins : ACTIVATION_DEFAULTS.hfmgBins }
      }
    }
    const method =
      written.symmetric && written.method === 'percentile' ? 'symmetric percentile' : written.method
    this.#methods.set(method, [...(this.#methods.get(method) ?? []), layer])
    return ifmr
  }

  /** The settings of one layer. @param layer Its name, for the notes. */
  settings(layer: string, written: RecipeSettings, membership: RepairMembership): AmctSettings {
    const { rounding, balance } = this.#recipe.repair
    const rounds = membership.rounded && rounding.method === 'adaround' && written.precision === 'int8'
    // AMCT searches the scales of ada_quantize by divergence, and no others.
    const expected = rounds ? 'kl' : 'max_abs'
    if (written.weightMethod !== expected) this.#weightMethods.add(written.weightMethod)
    return {
      activation: this.#activation(layer, written.activation),
      weight: {
        bits: written.precision === 'w4a8' ? 4 : 8,
        channelWise: written.perChannel,
        ...(rounds && {
          adaRound: {
            iterations: rounding.iterations,
            regularization: rounding.regularization,
            betaRange: rounding.beta_range,
            warmStart: rounding.warm_start,
          },
        }),
      },
      ...(membership.balanced && balance && { balance: balance.strength }),
    }
  }

  /** What got lost, once every layer is written. */
  notes(): InteropNote[] {
    const { repair, name } = this.#recipe
    const lost = [
      ...(repair.equalize ? ['equalize'] : []),
      ...(repair.split_concat.mode === 'off' ? [] : ['split_concat']),
      ...(repair.bias_correction ? ['bias_correction'] : []),
      ...(repair.rounding.method === 'gptq' ? ['rounding gptq'] : []),
    ]
    return [
      ...(name === undefined ? [] : [makeNote('name_lost')]),
      ...[...this.#methods].map(([method, layers]) =>
        makeNote('method_unknown', { method, layers: listed(layers) }),
      ),
      ...(this.#trimmed.length > 0 ? [makeNote('method_percentile', { layers: listed(this.#trimmed) })] : []),
      ...[...this.#bins].map((bins) => makeNote('bins', { bins })),
      ...[...this.#weightMethods].map((method) => makeNote('weight_method_unknown', { method })),
      ...(repair.balance?.method === 'smoothquant' ? [makeNote('smoothquant_is_dmq')] : []),
      ...lost.map((what) => makeNote('repair_unknown', { what })),
    ]
  }
}
