// Handlers of app.*, settings.*, environment.*, devices.*, files.*.
import os from 'node:os'
import path from 'node:path'
import { existsSync } from 'node:fs'
import { PROTOCOL_VERSION } from '../../../contract/rpc/index.ts'
import type { FileListing } from '../../../contract/rpc/index.ts'
import type { Services } from '../engine.ts'
import { environmentItems } from '../environment.ts'
import { listFolder } from '../browse.ts'
import type { Handlers, TopicHandlers } from '../router.ts'
import { sampleFolder } from '../sample-project.ts'
import { Uploads } from '../uploads.ts'
import { PRODUCT_NAME, productVersion } from '../version.ts'

type Names =
  | 'app.info'
  | 'settings.get'
  | 'settings.set'
  | 'environment.get'
  | 'devices.list'
  | 'devices.probe'
  | 'files.list'
  | 'files.upload'

const DEFAULT_TELEMETRY_MS = 1000
function places(services: Services): FileListing['places'] {
  const sample = sampleFolder()
  return [
    { id: 'home', path: os.homedir() },
    { id: 'workspace', path: services.workspace.layout.root },
    ...(existsSync(sample) ? [{ id: 'sample' as const, path: sample }] : []),
    { id: 'root', path: path.parse(os.homedir()).root },
  ]
}

export function environmentHandlers(services: Services): Pick<Handlers, Names> {
  const { workspace, devices } = services
  const uploads = new Uploads(workspace.layout.uploads)
  void uploads.tidy()
  return {
    'app.info': () => ({
      name: PRODUCT_NAME,
      version: productVersion(),
      protocol: PROTOCOL_VERSION,
      platform: process.platform,
      arch: process.arch,
      nodeVersion: process.versions.node,
      workspace: workspace.layout.root,
      logFolder: workspace.layout.logs,
      home: os.homedir(),
      sampleAvailable: existsSync(sampleFolder()),
      engineStartedAt: services.startedAt,
    }),
    'settings.get': () => workspace.settings.get(),
    'settings.set': (patch) => {
      const settings = workspace.settings.set(patch)
      for (const listener of services.settingsListeners) listener()
      return settings
    },
    'environment.get': () => ({ items: environmentItems() }),
    'devices.list': async ({ probe }, { signal }) => ({
      devices: await devices.list(probe ?? false, signal),
    }),
    'devices.probe': ({ id }) => devices.probe(id),
    'files.list': (input) => listFolder({ ...input, places: places(services) }),
    'files.upload': (input) => uploads.receive(input),
  }
}

export function environmentTopicHandlers(
  services: Services,
): Pick<TopicHandlers, 'devices.telemetry' | 'settings.changed'> {
  return {
    async 'devices.telemetry'({ id, intervalMs }, emit, signal) {
      const read = async (): Promise<void> =>
        emit({ at: new Date().toISOString(), telemetry: await services.devices.telemetry(id) })
      await read()
      let busy = false
      const timer = setInterval(() => {
        if (busy) return
        busy = true
        read()
          .catch((error: unknown) => services.logger.warning(`telemetry of ${id}: ${String(error)}`))
          .finally(() => (busy = false))
      }, intervalMs ?? DEFAULT_TELEMETRY_MS)
      if (signal.aborted) clearInterval(timer)
      signal.addEventListener('abort', () => clearInterval(timer), { once: true })
    },
    'settings.changed'(_input, emit, signal) {
      const listener = (): void => emit(services.workspace.settings.get())
      services.settingsListeners.add(listener)
      signal.addEventListener('abort', () => services.settingsListeners.delete(listener), { once: true })
      listener()
    },
  }
}
