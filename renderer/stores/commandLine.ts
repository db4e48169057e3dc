// The `aqw` command that does the same as the current page; the page sets it, the status bar shows it.
import { defineStore } from 'pinia'
import { onScopeDispose, ref, watch, type Ref } from 'vue'

export const useCommandLine = defineStore('commandLine', () => {
  const command = ref('')
  let owner: symbol | null = null

  /** Shows a page's command for as long as the calling component lives. */
  function follow(source: Ref<string>): void {
    const mine = Symbol('page')
    owner = mine
    watch(
      source,
      (text) => {
        if (owner === mine) command.value = text
      },
      { immediate: true },
    )
    onScopeDispose(() => {
      if (owner !== mine) return
      owner = null
      command.value = ''
    })
  }

  return { command, follow }
})
