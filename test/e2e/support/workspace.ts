// Fills a served workspace over RPC, for tests about something else than the way there.
import type { RpcClient } from '../../../contract/rpc/client.ts'
import type { Job } from '../../../contract/workspace.ts'
import { connect } from '../screens/connect.ts'

export interface Prepared {
  projectId: string
  modelId: string
  datasetId: string
  /** Two finished comparisons with different numbers of calibration samples. */
  runIds: string[]
}

async function finished(rpc: RpcClient, job: Job): Promise<string> {
  const { runId, state, error } = await new Promise<Job>((resolve) => {
    const stop = rpc.subscribe('jobs.progress', { id: job.id }, (event) => {
      if (!['done', 'failed', 'cancelled', 'interrupted'].includes(event.job.state)) return
      queueMicrotask(() => stop())
      resolve(event.job)
    })
  })
  if (!runId) throw new Error(`the job is ${state}: ${error?.message ?? ''}`)
  return runId
}

/** The sample project with two short comparisons; the tour is put away. */
export async function prepareSample(url: string): Promise<Prepared> {
  const { rpc, close } = connect(url)
  try {
    await rpc.invoke('settings.set', { tourDone: true })
    const projectId = (await rpc.invoke('projects.createSample', {})).id
    const [model] = (await rpc.invoke('models.list', { projectId })).models
    const [dataset] = (await rpc.invoke('datasets.list', { projectId })).datasets
    if (!model || !dataset) throw new Error('the sample project is not complete')
    const runIds: string[] = []
    for (const calibrationSamples of [2, 3]) {
      const scenario = { loopCount: 20, warmupRuns: 0, warmupMs: 0 }
      const request = {
        modelId: model.id,
        datasetId: dataset.id,
        device: 'sim:Ascend310P3',
        calibrationSamples,
        scenario,
      }
      runIds.push(
        await finished(rpc, await rpc.invoke('jobs.start', { projectId, kind: 'compare', request })),
      )
    }
    return { projectId, modelId: model.id, datasetId: dataset.id, runIds }
  } finally {
    close()
  }
}

/** Changes settings from outside; the open windows follow. */
export async function changeSettings(
  url: string,
  patch: { theme?: 'light' | 'dark'; locale?: 'en' | 'zh' },
): Promise<void> {
  const { rpc, close } = connect(url)
  try {
    await rpc.invoke('settings.set', patch)
  } finally {
    close()
  }
}
