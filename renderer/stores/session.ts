// What the whole window shares: connection, settings, application facts, theme and language.
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import type { AppInfo, EngineState } from '../../contract/rpc/index.ts'
import { settingsSchema, type Settings, type SettingsPatch } from '../../contract/workspace.ts'
import { watchSystemDark } from '../app/platform.ts'
import { applyLocale, resolveLocale, type WindowLocale } from '../i18n/index.ts'
import { onRefused, rpc } from '../rpc/index.ts'

const CACHE_KEY = 'aqw.look'

/** Theme and language of the last time, so that the first paint is already right. */
function cachedLook(): Pick<Settings, 'theme' | 'locale'> {
  try {
    const parsed = settingsSchema.safeParse(JSON.parse(localStorage.getItem(CACHE_KEY) ?? '{}'))
    if (parsed.success) return parsed.data
  } catch {
    // A damaged cache only costs one paint in the default look.
  }
  return { theme: 'system', locale: 'system' }
}

export const useSession = defineStore('session', () => {
  const settings = ref<Settings>(settingsSchema.parse(cachedLook()))
  const settingsLoaded = ref(false)
  const info = shallowRef<AppInfo | null>(null)
  const engine = ref<EngineState | 'disconnected'>('disconnected')
  const everConnected = ref(false)
  const refused = ref(false)
  const systemDark = ref(false)

  const theme = computed<'light' | 'dark'>(() => {
    if (settings.value.theme !== 'system') return settings.value.theme
    return systemDark.value ? 'dark' : 'light'
  })
  const locale = computed<WindowLocale>(() => resolveLocale(settings.value.locale, navigator.languages))
  const connected = computed(() => engine.value !== 'disconnected' && engine.value.state === 'ready')

  function adopt(next: Settings): void {
    settings.value = next
    settingsLoaded.value = true
    localStorage.setItem(CACHE_KEY, JSON.stringify({ theme: next.theme, locale: next.locale }))
  }

  /** Changes settings at once on screen, then in the workspace; a refusal restores what was. */
  async function change(patch: SettingsPatch): Promise<void> {
    const before = settings.value
    settings.value = { ...before, ...patch, ui: { ...before.ui, ...patch.ui } }
    try {
      adopt(await rpc.invoke('settings.set', patch))
    } catch (thrown) {
      settings.value = before
      throw thrown
    }
  }

  function start(): void {
    watchSystemDark((dark) => (systemDark.value = dark))
    watch(theme, (value) => (document.documentElement.dataset.theme = value), { immediate: true })
    watch(locale, applyLocale, { immediate: true })
    onRefused(() => (refused.value = true))
    rpc.onState((state) => {
      engine.value = state
      if (state !== 'disconnected' && state.state === 'ready') everConnected.value = true
    })
    rpc.subscribe('settings.changed', {}, adopt)
    void rpc.invoke('settings.get', {}).then(adopt, () => undefined)
    void rpc.invoke('app.info', {}).then(
      (value) => (info.value = value),
      () => undefined,
    )
  }

  return {
    settings,
    settingsLoaded,
    info,
    engine,
    everConnected,
    refused,
    theme,
    locale,
    connected,
    change,
    start,
  }
})
