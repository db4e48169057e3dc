// The runs of a project, and what one of them generated: the one of the address, else the newest that generated anything.
import { computed, watch, type ComputedRef, type Ref } from 'vue'
import type { QualityReport } from '../../../contract/evaluation.ts'
import type { ErrorShape } from '../../../contract/result.ts'
import type { RunRow } from '../../../contract/workspace.ts'
import { useQuery } from '../../composables/useQuery.ts'
import { rpc } from '../../rpc/index.ts'
import { useLibrary } from '../../stores/library.ts'

/** Runs that are looked through for one with results. */
const LOOKED_AT = 20

export function useGeneratedRuns(
  projectId: () => string,
  wanted: () => string | undefined,
): {
  runs: ComputedRef<readonly RunRow[]>
  runId: ComputedRef<string | null>
  report: ComputedRef<QualityReport | null>
  error: ComputedRef<ErrorShape | null>
  loading: Ref<boolean>
  reload: () => Promise<void>
} {
  const library = useLibrary()
  const { data, error, loading, reload } = useQuery(
    async (signal) => {
      const { runs } = await rpc.invoke('runs.list', { projectId: projectId(), limit: 100 }, { signal })
      const given = wanted()
      const candidates = given === undefined ? runs.slice(0, LOOKED_AT).map(({ id }) => id) : [given]
      for (const id of candidates) {
        const { report } = await rpc.invoke('runs.generated', { id }, { signal })
        if (report || given !== undefined) return { runs, runId: id, report }
      }
      return { runs, runId: null, report: null }
    },
    () => [projectId(), wanted()],
  )
  watch(
    () => library.runsVersion,
    () => void reload(),
  )
  return {
    runs: computed(() => data.value?.runs ?? []),
    runId: computed(() => data.value?.runId ?? null),
    report: computed(() => data.value?.report ?? null),
    error: computed(() => error.value),
    loading: computed(() => loading.value && data.value === null),
    reload,
  }
}
