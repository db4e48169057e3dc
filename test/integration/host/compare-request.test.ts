// What a comparison job can ask for beyond model, data and device: held-out data, chosen samples, the host CPU beside it.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { RECIPE_SCHEMA, recipeSchema } from '../../../contract/recipe.ts'
import { jobEnded, startEngineProcess } from '../../fixtures/engine-client.ts'

const CALIBRATION = path.resolve('resources/samples/sprite-diffusion/calibration')

it(
  'judges on held-out data, calibrates over time steps, measures the host CPU',
  { timeout: 300_000 },
  async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'compare-request-'))
    const held = path.join(root, 'held out')
    mkdirSync(held)
    // Samples whose number is divisible by 12: enough to judge by, none of them needed for the scales.
    for (const file of readdirSync(CALIBRATION).filter((name) => /^(00|12)_/.test(name))) {
      copyFileSync(path.join(CALIBRATION, file), path.join(held, file))
    }
    const { engine, rpc } = startEngineProcess(path.join(root, 'w'))
    try {
      const projectId = (await rpc.invoke('projects.createSample', {})).id
      const [model] = (await rpc.invoke('models.list', { projectId })).models
      const [dataset] = (await rpc.invoke('datasets.list', { projectId })).datasets
      const modelId = model?.id ?? ''
      const evaluation = await rpc.invoke('datasets.add', { projectId, path: held, modelId })
      const request = {
        modelId,
        datasetId: dataset?.id ?? '',
        device: 'sim:Ascend310P3',
        calibrationSamples: 4,
        selection: 'timesteps' as const,
        evaluationDatasetId: evaluation.id,
        hostCpu: true,
        recipe: recipeSchema.parse({
          schema: RECIPE_SCHEMA,
          op_types: [{ op_type: 'MatMul', precision: 'w8a16' }],
        }),
        scenario: { loopCount: 2, warmupRuns: 0, warmupMs: 0 },
      }
      const { command } = await rpc.invoke('commandLine.forCompare', { projectId, request })
      expect(command).toContain(`--calibration-selection timesteps --evaluation '${held}'`)
      expect(command).toMatch(/ --host-cpu$/)
      const job = await jobEnded(
        rpc,
        (await rpc.invoke('jobs.start', { projectId, kind: 'compare', request })).id,
      )
      expect(job).toMatchObject({ state: 'done', error: null })
      const { comparison } = await rpc.invoke('runs.get', { id: job.runId ?? '' })
      expect(comparison.calibration.samples).toBe(4)
      expect(comparison.evaluation).toMatchObject({ same_as_calibration: false, sample_names: ['00', '12'] })
      expect(comparison.evaluation.overlapping_samples).toBeLessThanOrEqual(2)
      expect(comparison.candidates[0]?.quality?.samples).toBe(2)
      expect(comparison.host_cpu?.device.kind).toBe('cpu')
      // Not every layer is W8A8: no side may pass for INT8.
      expect(comparison.candidates.map((side) => side.label)).toEqual(['INT8 mixed'])
      expect(comparison.candidates[0]?.model).toMatch(/_int8_mixed\.om$/)
      expect(comparison.host_cpu?.candidates[0]?.label).toBe('INT8 mixed (host CPU)')
      expect(comparison.notes[0]).toMatch(/^INT8 mixed: 164 of 188/)
      expect(comparison.host_cpu?.candidates[0]?.quality?.sqnr_db).toBeGreaterThan(5)
      await expect(rpc.invoke('datasets.remove', { id: evaluation.id })).resolves.toEqual({
        id: evaluation.id,
      })
      const missing = { ...request, evaluationDatasetId: evaluation.id }
      await expect(
        rpc.invoke('jobs.start', { projectId, kind: 'compare', request: missing }),
      ).rejects.toMatchObject({ code: 'E_WORKSPACE_NOT_FOUND' })
    } finally {
      await engine.stop()
      rmSync(root, { recursive: true, force: true })
    }
  },
)
