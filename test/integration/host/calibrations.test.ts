// A calibration from the window's side: started as a job on a real engine process, cancelled, killed, resumed, read back.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { calibrationReportSchema } from '../../../contract/calibration.ts'
import type { RpcClient } from '../../../contract/rpc/index.ts'
import type { Job } from '../../../contract/workspace.ts'
import type { EngineSupervisor } from '../../../engine/host/supervisor.ts'
import { jobEnded, startEngineProcess, watchJob } from '../../fixtures/engine-client.ts'

let root: string
let engine: EngineSupervisor
let rpc: RpcClient
let projectId: string
let request: { modelId: string; datasetId: string }

beforeEach(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'calibrations-'))
  ;({ engine, rpc } = startEngineProcess(path.join(root, 'w')))
  projectId = (await rpc.invoke('projects.createSample', {})).id
  const [model] = (await rpc.invoke('models.list', { projectId })).models
  const [dataset] = (await rpc.invoke('datasets.list', { projectId })).datasets
  request = { modelId: model?.id ?? '', datasetId: dataset?.id ?? '' }
})
afterEach(async () => {
  await engine.stop()
  rmSync(root, { recursive: true, force: true })
})

function calibrate(calibrationSamples: number, selection: 'spread' | 'timesteps'): Promise<Job> {
  const settings = { ...request, calibrationSamples, selection }
  return rpc.invoke('jobs.start', { projectId, kind: 'calibrate', request: settings })
}

const running = (id: string): Promise<Job> =>
  watchJob(rpc, id, (_job, stages) => stages.some((stage) => stage.state === 'running' && stage.done > 0))

it('is listed and read back page by page', { timeout: 300_000 }, async () => {
  const job = await jobEnded(rpc, (await calibrate(8, 'timesteps')).id)
  expect(job).toMatchObject({ kind: 'calibrate', state: 'done', error: null, runId: null, device: 'cpu' })
  const { calibrations } = await rpc.invoke('calibrations.list', { projectId })
  expect(calibrations).toEqual([
    expect.objectContaining({ id: job.id, ...request, samples: 8, recipeName: 'INT8 balanced' }),
  ])
  const { calibration, report } = await rpc.invoke('calibrations.get', { jobId: job.id })
  expect(calibration).toEqual(calibrations[0])
  expect(report.data).toMatchObject({ samples: 8, runs: 8, selection: 'timesteps', timesteps: 'index' })
  // The 24 samples have steps from 1 to 951: eight strata reach over all of them.
  const steps = report.samples.map((sample) => sample.timestep ?? NaN).sort((left, right) => left - right)
  expect(steps[0]).toBeLessThan(151)
  expect(steps.at(-1)).toBeGreaterThan(801)

  const page = { id: job.id, sort: { by: 'sqnr' as const }, limit: 5 }
  const { total, tensors } = await rpc.invoke('calibrations.tensors', page)
  expect(total).toBe(calibration.tensors)
  expect(tensors).toHaveLength(5)
  const worst = tensors.map((tensor) => tensor.chosen.sqnr_db ?? Infinity)
  expect(worst).toEqual(worst.toSorted((left, right) => left - right))
  const next = await rpc.invoke('calibrations.tensors', { ...page, offset: 5 })
  expect(next.tensors[0]?.chosen.sqnr_db ?? Infinity).toBeGreaterThanOrEqual(worst[4] ?? NaN)
  const found = await rpc.invoke('calibrations.tensors', { id: job.id, text: 'CONV_IN' })
  expect(found.tensors.map((tensor) => tensor.layers)).toEqual([['/unet/conv_in/Conv']])

  const name = tensors[0]?.tensor ?? ''
  const tensor = await rpc.invoke('calibrations.tensor', { id: job.id, tensor: name })
  expect(tensor).toMatchObject({ tensor: name, chosen: tensors[0]?.chosen })
  expect(tensor.samples).toHaveLength(8)
  const shown = tensor.histogram.counts.reduce((sum, count) => sum + count, 0)
  expect(shown).toBe(tensor.elements)
  await expect(rpc.invoke('calibrations.tensor', { id: job.id, tensor: `${name}x` })).rejects.toMatchObject({
    code: 'E_CALIBRATION_TENSOR',
    details: { suggestions: expect.arrayContaining([name]) as unknown },
  })
})

it('is exported, kept over a restart, and removed', { timeout: 300_000 }, async () => {
  const { id } = await jobEnded(rpc, (await calibrate(2, 'spread')).id)
  const target = path.join(root, 'report.json')
  await rpc.invoke('calibrations.export', { id, format: 'json', locale: 'en', path: target })
  const written = calibrationReportSchema.parse(JSON.parse(readFileSync(target, 'utf8')))
  expect(written.coverage.verdict).toBe('too_few')
  const page = await rpc.invoke('calibrations.export', { id, format: 'html', locale: 'zh' })
  expect(Buffer.from(page.base64 ?? '', 'base64').toString()).toContain('样本太少')

  await engine.stop()
  ;({ engine, rpc } = startEngineProcess(path.join(root, 'w')))
  const { report } = await rpc.invoke('calibrations.get', { jobId: id })
  expect(report.samples).toEqual(written.samples)
  await rpc.invoke('calibrations.remove', { id })
  expect((await rpc.invoke('calibrations.list', { projectId })).calibrations).toEqual([])
  await expect(rpc.invoke('calibrations.get', { jobId: id })).rejects.toMatchObject({
    code: 'E_WORKSPACE_NOT_FOUND',
  })
  await rpc.invoke('projects.delete', { id: projectId })
  expect(existsSync(target)).toBe(true)
})

it('is cancelled, resumed, interrupted by a kill -9, resumed again', { timeout: 300_000 }, async () => {
  const { id } = await calibrate(24, 'spread')
  await running(id)
  await rpc.invoke('jobs.cancel', { id })
  expect(await jobEnded(rpc, id)).toMatchObject({ state: 'cancelled' })
  expect((await rpc.invoke('calibrations.list', { projectId })).calibrations).toEqual([])

  await rpc.invoke('jobs.resume', { id })
  await running(id)
  process.kill(engine.pid ?? 0, 'SIGKILL')
  const interrupted = await watchJob(rpc, id, (job) => job.state === 'interrupted')
  expect(interrupted.error).toMatchObject({ code: 'E_JOB_INTERRUPTED' })
  await rpc.invoke('jobs.resume', { id })
  expect(await jobEnded(rpc, id)).toMatchObject({ state: 'done', attempt: 3 })
  expect((await rpc.invoke('calibrations.list', { projectId })).calibrations).toHaveLength(1)

  // The same question again is answered from the stored stage.
  const again = await calibrate(24, 'spread')
  await jobEnded(rpc, again.id)
  const { stages } = await rpc.invoke('jobs.get', { id: again.id })
  expect(stages.map((stage) => stage.state)).toEqual(['cached'])
  const [first, second] = (await rpc.invoke('calibrations.list', { projectId })).calibrations
  expect([first?.id, second?.id]).toEqual([again.id, id])
})
