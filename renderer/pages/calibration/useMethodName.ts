// A range method of a report in words, with its percentile where that is what tells results apart.
import { useI18n } from 'vue-i18n'
import type { MethodResult } from '../../../contract/calibration.ts'

export function useMethodName(): (
  method: Pick<MethodResult, 'method'> & Partial<Pick<MethodResult, 'percentile'>>,
) => string {
  const { t } = useI18n()
  return ({ method, percentile }) => {
    const name = t(`recipe.method.${method}.name`)
    return percentile === null || percentile === undefined ? name : `${name} ${percentile} %`
  }
}
