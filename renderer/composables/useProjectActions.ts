// What is done with whole projects from several places: open the sample, open one, import an archive.
import { useRouter } from 'vue-router'
import type { Project } from '../../contract/workspace.ts'
import { rpc } from '../rpc/index.ts'
import { useLibrary } from '../stores/library.ts'

export function useProjectActions(): {
  open: (project: Pick<Project, 'id'>) => Promise<void>
  openSample: () => Promise<void>
  create: (name: string, description: string) => Promise<void>
  importArchive: (path: string) => Promise<void>
} {
  const router = useRouter()
  const library = useLibrary()

  async function open(project: Pick<Project, 'id'>): Promise<void> {
    await router.push({ name: 'overview', params: { projectId: project.id } })
  }

  async function openNew(project: Project): Promise<void> {
    await library.loadProjects()
    await open(project)
  }

  /** Opens the sample project that exists, or makes it. */
  async function openSample(): Promise<void> {
    const existing = library.projects.find((project) => project.sample)
    if (existing) await open(existing)
    else await openNew(await rpc.invoke('projects.createSample', {}))
  }

  async function create(name: string, description: string): Promise<void> {
    await openNew(await rpc.invoke('projects.create', { name, description }))
  }

  async function importArchive(path: string): Promise<void> {
    await openNew(await rpc.invoke('projects.import', { path }))
  }

  return { open, openSample, create, importArchive }
}
