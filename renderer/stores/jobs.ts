// All jobs the window knows, kept current by one subscription; pages and the status bar read from here.
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { activeJobStates, resumableJobStates, type Job } from '../../contract/workspace.ts'
import { rpc } from '../rpc/index.ts'

export const useJobs = defineStore('jobs', () => {
  const jobs = ref<Job[]>([])
  const loaded = ref(false)
  const finishListeners = new Set<(job: Job) => void>()

  const isActive = (job: Job): boolean => activeJobStates.includes(job.state)
  const active = computed(() => jobs.value.filter(isActive))
  const running = computed(() => jobs.value.find((job) => job.state === 'running') ?? active.value[0] ?? null)

  function ended(job: Job): void {
    for (const listener of finishListeners) listener(job)
  }

  function adopt(job: Job): void {
    const at = jobs.value.findIndex((known) => known.id === job.id)
    const before = at < 0 ? undefined : jobs.value[at]
    if (job.dismissed) jobs.value = jobs.value.filter((known) => known.id !== job.id)
    else if (at < 0) jobs.value = [job, ...jobs.value]
    else jobs.value[at] = job
    if (before && isActive(before) && !isActive(job)) ended(job)
  }

  /** Calls back when a job of this window's time ends, however it ends. */
  function onFinish(listener: (job: Job) => void): () => void {
    finishListeners.add(listener)
    return () => finishListeners.delete(listener)
  }

  async function reload(): Promise<void> {
    const answer = await rpc.invoke('jobs.list', { limit: 200 })
    const known = new Set(active.value.map((job) => job.id))
    jobs.value = answer.jobs.filter((job) => !job.dismissed)
    loaded.value = true
    // They ended while nobody could tell: the engine was away.
    for (const job of jobs.value) if (known.has(job.id) && !isActive(job)) ended(job)
  }

  function start(): void {
    rpc.subscribe('jobs.changed', {}, (event) => adopt(event.job))
    void reload().catch(() => undefined)
  }

  const ofProject = (projectId: string, kind?: Job['kind']): Job[] =>
    jobs.value.filter((job) => job.projectId === projectId && (kind === undefined || job.kind === kind))
  const activeOf = (projectId: string, kind: Job['kind']): Job | null =>
    ofProject(projectId, kind).find(isActive) ?? null

  /** The newest job of a kind when it ended without a result and was not put away. */
  function unfinishedOf(projectId: string, kind: Job['kind']): Job | null {
    const [newest] = ofProject(projectId, kind)
    return newest && resumableJobStates.includes(newest.state) ? newest : null
  }

  return {
    jobs,
    loaded,
    active,
    running,
    ofProject,
    activeOf,
    unfinishedOf,
    onFinish,
    reload,
    start,
    isActive,
  }
})
