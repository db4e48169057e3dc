// Loading something for a page: data, error, and whether it is on its way; the last answer stays while reloading.
import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef, type WatchSource } from 'vue'
import { toErrorShape } from '../../contract/errors/index.ts'
import type { ErrorShape } from '../../contract/result.ts'

export interface Query<T> {
  data: ShallowRef<T | null>
  error: Ref<ErrorShape | null>
  loading: Ref<boolean>
  reload: () => Promise<void>
}

/** Loads now and again whenever `source` changes. An answer that was overtaken by a newer request is dropped. */
export function useQuery<T>(load: (signal: AbortSignal) => Promise<T>, source?: WatchSource): Query<T> {
  const data: ShallowRef<T | null> = shallowRef(null)
  const error = ref<ErrorShape | null>(null)
  const loading = ref(true)
  let controller: AbortController | null = null

  async function reload(): Promise<void> {
    controller?.abort()
    const mine = new AbortController()
    controller = mine
    loading.value = true
    try {
      const answer = await load(mine.signal)
      if (mine.signal.aborted) return
      data.value = answer
      error.value = null
    } catch (thrown) {
      if (!mine.signal.aborted) error.value = toErrorShape(thrown)
    } finally {
      if (controller === mine) loading.value = false
    }
  }

  if (source)
    watch(source, () => {
      data.value = null
      void reload()
    })
  onScopeDispose(() => controller?.abort())
  void reload()
  return { data, error, loading, reload }
}
