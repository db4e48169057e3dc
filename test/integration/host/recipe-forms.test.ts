// Recipes in AMCT's forms from the window's side, on a real engine process.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { RpcClient } from '../../../contract/rpc/index.ts'
import type { EngineSupervisor } from '../../../engine/host/supervisor.ts'
import { readRecipe } from '../../../engine/quantization/index.ts'
import { startEngineProcess } from '../../fixtures/engine-client.ts'

let root: string
let engine: EngineSupervisor
let rpc: RpcClient
let projectId: string
let modelId: string

beforeEach(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'recipe-forms-'))
  ;({ engine, rpc } = startEngineProcess(path.join(root, 'w')))
  projectId = (await rpc.invoke('projects.createSample', {})).id
  modelId = (await rpc.invoke('models.list', { projectId })).models[0]?.id ?? ''
})
afterEach(async () => {
  await engine.stop()
  rmSync(root, { recursive: true, force: true })
})

const CFG = 'batch_num: 2 skip_layers: "/unet/conv_in/Conv" skip_layer_types: "Gemm" do_fusion: false'

it('every form comes in, and goes out to the same recipe', { timeout: 60_000 }, async () => {
  const imported = await rpc.invoke('recipes.importAmct', {
    projectId,
    text: CFG,
    name: 'from AMCT',
    modelId,
  })
  expect(imported).toMatchObject({ form: 'amct_cfg', modelPath: null, recipe: { name: 'from AMCT' } })
  expect(imported.notes.map(({ code }) => code)).toContain('batch_num')
  expect(imported.recipe.recipe).toMatchObject({
    skip_layers: ['/unet/conv_in/Conv'],
    repair: { fold_batch_norm: false },
  })
  const checked = (recipe: typeof imported.recipe.recipe) => rpc.invoke('recipes.check', { modelId, recipe })
  const { counts } = await checked(imported.recipe.recipe)
  expect(counts.quantized).toBeGreaterThan(20)

  const { id } = imported.recipe
  for (const form of ['amct_json', 'amct_cfg'] as const) {
    const file = path.join(root, form)
    const written = await rpc.invoke('recipes.exportAmct', { id, form, modelId, path: file })
    expect(written.path).toBe(file)
    expect(readFileSync(file, 'utf8')).toBe(written.text)
    expect(readRecipe(written.text, file).form).toBe(form)
    const again = await rpc.invoke('recipes.importAmct', { projectId, path: file, modelId })
    expect(again.form).toBe(form)
    expect((await checked(again.recipe.recipe)).counts).toEqual(counts)
  }
  const tool = await rpc.invoke('recipes.exportAmct', { id, modelId })
  expect(JSON.parse(tool.text)).toHaveProperty('quantization_info')
  expect(tool.notes.map(({ code }) => code)).toContain('parameters_lost')
})

it('refuses what cannot be done, with the reason', { timeout: 60_000 }, async () => {
  const bad = (text: string) => rpc.invoke('recipes.importAmct', { projectId, text, modelId })
  await expect(bad('skip_layers: "nowhere"')).rejects.toMatchObject({ code: 'E_LAYER_UNKNOWN' })
  await expect(bad('skip_layer: "a"')).rejects.toMatchObject({ code: 'E_AMCT_CFG_FIELD' })
  await expect(bad('nuq_config { mapping_file: "a.json" }')).rejects.toMatchObject({
    code: 'E_AMCT_UNSUPPORTED',
  })
  await expect(bad('record { key: "a" }')).rejects.toMatchObject({ code: 'E_RECIPE_IS_RECORD' })
  const { recipe } = await rpc.invoke('recipes.importAmct', { projectId, text: CFG })
  const needsModel = rpc.invoke('recipes.exportAmct', { id: recipe.id, form: 'amct_json' })
  await expect(needsModel).rejects.toMatchObject({ code: 'E_RECIPE_NEEDS_MODEL' })
})
