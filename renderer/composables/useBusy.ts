// One action at a time per component, named so that its own button can show it; failures become notices.
import { ref, type Ref } from 'vue'
import { useNotices } from '../stores/notices.ts'

export function useBusy(): {
  busy: Ref<string | null>
  run: (name: string, work: () => Promise<unknown>) => Promise<boolean>
} {
  const busy = ref<string | null>(null)
  const notices = useNotices()

  /** Runs the work unless something is under way; says whether it succeeded. */
  async function run(name: string, work: () => Promise<unknown>): Promise<boolean> {
    if (busy.value) return false
    busy.value = name
    try {
      await work()
      return true
    } catch (thrown) {
      notices.fail(thrown)
      return false
    } finally {
      busy.value = null
    }
  }
  return { busy, run }
}
