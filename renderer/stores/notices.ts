// Toasts and error panels: what the window tells the person without being asked.
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { toErrorShape } from '../../contract/errors/index.ts'
import type { ErrorShape } from '../../contract/result.ts'

export interface NoticeAction {
  label: string
  run: () => void
}

export interface Notice {
  id: number
  kind: 'success' | 'info' | 'error'
  text: string
  error?: ErrorShape
  action?: NoticeAction
}

const LIFETIME_MS = 6_000

export const useNotices = defineStore('notices', () => {
  const notices = ref<Notice[]>([])
  let nextId = 1

  function dismiss(id: number): void {
    notices.value = notices.value.filter((notice) => notice.id !== id)
  }

  function add(notice: Omit<Notice, 'id'>): void {
    const id = nextId++
    notices.value = [...notices.value.slice(-4), { id, ...notice }]
    if (notice.kind !== 'error') setTimeout(() => dismiss(id), LIFETIME_MS)
  }

  const success = (text: string, action?: NoticeAction): void =>
    add({ kind: 'success', text, ...(action && { action }) })
  const info = (text: string, action?: NoticeAction): void =>
    add({ kind: 'info', text, ...(action && { action }) })

  /** Shows a failure until it is dismissed. A cancelled action is not a failure. */
  function fail(thrown: unknown): void {
    const error = toErrorShape(thrown)
    if (error.code === 'E_CANCELLED') return
    if (error.code === 'E_INTERNAL') console.error(thrown)
    add({ kind: 'error', text: error.message, error })
  }

  return { notices, success, info, fail, dismiss }
})
