// The present time, moving once per half minute, for "3 minutes ago".
import { onScopeDispose, ref, type Ref } from 'vue'

export function useNow(): Ref<number> {
  const now = ref(Date.now())
  const timer = setInterval(() => (now.value = Date.now()), 30_000)
  onScopeDispose(() => clearInterval(timer))
  return now
}
