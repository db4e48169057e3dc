// The bundled sample: a trained sprite-diffusion U-Net with calibration data recorded from its own sampling.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Project } from '../../contract/workspace.ts'
import { parseRecipe } from '../quantization/index.ts'
import type { Workspace } from '../workspace/index.ts'
import { importDataset, importModel } from './library.ts'
import { productRoot } from './version.ts'

export function sampleFolder(): string {
  return path.join(productRoot, 'resources', 'samples', 'sprite-diffusion')
}

/** A project ready to compare in one click. Nothing is left behind when it fails. */
export async function createSampleProject(workspace: Workspace, signal?: AbortSignal): Promise<Project> {
  const folder = sampleFolder()
  const project = workspace.projects.create({
    name: 'Sprite diffusion',
    description:
      'A small trained diffusion U-Net that draws sprites from captions, with inputs recorded on its own sampling trajectories.',
    sample: true,
  })
  try {
    const model = await importModel(
      workspace,
      { projectId: project.id, path: path.join(folder, 'unet.onnx'), name: 'Sprite U-Net' },
      signal,
    )
    const calibration = { projectId: project.id, path: path.join(folder, 'calibration'), modelId: model.id }
    await importDataset(workspace, { ...calibration, name: 'Trajectories' }, signal)
    const recipePath = path.join(folder, 'recipe.json')
    const recipe = parseRecipe(readFileSync(recipePath, 'utf8'), recipePath)
    const name = recipe.name ?? 'INT8'
    workspace.recipes.create({ projectId: project.id, name, recipe, origin: 'sample' })
  } catch (error) {
    await workspace.deleteProject(project.id)
    throw error
  }
  workspace.announce({ entity: 'project', action: 'added', id: project.id, projectId: project.id })
  return workspace.projects.get(project.id)
}
