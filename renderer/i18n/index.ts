// The window's languages: vue-i18n set up with every section, and the choice of the language to start in.
import { createI18n } from 'vue-i18n'
import { messages, type WindowLocale } from './messages.ts'

export type { WindowLocale } from './messages.ts'

export const i18n = createI18n({
  legacy: false,
  locale: 'en' as WindowLocale,
  fallbackLocale: 'en',
  messages,
})

/** The language to show for a setting: the system's own, or the chosen one. */
export function resolveLocale(
  setting: 'system' | WindowLocale,
  systemLanguages: readonly string[],
): WindowLocale {
  if (setting !== 'system') return setting
  const first = systemLanguages.find((language) => /^(zh|en)\b/i.test(language)) ?? 'en'
  return /^zh/i.test(first) ? 'zh' : 'en'
}

/** Switches the language of the window and of the document (screen readers, hyphenation). */
export function applyLocale(locale: WindowLocale): void {
  i18n.global.locale.value = locale
  document.documentElement.lang = locale === 'zh' ? 'zh-CN' : 'en'
}
