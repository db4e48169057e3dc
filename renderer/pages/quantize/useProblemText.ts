// What is wrong with an edited recipe, in the window's language.
import { useI18n } from 'vue-i18n'
import type { TextProblem } from './json.ts'
import { invalidOf } from './parameters.ts'
import { useRecipeTexts } from './useRecipeTexts.ts'

export function useProblemText(): (problem: TextProblem) => string {
  const { t, te } = useI18n()
  const texts = useRecipeTexts()
  return ({ key, cause }) => {
    if ('syntax' in cause) {
      const name = `recipe.syntax.${cause.syntax}`
      return te(name) ? t(name) : cause.syntax
    }
    const { issue } = cause
    const where = key || t('recipe.whole')
    if (issue.code === 'unrecognized_keys') return t('recipe.invalid.unknownKey', { key })
    if (issue.code === 'invalid_value') {
      const values = issue.values.map((value) => JSON.stringify(value)).join(', ')
      return `${where}: ${t('recipe.invalid.oneOf', { values })}`
    }
    if (issue.code === 'invalid_type' && !['number', 'int'].includes(issue.expected)) {
      return `${where}: ${t('recipe.invalid.type', { expected: issue.expected })}`
    }
    return `${where}: ${texts.invalid(invalidOf(issue))}`
  }
}
