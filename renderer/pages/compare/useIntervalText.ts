// A confidence interval as text in the language of the window.
import { useI18n } from 'vue-i18n'
import type { Change } from './rows.ts'

export function useIntervalText(): (interval: Change['interval']) => string {
  const { t } = useI18n()
  return (interval) => {
    if (interval === null) return ''
    if (typeof interval === 'string') return t(`compare.interval.${interval}`)
    return `${interval.low} … ${interval.high}`
  }
}
