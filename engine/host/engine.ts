// The engine: workspace, job queue and handlers put together. The engine process runs one; tests run it in place.
import { CalibrateJobs } from './calibrate-jobs.ts'
import { CompareJobs } from './compare-jobs.ts'
import { silentLogger, type Logger } from '../common/log.ts'
import { JobQueue } from '../jobs/index.ts'
import { Workspace } from '../workspace/index.ts'
import { DeviceService } from './device-service.ts'
import { calibrationHandlers } from './handlers/calibrations.ts'
import { environmentHandlers, environmentTopicHandlers } from './handlers/environment.ts'
import { interopHandlers } from './handlers/interop.ts'
import { libraryHandlers, libraryTopicHandlers } from './handlers/library.ts'
import { qualityHandlers } from './handlers/quality.ts'
import { workHandlers, workTopicHandlers } from './handlers/work.ts'
import { Router } from './router.ts'

export interface EngineOptions {
  workspace: string
  logger?: Logger
  /** Plan of compare jobs instead of the product's, as a file URL; for tests. */
  comparePlan?: string
}

/** What handlers work with. */
export interface Services {
  workspace: Workspace
  queue: JobQueue
  devices: DeviceService
  startedAt: string
  logger: Logger
  /** Called after every change of the settings. */
  settingsListeners: Set<() => void>
}

export interface Engine extends Services {
  router: Router
  close(): Promise<void>
}

/** @throws E_WORKSPACE_LOCKED, E_WORKSPACE_NEWER, E_WORKSPACE_MIGRATION, E_WORKSPACE_DATABASE, E_FILE_WRITE */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const logger = options.logger ?? silentLogger
  const workspace = new Workspace(options.workspace)
  try {
    await workspace.tidy()
    const compare = new CompareJobs(workspace, options.comparePlan)
    const calibrate = new CalibrateJobs(workspace)
    const queue = new JobQueue(workspace, { compare, calibrate })
    queue.recover()
    const devices = new DeviceService()
    const services: Services = {
      workspace,
      queue,
      devices,
      startedAt: new Date().toISOString(),
      logger,
      settingsListeners: new Set(),
    }
    const router = new Router(
      {
        ...environmentHandlers(services),
        ...libraryHandlers(services),
        ...workHandlers(services),
        ...calibrationHandlers(services),
        ...interopHandlers(services),
        ...qualityHandlers(services),
      },
      {
        ...environmentTopicHandlers(services),
        ...libraryTopicHandlers(services),
        ...workTopicHandlers(services),
      },
      logger,
    )
    const close = async (): Promise<void> => {
      await queue.close()
      workspace.close()
    }
    return { ...services, router, close }
  } catch (error) {
    workspace.close()
    throw error
  }
}
