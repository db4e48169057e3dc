// Linting and converting from the window's side, on a real engine process.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { RpcClient } from '../../../contract/rpc/index.ts'
import type { EngineSupervisor } from '../../../engine/host/supervisor.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { defaultRecipe } from '../../../contract/recipe.ts'
import { startEngineProcess } from '../../fixtures/engine-client.ts'

const SAMPLE = path.resolve('resources/samples/sprite-diffusion')

let root: string
let engine: EngineSupervisor
let rpc: RpcClient

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'interop-'))
  ;({ engine, rpc } = startEngineProcess(path.join(root, 'w')))
})
afterEach(async () => {
  await engine.stop()
  rmSync(root, { recursive: true, force: true })
})

it(
  'lints a model of the workspace and a file, with the command that compiles it',
  { timeout: 60_000 },
  async () => {
    const projectId = (await rpc.invoke('projects.createSample', {})).id
    const [model] = (await rpc.invoke('models.list', { projectId })).models
    const inputShapes = {
      sample_input_tensor: [1, 4, 64, 64],
      timestep: [1],
      encoder_hidden_states: [1, 8, 64],
    }
    const report = await rpc.invoke('models.lint', {
      modelId: model?.id ?? '',
      soc: 'Ascend310B4',
      inputShapes,
    })
    expect(report.soc).toBe('Ascend310B4')
    expect(report.command).toContain('--soc_version=Ascend310B4')
    expect(report.counts.error).toBe(0)

    const { fakeQuantPath } = await quantizeModel({
      modelPath: `${SAMPLE}/unet.onnx`,
      recipe: defaultRecipe,
      dataset: { folder: `${SAMPLE}/calibration`, count: 1 },
      outputPrefix: path.join(root, 'unet'),
    })
    const twin = await rpc.invoke('models.lint', { path: fakeQuantPath })
    expect(twin.findings.map(({ code }) => code)).toContain('qdq_nodes')

    const both = rpc.invoke('models.lint', { path: fakeQuantPath, modelId: model?.id ?? '' })
    await expect(both).rejects.toMatchObject({ code: 'E_RPC_INPUT' })
    await expect(rpc.invoke('models.lint', { path: `${SAMPLE}/recipe.json` })).rejects.toMatchObject({
      code: 'E_WORKSPACE_FILE_KIND',
    })
  },
)

it('converts between both forms, into the project and to a file', { timeout: 300_000 }, async () => {
  const projectId = (await rpc.invoke('projects.createSample', {})).id
  const { fakeQuantPath } = await quantizeModel({
    modelPath: `${SAMPLE}/unet.onnx`,
    recipe: defaultRecipe,
    dataset: { folder: `${SAMPLE}/calibration`, count: 1 },
    outputPrefix: path.join(root, 'unet'),
  })
  const twin = await rpc.invoke('models.add', { projectId, path: fakeQuantPath })
  const deploy = await rpc.invoke('models.convert', { modelId: twin.id })
  expect(deploy).toMatchObject({ to: 'ascend', model: { role: 'deploy', parentId: twin.id, projectId } })
  expect(path.basename(deploy.path)).toBe('unet_deploy_model.onnx')
  const { summary } = await rpc.invoke('models.get', { id: deploy.model?.id ?? '' })
  expect(summary?.operators.map(({ opType }) => opType)).toContain('AscendQuant')
  expect(readdirSync(path.join(root, 'w', 'tmp')).filter((name) => name.startsWith('convert-'))).toEqual([])

  const target = path.join(root, 'back.onnx')
  const back = await rpc.invoke('models.convert', { source: deploy.path, to: 'qdq', path: target })
  expect(back).toMatchObject({ to: 'qdq', path: target, model: null })
  expect(back.bytes).toBe(statSync(target).size)
  await expect(
    rpc.invoke('models.convert', { source: `${SAMPLE}/unet.onnx`, path: target }),
  ).rejects.toMatchObject({
    code: 'E_CONVERT_MODEL',
  })
  await expect(rpc.invoke('models.convert', { source: target })).rejects.toMatchObject({
    code: 'E_RPC_INPUT',
  })
})
