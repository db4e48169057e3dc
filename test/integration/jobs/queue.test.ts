// The queue with real worker processes: results, cache, cancel (kind and by force), crash, resume, slots, recovery.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Job, JobState } from '../../../contract/workspace.ts'
import { type JobKind, JobQueue } from '../../../engine/jobs/index.ts'
import { Workspace } from '../../../engine/workspace/index.ts'
import { exampleRun } from '../../fixtures/example-run.ts'
import type { CountingDefinition } from '../../fixtures/plans/counting-plan.ts'

const PLAN = pathToFileURL(path.resolve('test/fixtures/plans/counting-plan.ts')).href

let root: string
let workspace: Workspace
let queue: JobQueue
let behaviour: CountingDefinition['behaviour']
let outcomes: unknown[]
let projectId: string

function openQueue(): void {
  workspace = new Workspace(path.join(root, 'w'))
  const counting: JobKind = {
    planModule: PLAN,
    prepare: async (job) => ({
      journal: path.join(root, 'journal'),
      seed: String(job.request['seed']),
      behaviour,
    }),
    complete: async (job, result, _keys, commit) => {
      outcomes.push(result.outcome)
      await workspace.addRun({ ...exampleRun(job.projectId), jobId: job.id, files: [], alongside: commit })
    },
  }
  queue = new JobQueue(workspace, { compare: counting, calibrate: counting })
}

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'queue-'))
  behaviour = {}
  outcomes = []
  openQueue()
  projectId = workspace.projects.create({ name: 'p' }).id
})
afterEach(async () => {
  await queue.close()
  workspace.close()
  rmSync(root, { recursive: true, force: true })
})

function add(seed = 'a', device = 'cpu'): Job {
  return queue.add({ projectId, kind: 'compare', title: 'test', device, request: { seed } })
}

function reached(id: string, wanted: (job: Job, stage: string | undefined) => boolean): Promise<Job> {
  return new Promise((resolve) => {
    const check = (): void => {
      const { job, stages } = queue.get(id)
      const running = stages.find((stage) => stage.state === 'running' && stage.done > 0)
      if (!wanted(job, running?.key)) return
      stop()
      resolve(job)
    }
    const stop = queue.onChange(check)
    check()
  })
}

const inState = (id: string, state: JobState): Promise<Job> => reached(id, (job) => job.state === state)
const ended = (id: string): Promise<Job> =>
  reached(id, (job) => !['queued', 'running', 'cancelling'].includes(job.state))
const journal = (): string[] => readFileSync(path.join(root, 'journal'), 'utf8').trim().split('\n')
const states = (id: string): string[] => queue.get(id).stages.map((stage) => stage.state)

describe('a job', () => {
  it('runs its stages, stores a run, leaves no temporary files', async () => {
    const job = await ended(add().id)
    expect(job).toMatchObject({ state: 'done', attempt: 1, error: null, progress: { fraction: 1 } })
    expect(outcomes).toEqual(['one:a\ntwo:a\nthree:a\n'])
    expect(workspace.runs.get(job.runId ?? '').jobId).toBe(job.id)
    expect(queue.logTail(job.id, 100).map((line) => line.text)).toContain('two runs')
    const folder = path.join(workspace.layout.temporary, 'jobs')
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([])
  })

  it('takes stages from an earlier job with the same inputs', async () => {
    await ended(add('a').id)
    const again = await ended(add('a').id)
    expect(states(again.id)).toEqual(['cached', 'cached', 'cached'])
    await ended(add('b').id)
    expect(journal()).toEqual(['one', 'two', 'three', 'one', 'two', 'three'])
    expect(outcomes).toEqual([outcomes[0], outcomes[0], 'one:b\ntwo:b\nthree:b\n'])
  })

  it('does a stage again when its stored file is gone', async () => {
    await ended(add('a').id)
    rmSync(workspace.layout.objects, { recursive: true })
    expect((await ended(add('a').id)).state).toBe('done')
    expect(journal()).toHaveLength(6)
  })

  it('fails with the error of its stage and resumes after the finished ones', async () => {
    behaviour = { two: 'fail' }
    const { id } = add()
    const failed = await ended(id)
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'E_ARGUMENT', message: 'x: broken' } })
    expect(states(id)).toEqual(['done', 'failed', 'pending'])
    behaviour = {}
    queue.resume(id)
    expect(await ended(id)).toMatchObject({ state: 'done', attempt: 2 })
    expect(journal()).toEqual(['one', 'two', 'two', 'three'])
  })

  it('becomes interrupted when its process is killed, and resumes with the same result', async () => {
    behaviour = { three: 'crash' }
    const { id } = add()
    expect(await ended(id)).toMatchObject({
      state: 'interrupted',
      error: { code: 'E_JOB_WORKER_DIED', details: { stage: 'three', reason: 'SIGKILL' } },
    })
    behaviour = {}
    queue.resume(id)
    expect((await ended(id)).state).toBe('done')
    expect(journal()).toEqual(['one', 'two', 'three', 'three'])
    expect(outcomes).toEqual(['one:a\ntwo:a\nthree:a\n'])
  })
})

describe('cancel', () => {
  it('stops a stage that listens', async () => {
    behaviour = { two: 'hang' }
    const { id } = add()
    await reached(id, (_job, stage) => stage === 'two')
    expect(queue.cancel(id).state).toBe('cancelling')
    expect(await ended(id)).toMatchObject({ state: 'cancelled', error: null, runId: null })
    expect(states(id)).toEqual(['done', 'cancelled', 'pending'])
  })

  it('ends by force a stage that does not', async () => {
    workspace.settings.set({ cancelGraceSeconds: 1 })
    behaviour = { two: 'deaf' }
    const { id } = add()
    await reached(id, (_job, stage) => stage === 'two')
    queue.cancel(id)
    expect((await ended(id)).state).toBe('cancelled')
  })

  it('takes a waiting job out of the queue, and refuses to cancel what has ended', async () => {
    behaviour = { one: 'hang' }
    const first = add('a')
    const second = add('b')
    expect(queue.cancel(second.id).state).toBe('cancelled')
    await reached(first.id, (_job, stage) => stage === 'one')
    queue.cancel(first.id)
    await ended(first.id)
    expect(() => queue.cancel(second.id)).toThrowError(expect.objectContaining({ code: 'E_JOB_STATE' }))
  })
})

describe('slots', () => {
  it('run as many jobs as the setting allows, one per device', async () => {
    workspace.settings.set({ cpuJobSlots: 2 })
    behaviour = { one: 'hang' }
    const [first, same, other] = [add('a', 'npu:0'), add('b', 'npu:0'), add('c', 'npu:1')]
    await inState(first.id, 'running')
    await inState(other.id, 'running')
    expect(queue.get(same.id).job.state).toBe('queued')
    behaviour = {}
    queue.cancel(first.id)
    expect((await ended(same.id)).state).toBe('done')
    queue.cancel(other.id)
    await ended(other.id)
  })
})

describe('the next start of the engine', () => {
  it('marks running jobs as interrupted, starts waiting ones', async () => {
    behaviour = { two: 'hang' }
    const running = add('a')
    const waiting = add('b')
    await reached(running.id, (_job, stage) => stage === 'two')
    await queue.close()
    workspace.close()
    behaviour = {}
    openQueue()
    queue.recover()
    expect(queue.get(running.id).job.state).toBe('interrupted')
    expect((await ended(waiting.id)).state).toBe('done')
    queue.resume(running.id)
    expect((await ended(running.id)).state).toBe('done')
  })
})
