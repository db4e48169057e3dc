// Handlers of projects.*, models.*, datasets.*, recipes.*.
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../../contract/errors/index.ts'
import { reasonOf } from '../../common/hashing.ts'
import { writeFileAtomic } from '../../common/files.ts'
import { inspectOm } from '../../compile/index.ts'
import { summarizeModel } from '../../onnx/index.ts'
import { readRecipe, resolveFromConfig } from '../../quantization/index.ts'
import { presetsAndRecognition } from '../../quantization/presets/index.ts'
import { exportProject, importProject } from '../../workspace/index.ts'
import { previewDataset } from '../dataset-preview.ts'
import type { Services } from '../engine.ts'
import { importDataset, importModel, inputsOf, layerRows, modelForDataset, openRow } from '../library.ts'
import { existingPath, givenPath } from '../paths.ts'
import { checkRecipe, exportRecipe } from '../recipes.ts'
import type { Handlers, TopicHandlers } from '../router.ts'
import { createSampleProject } from '../sample-project.ts'
import { productVersion } from '../version.ts'

type ProjectNames =
  | 'projects.list'
  | 'projects.get'
  | 'projects.create'
  | 'projects.createSample'
  | 'projects.update'
  | 'projects.delete'
  | 'projects.export'
  | 'projects.import'
type ModelNames = 'models.list' | 'models.add' | 'models.get' | 'models.layers' | 'models.remove'
type DatasetNames = 'datasets.list' | 'datasets.add' | 'datasets.preview' | 'datasets.remove'
type RecipeNames =
  | 'recipes.list'
  | 'recipes.get'
  | 'recipes.save'
  | 'recipes.delete'
  | 'recipes.presets'
  | 'recipes.importAmct'
  | 'recipes.exportAmct'
  | 'recipes.check'

const MAX_AMCT_BYTES = 4_000_000
const ARCHIVE_EXTENSION = '.aqwproj'

function projectHandlers({ workspace }: Services): Pick<Handlers, ProjectNames> {
  return {
    'projects.list': () => ({ projects: workspace.projects.list() }),
    'projects.get': ({ id }) => workspace.projects.get(id),
    'projects.create': ({ name, description }) => {
      const project = workspace.projects.create({ name, description: description ?? '' })
      workspace.announce({ entity: 'project', action: 'added', id: project.id, projectId: project.id })
      return project
    },
    'projects.createSample': (_input, { signal }) => createSampleProject(workspace, signal),
    'projects.update': ({ id, name, description }) => {
      const project = workspace.projects.update(id, { name, description })
      workspace.announce({ entity: 'project', action: 'changed', id, projectId: id })
      return project
    },
    'projects.delete': async ({ id }) => {
      await workspace.deleteProject(id)
      return { id }
    },
    'projects.export': ({ id, path: target }, { signal }) => {
      const given = givenPath(target)
      const file = path.extname(given) === ARCHIVE_EXTENSION ? given : `${given}${ARCHIVE_EXTENSION}`
      return exportProject(workspace, id, file, productVersion(), { signal })
    },
    'projects.import': ({ path: file }, { signal }) =>
      importProject(workspace, existingPath(file), { signal }),
  }
}

function modelHandlers({ workspace }: Services): Pick<Handlers, ModelNames> {
  return {
    'models.list': ({ projectId }) => ({
      models: workspace.models.list(workspace.projects.get(projectId).id),
    }),
    'models.add': (input, { signal }) => importModel(workspace, input, signal),
    'models.get': ({ id }) => {
      const model = workspace.models.get(id)
      if (model.format === 'onnx') return { model, summary: summarizeModel(openRow(model)), om: null }
      const om = inspectOm(model.path)
      const hasSource = om.simulated && om.manifest?.precision !== 'int8'
      return { model, summary: hasSource ? summarizeModel(openRow(model)) : null, om }
    },
    'models.layers': ({ id }) => ({ layers: layerRows(openRow(workspace.models.get(id))) }),
    'models.remove': async ({ id }) => {
      await workspace.removeModel(id)
      return { id }
    },
  }
}

function datasetHandlers({ workspace }: Services): Pick<Handlers, DatasetNames> {
  return {
    'datasets.list': ({ projectId }) => ({
      datasets: workspace.datasets.list(workspace.projects.get(projectId).id),
    }),
    'datasets.add': (input, { signal }) => importDataset(workspace, input, signal),
    'datasets.preview': ({ id, modelId }) => {
      const dataset = workspace.datasets.get(id)
      const model = modelForDataset(workspace, dataset.projectId, modelId)
      const names = workspace.files.list(id).map((file) => file.relativePath)
      return previewDataset(dataset, names, model ? inputsOf(model) : null)
    },
    'datasets.remove': async ({ id }) => {
      await workspace.removeDataset(id)
      return { id }
    },
  }
}

function recipeHandlers({ workspace }: Services): Pick<Handlers, RecipeNames> {
  const changed = (action: 'added' | 'changed' | 'removed', id: string, projectId: string): void =>
    workspace.announce({ entity: 'recipe', action, id, projectId })
  return {
    'recipes.list': ({ projectId }) => ({
      recipes: workspace.recipes.list(workspace.projects.get(projectId).id),
    }),
    'recipes.get': ({ id }) => workspace.recipes.get(id),
    'recipes.save': ({ projectId, id, name, recipe, origin }) => {
      workspace.projects.get(projectId)
      const content = { name, recipe: { ...recipe, name }, origin: origin ?? ('edited' as const) }
      const saved = id
        ? workspace.recipes.update(id, content)
        : workspace.recipes.create({ projectId, ...content })
      changed(id ? 'changed' : 'added', saved.id, projectId)
      return saved
    },
    'recipes.delete': ({ id }) => {
      const { projectId } = workspace.recipes.get(id)
      workspace.recipes.delete(id)
      changed('removed', id, projectId)
      return { id }
    },
    'recipes.presets': ({ modelId }) => {
      const model = modelId === undefined ? null : openRow(workspace.models.get(modelId))
      return presetsAndRecognition(model)
    },
    'recipes.importAmct': ({ projectId, path: given, text, name, modelId }) => {
      workspace.projects.get(projectId)
      const file = given === undefined ? 'recipe' : existingPath(given)
      const model = modelId === undefined ? undefined : openRow(workspace.models.get(modelId))
      const { form, recipe: read, notes, tool } = readRecipe(text ?? readConfig(file), file, model)
      const title = name ?? path.basename(path.dirname(path.resolve(file)))
      const recipe = { ...read, name: given === undefined ? (name ?? 'AMCT') : title }
      const saved = workspace.recipes.create({ projectId, name: recipe.name, recipe, origin: 'amct' })
      changed('added', saved.id, projectId)
      const located = (written: string | undefined): string | null =>
        written === undefined ? null : given === undefined ? written : resolveFromConfig(written, file)
      return {
        recipe: saved,
        form,
        modelPath: located(tool?.model.path),
        calibrationPath: located(tool?.dataset.folder),
        notes,
      }
    },
    'recipes.exportAmct': ({ id, form, modelId, datasetId, path: given }) => {
      const { recipe } = workspace.recipes.get(id)
      const row = modelId === undefined ? undefined : workspace.models.get(modelId)
      const dataset = datasetId === undefined ? undefined : workspace.datasets.get(datasetId)
      const { text, notes } = exportRecipe(recipe, form, row, dataset)
      const target = given === undefined ? null : givenPath(given)
      if (target !== null) writeFileAtomic(target, text)
      return { text, path: target, notes }
    },
    'recipes.check': ({ modelId, recipe }) => checkRecipe(openRow(workspace.models.get(modelId)), recipe),
  }
}

function readConfig(file: string): string {
  try {
    const { size } = statSync(file)
    if (size > MAX_AMCT_BYTES) throw new Error(`${size} bytes are too many for a configuration`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

export function libraryHandlers(
  services: Services,
): Pick<Handlers, ProjectNames | ModelNames | DatasetNames | RecipeNames> {
  return {
    ...projectHandlers(services),
    ...modelHandlers(services),
    ...datasetHandlers(services),
    ...recipeHandlers(services),
  }
}

export function libraryTopicHandlers({ workspace }: Services): Pick<TopicHandlers, 'library.changed'> {
  return {
    'library.changed'({ projectId }, emit, signal) {
      const stop = workspace.onChange((change) => {
        if (projectId === undefined || change.projectId === projectId) emit(change)
      })
      signal.addEventListener('abort', stop, { once: true })
    },
  }
}
