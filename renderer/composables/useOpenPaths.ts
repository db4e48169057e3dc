// Files given to the window by drop, picker or the system: models, calibration folders, recipes, project archives.
import { useI18n } from 'vue-i18n'
import { useRoute, useRouter } from 'vue-router'
import { rpc } from '../rpc/index.ts'
import { baseName } from '../format/units.ts'
import { useLibrary } from '../stores/library.ts'
import { useNotices } from '../stores/notices.ts'
import { useProjectActions } from './useProjectActions.ts'

export type GivenKind = 'model' | 'project' | 'recipe' | 'dataset'

/** What a path is, by its ending; anything else is taken for a folder of calibration data. */
export function kindOfPath(path: string): GivenKind {
  if (/\.(onnx|om)$/i.test(path)) return 'model'
  if (/\.aqwproj$/i.test(path)) return 'project'
  if (/\.(json|cfg)$/i.test(path)) return 'recipe'
  return 'dataset'
}

/** Adds paths (on the engine's machine) to the open project; without one, a project named after the first is made. */
export function useOpenPaths(): (paths: readonly string[]) => Promise<void> {
  const { t } = useI18n()
  const route = useRoute()
  const router = useRouter()
  const library = useLibrary()
  const notices = useNotices()
  const actions = useProjectActions()

  async function projectFor(path: string): Promise<string> {
    if (route.params.projectId) return String(route.params.projectId)
    const name = baseName(path).replace(/\.[^.]+$/, '')
    const project = await rpc.invoke('projects.create', { name })
    await library.loadProjects()
    return project.id
  }

  return async (paths) => {
    const archives = paths.filter((path) => kindOfPath(path) === 'project')
    for (const path of archives) await actions.importArchive(path)
    const rest = paths.filter((path) => kindOfPath(path) !== 'project')
    const first = rest.find((path) => kindOfPath(path) === 'model') ?? rest[0]
    if (!first) return
    const projectId = await projectFor(first)
    let page = 'overview'
    for (const path of rest) {
      const kind = kindOfPath(path)
      if (kind === 'model') await rpc.invoke('models.add', { projectId, path })
      else if (kind === 'recipe') await rpc.invoke('recipes.importAmct', { projectId, path })
      else await rpc.invoke('datasets.add', { projectId, path })
      page =
        rest.length > 1
          ? 'overview'
          : { model: 'models', recipe: 'quantize', dataset: 'data', project: 'overview' }[kind]
      notices.success(t('home.added', { name: baseName(path) }))
    }
    await router.push({ name: page, params: { projectId } })
  }
}
