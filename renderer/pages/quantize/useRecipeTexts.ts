// Parts of a recipe in words of the window's language: summaries of sections, settings of a rule, what is wrong with a value.
import { useI18n } from 'vue-i18n'
import type {
  ActivationSettings,
  LayerPrecision,
  Recipe,
  RepairSettings,
  RoundingSettings,
} from '../../../contract/recipe.ts'
import type { Invalid } from './parameters.ts'
import type { ChangedPart } from './presets.ts'
import type { RuleSettings } from './rules.ts'

export interface RecipeTexts {
  precision: (precision: LayerPrecision) => string
  activation: (settings: ActivationSettings) => string
  weight: (settings: { method?: Recipe['weight']['method']; per_channel?: boolean }) => string
  repair: (repair: RepairSettings) => string
  part: (recipe: Recipe, part: ChangedPart) => string
  ruleActivation: (settings: RuleSettings) => string
  ruleWeight: (settings: RuleSettings) => string
  invalid: (invalid: Invalid) => string
}

/** What a rule leaves as it is. */
const UNSET = '–'

export function useRecipeTexts(): RecipeTexts {
  const { t } = useI18n()

  const precision = (value: LayerPrecision): string => t(`recipe.precision.${value}`)

  function activation(settings: ActivationSettings): string {
    const { method, percentile, symmetric, bins } = settings
    const more = [
      ...(percentile === undefined ? [] : [`${percentile} %`]),
      ...(symmetric === undefined || method === 'max_abs'
        ? []
        : [t(symmetric ? 'recipe.activation.isSymmetric' : 'recipe.activation.isAsymmetric')]),
      ...(bins === undefined ? [] : [t('recipe.activation.binCount', { count: bins })]),
    ]
    return [t(`recipe.method.${method}.name`), ...more].join(', ')
  }

  const channels = (perChannel: boolean): string =>
    t(perChannel ? 'recipe.weight.isPerChannel' : 'recipe.weight.isPerTensor')

  function weight(settings: Parameters<RecipeTexts['weight']>[0]): string {
    return [
      ...(settings.method ? [t(`recipe.weightMethod.${settings.method}.name`)] : []),
      ...(settings.per_channel === undefined ? [] : [channels(settings.per_channel)]),
    ].join(', ')
  }

  const rounding = (settings: RoundingSettings): string[] =>
    settings.method === 'nearest' ? [] : [t(`recipe.rounding.${settings.method}.name`)]

  function repair(settings: RepairSettings): string {
    const { balance } = settings
    const on = [
      ...(settings.fold_batch_norm ? [t('recipe.repair.short.fold')] : []),
      ...(settings.equalize ? [t('recipe.repair.short.equalize')] : []),
      ...(balance ? [`${t(`recipe.balance.${balance.method}.name`)} ${balance.strength}`] : []),
      ...(settings.split_concat.mode === 'off' ? [] : [t('recipe.repair.short.split')]),
      ...(settings.bias_correction ? [t('recipe.repair.short.bias')] : []),
      ...rounding(settings.rounding),
    ]
    return on.length > 0 ? on.join(', ') : t('common.none')
  }

  function part(recipe: Recipe, which: ChangedPart): string {
    if (which === 'precision') return precision(recipe.precision)
    if (which === 'activation') return activation(recipe.activation)
    return which === 'weight' ? weight(recipe.weight) : repair(recipe.repair)
  }

  return {
    precision,
    activation,
    weight,
    repair,
    part,
    ruleActivation: (settings) => (settings.activation ? activation(settings.activation) : UNSET),
    ruleWeight: (settings) => (settings.weight && weight(settings.weight)) || UNSET,
    invalid: ({ key, values }) => t(`recipe.invalid.${key}`, values),
  }
}
