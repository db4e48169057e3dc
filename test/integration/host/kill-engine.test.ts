// The promise "loses nothing": the engine is killed in every stage of a real comparison, each time it is started again
// and the job resumed; the run that comes out equals that of an undisturbed job.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { RpcClient } from '../../../contract/rpc/index.ts'
import type { Job } from '../../../contract/workspace.ts'
import { jobEnded, startEngineProcess, watchJob } from '../../fixtures/engine-client.ts'

const STAGES = ['quantize', 'compile-fp16', 'compile-int8', 'benchmark', 'evaluate']

let root: string
beforeEach(() => (root = mkdtempSync(path.join(tmpdir(), 'kill-'))))
afterEach(() => rmSync(root, { recursive: true, force: true }))

const start = (folder: string): ReturnType<typeof startEngineProcess> =>
  startEngineProcess(path.join(root, folder))

async function startJob(rpc: RpcClient): Promise<Job> {
  const project = await rpc.invoke('projects.createSample', {})
  const [model] = (await rpc.invoke('models.list', { projectId: project.id })).models
  const [dataset] = (await rpc.invoke('datasets.list', { projectId: project.id })).datasets
  const [recipe] = (await rpc.invoke('recipes.list', { projectId: project.id })).recipes
  if (!model || !dataset || !recipe) throw new Error('the sample project is not complete')
  const scenario = { loopCount: 20, warmupRuns: 0, warmupMs: 0 }
  const request = {
    modelId: model.id,
    datasetId: dataset.id,
    recipeId: recipe.id,
    device: 'sim:Ascend310P3',
    calibrationSamples: 4,
    scenario,
  }
  return rpc.invoke('jobs.start', { projectId: project.id, kind: 'compare', request })
}

/** Everything of a run that does not tell when and how fast the host was. */
async function outcome(rpc: RpcClient, job: Job): Promise<unknown> {
  expect(job).toMatchObject({ state: 'done', error: null })
  const { comparison, artifacts } = await rpc.invoke('runs.get', { id: job.runId ?? '' })
  const { layers } = await rpc.invoke('runs.figures', { id: job.runId ?? '' })
  const sides = [comparison.baseline, ...comparison.candidates].map((side) => ({
    label: side.label,
    sha256: side.sha256,
    bytes: side.size_bytes,
    latency: side.latency_ms,
    quality: side.quality,
    layers: side.quantized_layers,
  }))
  return {
    config: comparison.config_hash,
    deltas: comparison.deltas,
    sides,
    layers,
    artifacts: artifacts.map(({ kind, name, sha256, missing }) => ({ kind, name, sha256, missing })),
  }
}

it('gives the same run after a kill -9 of the engine in every stage', { timeout: 240_000 }, async () => {
  const undisturbed = start('a')
  const job = await startJob(undisturbed.rpc)
  const expected = await outcome(undisturbed.rpc, await jobEnded(undisturbed.rpc, job.id))
  await undisturbed.engine.stop()

  const { engine, rpc } = start('b')
  const { id } = await startJob(rpc)
  for (const key of STAGES) {
    await watchJob(rpc, id, (_job, stages) =>
      stages.some((stage) => stage.key === key && stage.state === 'running'),
    )
    process.kill(engine.pid ?? 0, 'SIGKILL')
    const interrupted = await watchJob(rpc, id, (present) => present.state === 'interrupted')
    expect(interrupted.error).toMatchObject({ code: 'E_JOB_INTERRUPTED' })
    await rpc.invoke('jobs.resume', { id })
  }
  const resumed = await jobEnded(rpc, id)
  expect(resumed.attempt).toBe(STAGES.length + 1)
  expect(await outcome(rpc, resumed)).toEqual(expected)
  const { runs } = await rpc.invoke('runs.list', { projectId: resumed.projectId })
  expect(runs).toHaveLength(1)
  await engine.stop()
})
