// Fills a served workspace the way a person would: sample project, finished comparisons, a note, a second recipe.
import type { RpcClient } from '../../../contract/rpc/client.ts'
import type { CompareJobRequest, Job } from '../../../contract/workspace.ts'

export interface PreparedWorkspace {
  projectId: string
  modelId: string
  datasetId: string
  runIds: string[]
  /** A finished calibration of the sample; null when none was wanted. */
  calibrationId: string | null
  /** A comparison with pictures and gates; null when none was wanted. */
  generatedRunId: string | null
}

async function finish(rpc: RpcClient, job: Job): Promise<Job> {
  return await new Promise((resolve) => {
    const stop = rpc.subscribe('jobs.progress', { id: job.id }, (event) => {
      if (!['done', 'failed', 'cancelled', 'interrupted'].includes(event.job.state)) return
      stop()
      resolve(event.job)
    })
  })
}

/** Runs real comparisons where wanted, so that every picture shows figures the product really computed. */
export async function prepareWorkspace(
  rpc: RpcClient,
  { withRuns = true, withCalibration = true, withGenerated = true } = {},
): Promise<PreparedWorkspace> {
  await rpc.invoke('settings.set', { tourDone: true })
  const project = await rpc.invoke('projects.createSample', {})
  const projectId = project.id
  const model = (await rpc.invoke('models.list', { projectId })).models[0]
  const dataset = (await rpc.invoke('datasets.list', { projectId })).datasets[0]
  if (!model || !dataset) throw new Error('the sample project has no model or no data')
  const recipe = (await rpc.invoke('recipes.presets', {})).presets.at(-1)
  if (!recipe) throw new Error('there are no presets')
  const mixed = await rpc.invoke('recipes.save', {
    projectId,
    name: 'up_blocks.3 in FP16',
    recipe: { ...recipe.recipe, overrides: [{ layer: 'unet.up_blocks.3.*', precision: 'fp16' }] },
  })
  const base = { modelId: model.id, datasetId: dataset.id }
  const requests: CompareJobRequest[] = [
    { ...base, device: 'sim:Ascend310P3', scenario: { minRuns: 700, minDurationMs: 500 } },
    {
      ...base,
      device: 'sim:Ascend310P3',
      recipeId: mixed.id,
      scenario: { minRuns: 100, minDurationMs: 500 },
    },
    { ...base, device: 'cpu', scenario: { minRuns: 70, minDurationMs: 500, warmupRuns: 5, warmupMs: 200 } },
  ]
  const runIds: string[] = []
  for (const request of withRuns ? requests : []) {
    const job = await finish(rpc, await rpc.invoke('jobs.start', { projectId, kind: 'compare', request }))
    if (job.runId) runIds.push(job.runId)
    else console.error(`${job.title}: ${job.state} ${job.error?.message ?? ''}`)
  }
  let calibrationId: string | null = null
  if (withCalibration) {
    const request = { ...base, recipeId: mixed.id }
    const job = await finish(rpc, await rpc.invoke('jobs.start', { projectId, kind: 'calibrate', request }))
    if (job.state === 'done') calibrationId = job.id
    else console.error(`${job.title}: ${job.state} ${job.error?.message ?? ''}`)
  }
  let generatedRunId: string | null = null
  const sample = (await rpc.invoke('tasks.samples', {})).tasks.find((task) => task.kind === 'diffusion')
  if (withGenerated && sample) {
    const request: CompareJobRequest = {
      ...base,
      device: 'sim:Ascend310P3',
      scenario: { loopCount: 100 },
      calibrationSamples: 8,
      task: { path: sample.path, count: 4, seed: 0 },
      gates: [
        'latency.mean <= 0.7*baseline && quality.fid_delta <= 1',
        'quality.ssim > 0.5',
        'latency.p99 < 10',
      ],
    }
    const job = await finish(rpc, await rpc.invoke('jobs.start', { projectId, kind: 'compare', request }))
    generatedRunId = job.runId
    if (!job.runId) console.error(`${job.title}: ${job.state} ${job.error?.message ?? ''}`)
  }
  return { projectId, modelId: model.id, datasetId: dataset.id, runIds, calibrationId, generatedRunId }
}
