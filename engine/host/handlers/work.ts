// Handlers of jobs.*, runs.*, reports.*, commandLine.*.
import { activeJobStates, type Job } from '../../../contract/workspace.ts'
import { parseGates } from '../../../contract/gate-errors.ts'
import { comparisonSchema } from '../../../contract/comparison.ts'
import { runFiguresSchema } from '../../../contract/run-figures.ts'
import { readTask } from '../../evaluation/tasks/index.ts'
import type { JobState } from '../../jobs/index.ts'
import { compareCommand } from '../compare-jobs.ts'
import type { Services } from '../engine.ts'
import { existingPath } from '../paths.ts'
import { exportReport } from '../reports.ts'
import type { Handlers, TopicHandlers } from '../router.ts'
import { compareRuns } from '../run-comparison.ts'

type Names =
  | 'jobs.list'
  | 'jobs.get'
  | 'jobs.start'
  | 'jobs.cancel'
  | 'jobs.resume'
  | 'jobs.dismiss'
  | 'runs.list'
  | 'runs.get'
  | 'runs.figures'
  | 'runs.compare'
  | 'runs.note'
  | 'reports.export'
  | 'commandLine.forCompare'

const LOG_LINES = 200
const PROGRESS_INTERVAL_MS = 100

export function workHandlers(services: Services): Pick<Handlers, Names> {
  const { workspace, queue } = services
  return {
    'jobs.list': ({ projectId, dismissed, limit }) => ({ jobs: queue.list({ projectId, dismissed, limit }) }),
    'jobs.get': ({ id }) => ({
      ...queue.get(id),
      log: queue.logTail(id, LOG_LINES),
      logPath: queue.logPath(id),
    }),
    'jobs.start': (input) => {
      const { projectId, kind, request } = input
      const model = workspace.models.get(request.modelId)
      const dataset = workspace.datasets.get(request.datasetId)
      workspace.projects.get(projectId)
      const recipe = request.recipeId === undefined ? undefined : workspace.recipes.get(request.recipeId)
      const title = request.title ?? `${model.name} · ${recipe?.name ?? 'INT8'} · ${dataset.name}`
      if (input.kind === 'calibrate') return queue.add({ projectId, kind, title, device: 'cpu', request })
      const { device, evaluationDatasetId } = input.request
      if (evaluationDatasetId !== undefined) workspace.datasets.get(evaluationDatasetId)
      // What cannot be read is refused here, not when the job starts.
      if (input.request.task) readTask(existingPath(input.request.task.path))
      parseGates(input.request.gates ?? [])
      return queue.add({ projectId, kind, title, device, request })
    },
    'jobs.cancel': ({ id }) => queue.cancel(id),
    'jobs.resume': ({ id }) => queue.resume(id),
    'jobs.dismiss': ({ id }) => queue.dismiss(id),

    'runs.list': ({ projectId, filter, sort, offset, limit }) => {
      workspace.projects.get(projectId)
      return workspace.runs.list({ projectId, filter, sort, offset, limit })
    },
    'runs.get': async ({ id }) => ({
      run: workspace.runs.get(id),
      comparison: comparisonSchema.parse(workspace.runs.comparison(id)),
      provenance: workspace.runs.provenance(id),
      artifacts: await workspace.artifacts(id),
    }),
    'runs.figures': ({ id }) => runFiguresSchema.parse(workspace.runs.figures(id)),
    'runs.compare': ({ ids }) => compareRuns(workspace, ids),
    'runs.note': ({ id, text }) => {
      const run = workspace.runs.setNote(id, text)
      workspace.announce({ entity: 'run', action: 'changed', id, projectId: run.projectId })
      return run
    },
    'reports.export': (input, { signal }) => exportReport(workspace, input, signal),
    'commandLine.forCompare': ({ request }) => ({ command: compareCommand(workspace, request) }),
  }
}

export function workTopicHandlers({
  queue,
}: Services): Pick<TopicHandlers, 'jobs.changed' | 'jobs.progress' | 'jobs.log'> {
  return {
    'jobs.changed'({ projectId }, emit, signal) {
      const wanted = (job: Job): boolean => projectId === undefined || job.projectId === projectId
      const lastSent = new Map<string, string>()
      // Progress has a topic of its own: here whole percents and changes of state are enough.
      const send = ({ job }: { job: Job }): void => {
        if (!wanted(job)) return
        const percent = Math.floor(job.progress.fraction * 100)
        const digest = `${job.state} ${percent} ${job.progress.stage ?? ''} ${String(job.dismissed)} ${job.attempt}`
        if (lastSent.get(job.id) === digest) return
        lastSent.set(job.id, digest)
        emit({ job })
      }
      signal.addEventListener('abort', queue.onChange(send), { once: true })
      for (const job of queue.list({ projectId, limit: 100 })) {
        if (activeJobStates.includes(job.state)) send({ job })
      }
    },
    'jobs.progress'({ id }, emit, signal) {
      let latest: JobState | undefined
      let timer: NodeJS.Timeout | undefined
      const flush = (): void => {
        timer = undefined
        if (latest) emit(latest)
        latest = undefined
      }
      const stop = queue.onChange((state) => {
        if (state.job.id !== id) return
        latest = state
        timer ??= setTimeout(flush, PROGRESS_INTERVAL_MS)
      })
      signal.addEventListener(
        'abort',
        () => {
          stop()
          clearTimeout(timer)
        },
        { once: true },
      )
      emit(queue.get(id))
    },
    'jobs.log'({ id, afterSeq }, emit, signal) {
      const present = queue.logTail(id, LOG_LINES, afterSeq)
      signal.addEventListener(
        'abort',
        queue.followLog(id, (lines) => emit({ lines })),
        { once: true },
      )
      if (present.length > 0) emit({ lines: present })
    },
  }
}
