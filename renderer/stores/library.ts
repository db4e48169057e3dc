// The projects list and the open project's things; read again whenever the engine says that they changed.
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { ErrorShape } from '../../contract/result.ts'
import { toErrorShape } from '../../contract/errors/index.ts'
import type { DatasetRow, ModelRow, Project, RecipeRow } from '../../contract/workspace.ts'
import { rpc } from '../rpc/index.ts'

export type LibraryEntity = 'project' | 'model' | 'dataset' | 'recipe' | 'run' | 'calibration'

export const useLibrary = defineStore('library', () => {
  const projects = ref<Project[]>([])
  const projectsLoaded = ref(false)
  const error = ref<ErrorShape | null>(null)
  const openId = ref<string | null>(null)
  const models = shallowRef<ModelRow[]>([])
  const datasets = shallowRef<DatasetRow[]>([])
  const recipes = shallowRef<RecipeRow[]>([])
  /** The project whose models, datasets and recipes are loaded. */
  const loadedId = ref<string | null>(null)
  /** Counts up when runs of the open project change, so that run lists reload. */
  const runsVersion = ref(0)
  /** The same for calibrations. */
  const calibrationsVersion = ref(0)

  const project = computed(() => projects.value.find((item) => item.id === openId.value) ?? null)

  async function loadProjects(): Promise<void> {
    try {
      projects.value = (await rpc.invoke('projects.list', {})).projects
      projectsLoaded.value = true
      error.value = null
    } catch (thrown) {
      error.value = toErrorShape(thrown)
    }
  }

  async function loadEntity(entity: LibraryEntity): Promise<void> {
    const projectId = openId.value
    if (!projectId) return
    const stillOpen = (): boolean => openId.value === projectId
    if (entity === 'model') {
      const answer = await rpc.invoke('models.list', { projectId })
      if (stillOpen()) models.value = answer.models
    } else if (entity === 'dataset') {
      const answer = await rpc.invoke('datasets.list', { projectId })
      if (stillOpen()) datasets.value = answer.datasets
    } else if (entity === 'recipe') {
      const answer = await rpc.invoke('recipes.list', { projectId })
      if (stillOpen()) recipes.value = answer.recipes
    } else if (entity === 'run') runsVersion.value += 1
    else if (entity === 'calibration') calibrationsVersion.value += 1
  }

  /** Makes a project the open one and loads what belongs to it. */
  async function open(projectId: string): Promise<void> {
    if (openId.value !== projectId) {
      openId.value = projectId
      models.value = []
      datasets.value = []
      recipes.value = []
      loadedId.value = null
    }
    try {
      await Promise.all([loadEntity('model'), loadEntity('dataset'), loadEntity('recipe')])
      if (openId.value === projectId) loadedId.value = projectId
      error.value = null
    } catch (thrown) {
      error.value = toErrorShape(thrown)
    }
  }

  function start(): void {
    rpc.subscribe('library.changed', {}, (event) => {
      // Counts and last runs live in the project rows.
      void loadProjects()
      if (event.projectId === openId.value && event.entity !== 'project') {
        void loadEntity(event.entity).catch((thrown: unknown) => (error.value = toErrorShape(thrown)))
      }
    })
    void loadProjects()
  }

  return {
    projects,
    projectsLoaded,
    error,
    openId,
    loadedId,
    project,
    models,
    datasets,
    recipes,
    runsVersion,
    calibrationsVersion,
    loadProjects,
    loadEntity,
    open,
    start,
  }
})
