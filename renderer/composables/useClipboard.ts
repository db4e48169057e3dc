// Copying text with a word of confirmation.
import { useI18n } from 'vue-i18n'
import { useNotices } from '../stores/notices.ts'

export function useCopy(): (text: string) => Promise<void> {
  const notices = useNotices()
  const { t } = useI18n()
  return async (text) => {
    try {
      await navigator.clipboard.writeText(text)
      notices.success(t('common.actions.copied'))
    } catch (thrown) {
      notices.fail(thrown)
    }
  }
}
